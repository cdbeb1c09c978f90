"""A language field trained on classes (OV-NeRF, Liao et al. 2024).

Every view's class map, ranked by regions, trains the field by cross-entropy beside the cosine loss
to the tiles' features (eq. 11). After two thirds of a run the classes that the field itself
renders, ranked again, replace those of the tiles and are renewed every fifteenth, and views that
nobody captured join (Cross-view Self-enhancement, eqs. 7 to 12). The paper has all views from the
start of training. Here a view that comes later has a clock of its own, which goes on when its pose
is corrected, and imagined views give way to later ones, so that a stream need never end.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from semantic_field_ros.config import OvNerfConfig
from semantic_field_ros.semantics.base import (
    Imagining,
    MethodSetup,
    Quadrature,
    SemanticMethod,
)
from semantic_field_ros.semantics.class_maps import (
    ClassView,
    name_regions,
    rank_regions,
    tile_classes,
)
from semantic_field_ros.semantics.frozen_ovnerf import FrozenOvNerf
from semantic_field_ros.semantics.language_field import (
    SAMPLES,
    HeadShape,
    LanguageHead,
    rendered,
    surface_features,
)
from semantic_field_ros.semantics.language_losses import dense_losses
from semantic_field_ros.semantics.language_views import (
    LanguageView,
    PixelView,
    imagined_view,
    language_view,
)
from semantic_field_ros.semantics.optimiser import HeadOptimiser
from semantic_field_ros.types import Array, FrameFeatures, ImaginedView, Keyframe

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class OvNerf(SemanticMethod):
    """Trains a `LanguageHead` on the class maps of captured and of imagined views."""

    name = "ovnerf"

    def __init__(self, config: OvNerfConfig, setup: MethodSetup) -> None:
        """Raises ValueError for too few classes, or no language model."""
        if len(config.classes) < 2 or setup.encode_text is None:
            raise ValueError(
                "ovnerf needs a language model and at least two ovnerf.classes, "
                f"got {config.classes}"
            )
        self._config = config
        self.every = config.every
        self._classes = setup.encode_text(config.classes)
        self._rng = np.random.default_rng(setup.seed)
        self._head = LanguageHead(HeadShape(config.grid, config.hidden, scaled=False), setup)
        self._optimiser = HeadOptimiser(
            self._head.encoder, self._head.others(), config.learning_rate
        )
        self._captured: dict[int, ClassView] = {}
        self._due_of_moved: dict[int, int] = {}
        self._imagined: dict[int, ClassView] = {}
        self._imagined_ever = 0
        self._to_imagine = config.novel_views
        self._steps = 0

    def observe(self, keyframe: Keyframe) -> None:
        """Trains on the class map of a keyframe from now on.

        The field's own classes come in when they do for the first views, but after half as many
        steps on its tiles at least: the field knows the words by then, and has to learn the place.
        A view whose pose was corrected keeps its time: waits anew might never end.
        """
        known, knows_at = self._captured.get(keyframe.id), self._enhanced_from()
        due_step = known.due_step if known else self._due_of_moved.pop(keyframe.id, None)
        if due_step is None:
            self._to_imagine = min(self._to_imagine + 1, self._config.novel_views)
            due_step = max(knows_at, self._steps + round(knows_at / 2))
        self._take_in(keyframe, due_step)

    def recall(self, keyframe: Keyframe) -> None:
        """Like `observe`, but the field's own classes come in as soon as it knows any."""
        self._take_in(keyframe, max(self._steps, self._enhanced_from()))

    def _take_in(self, keyframe: Keyframe, due_step: int) -> None:
        view = language_view(keyframe)
        config = self._config
        class_of_pixel, tiles = tile_classes(
            view, self._classes, config.temperature, config.largest_tile
        )
        first = self._first_classes(class_of_pixel, view)
        self._captured[keyframe.id] = ClassView(view, tiles, first, due_step)

    @property
    def imagining(self) -> Imagining:
        """Regions, as soon as the field is good enough to name them, until there are enough.

        Then one for each new keyframe, so that they show where the stream is now.
        """
        wanted = self._config.enhancement and self._to_imagine > 0
        soon = self._steps >= self._enhanced_from()
        return Imagining.REGIONS if wanted and soon else Imagining.NOTHING

    def imagine(self, view: ImaginedView, features: FrameFeatures) -> None:
        """A view that nobody captured joins, with what the segmenter proposes on its rendering.

        Its classes are the field's own, so it is trained on from its first renewal on. One without
        regions was made for another method, and would be renewed into what the field says anyway.
        Where there is no room the oldest one goes.
        """
        if self.imagining is Imagining.NOTHING or not features.proposals:
            return
        pixels = imagined_view(view.camera, view.world_from_camera, features.proposals)
        if len(self._imagined) == self._config.novel_views:
            del self._imagined[min(self._imagined)]
        self._imagined[self._imagined_ever] = ClassView(pixels, None, None, self._enhanced_from())
        self._imagined_ever += 1
        self._to_imagine -= 1

    def _enhanced_from(self) -> int:
        """Steps after which the field's own classes come in."""
        return round(self._config.enhance_from * self._config.run_steps)

    def forget(self, keyframe_id: int) -> None:
        """No longer trains on the view."""
        self._captured.pop(keyframe_id, None)
        self._due_of_moved.pop(keyframe_id, None)

    def poses_changed(self) -> None:
        """Forgets all views, save the time of captured ones, and wants as many imagined anew."""
        self._due_of_moved |= {key: view.due_step for key, view in self._captured.items()}
        self._captured.clear()
        self._imagined.clear()
        self._to_imagine = self._config.novel_views

    def step(self, quadrature: Quadrature) -> dict[str, float]:
        """Renews the class map that is longest due, and trains on random pixels of a view."""
        if not self._captured:
            return {}
        self._renew_next(quadrature)
        self._steps += 1
        losses = self._losses(self._draw(), quadrature)
        self._optimiser.step(torch.stack(list(losses.values())).sum())
        return {name: loss.item() for name, loss in losses.items()}

    def _draw(self) -> ClassView:
        ready = [v for v in self._imagined.values() if v.class_of_pixel is not None]
        views = [*self._captured.values(), *ready]
        return views[int(self._rng.integers(len(views)))]

    def _losses(self, view: ClassView, quadrature: Quadrature) -> dict[str, torch.Tensor]:
        config, head = self._config, self._head
        pick = view.view.draw(self.rays_of(config.rays), self._rng)
        along = view.view.look(pick, quadrature).heaviest(SAMPLES)
        encoded = head.encode(along.points.reshape(-1, 3))
        seen = nn.functional.normalize(rendered(along.weights, head.vectors(encoded)), dim=1)
        logits = seen @ torch.from_numpy(self._classes).to(seen).T / config.temperature
        assert view.class_of_pixel is not None
        target = torch.from_numpy(view.class_of_pixel[pick]).to(seen.device)
        losses = {"class": config.class_weight * nn.functional.cross_entropy(logits, target)}
        if view.tiles is not None:
            feature = torch.from_numpy(view.tiles.features(view.view.uv, pick)).to(seen)
            cosine = (seen * feature).sum(dim=1)
            losses["feature"] = config.feature_weight * (1 - cosine).mean()
        dense = dense_losses(head, encoded, along.weights, logits, view.view, pick)
        return losses | {name: config.dense_weight * loss for name, loss in dense.items()}

    def _renew_next(self, quadrature: Quadrature) -> None:
        """At most one view a step, so that a step never takes long."""
        if not self._config.enhancement:
            return
        every = max(1, round(self._config.renew_every * self._config.run_steps))
        both = [(views, k) for views in (self._captured, self._imagined) for k in views]
        views, key = min(both, key=lambda at: at[0][at[1]].due_step)
        view = views[key]
        if view.due_step <= self._steps:
            own = self._class_map(view.view, quadrature)
            if self._config.ranking != "none":
                own = rank_regions(own, view.view.regions, self._config.clear_majority)
            views[key] = replace(view, class_of_pixel=own, due_step=self._steps + every)

    def _class_map(self, view: PixelView, quadrature: Quadrature) -> Ints:
        """(P,) the classes Ŝ that the field renders in a view (eq. 3)."""
        with torch.no_grad():
            along = view.look(np.arange(len(view.uv)), quadrature).heaviest(SAMPLES)
            vectors = self._head.vectors(self._head.encode(along.points.reshape(-1, 3)))
            seen = rendered(along.weights, vectors).cpu().numpy()
        return np.asarray((seen @ self._classes.T).argmax(axis=1), np.int64)

    def _first_classes(self, class_of_pixel: Ints, view: LanguageView) -> Ints:
        """(P,) the classes of the tiles, made whole as the config says."""
        if self._config.ranking == "none":
            return class_of_pixel
        if self._config.ranking == "majority":
            return rank_regions(class_of_pixel, view.regions)
        own = (view.language.astype(np.float32) @ self._classes.T).argmax(axis=1)
        return name_regions(class_of_pixel, view.regions, np.asarray(own, np.int64))

    def surface_features(self, points: Floats) -> Array:
        """(N, E) f16 what the grid holds at (N, 3) surface points."""
        return surface_features(self._head, points)

    def freeze(self) -> FrozenOvNerf:
        """A copy that answers for any classes."""
        head, temperature = self._head.frozen(), self._config.temperature
        return FrozenOvNerf(self.name, head, self._classes, temperature, self._steps > 0)

    def state(self) -> dict[str, torch.Tensor]:
        """The head and the number of steps."""
        return self._head.named_state() | {"steps": torch.tensor(self._steps)}

    def load_state(self, state: dict[str, torch.Tensor]) -> None:
        """The inverse of `state`."""
        self._head.load_named_state(state)
        self._steps = int(state["steps"])
