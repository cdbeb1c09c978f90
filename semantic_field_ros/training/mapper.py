"""Everything that the training thread owns: field, semantic methods and surface, as one map."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from semantic_field_ros.config import Config
from semantic_field_ros.field.bounds import SceneBounds
from semantic_field_ros.field.surface import Render, SurfaceBuilder
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.semantics.base import Imagining, SemanticMethod
from semantic_field_ros.training.checkpoint import with_prefix, without_prefix
from semantic_field_ros.training.guided import Floats, GuidedLook
from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.training.trainer import Trainer
from semantic_field_ros.types import FrameFeatures, ImaginedView, Keyframe

#: keyframes whose part of the surface is made anew for a snapshot, and rays rendered for them: at
#: most as many as take a good second of two cores.
REFRESHED, RENDERED = 32, 50_000
#: a box that was fixed from the first keyframes is passed by a robot that goes on; surface is kept
#: in one this many times as large.
REACH = 4.0
#: what a keyframe shows has moved if its middle went farther than this, all at once or bit by bit,
#: metres.
RELEARN_M = 0.02
#: so long the moved surface is better than what the field shows at the new poses, steps.
RELEARN_STEPS = 150


class Mapper:
    """Drives a `Trainer`, its methods and the surface; used by the training thread only.

    Args:
        config: the whole tree.
        bounds: of the scene.
        memory: where keyframes are.
        methods: semantic methods by name.
    """

    def __init__(
        self,
        config: Config,
        bounds: SceneBounds,
        memory: ReplayMemory,
        methods: Mapping[str, SemanticMethod],
    ) -> None:
        self.bounds = bounds
        self._config, self._memory = config, memory
        self._trainer = Trainer(config, memory, bounds, methods)
        self._surface = _surface_builder(config, bounds)
        self._relearnt_at = 0
        self._went_m: dict[int, NDArray[np.float64]] = {}
        self._observed: set[int] = set()
        self._loaded: set[int] = set()
        self._untold: dict[int, list[SemanticMethod]] = {}
        self._rendered_at = -1

    @property
    def steps(self) -> int:
        """Optimisation steps so far, also before the map was saved and loaded."""
        return self._trainer.steps

    def step(self) -> dict[str, float]:
        """One optimisation step; named losses."""
        return self._trainer.step()

    @property
    def lags(self) -> bool:
        """Whether some method's answers wait for keyframes that are to be observed again."""
        return any(method.lags for method in self._trainer.methods.values())

    def add_keyframe(self, keyframe_id: int, slot: int) -> None:
        """A keyframe was added to the memory."""
        self._trainer.add_keyframe(keyframe_id, slot)

    def forget_keyframe(self, keyframe_id: int) -> None:
        """A keyframe was evicted from the memory."""
        self._trainer.forget_keyframe(keyframe_id)
        self._surface.forget(keyframe_id)
        self._observed.discard(keyframe_id)
        self._loaded.discard(keyframe_id)
        self._untold.pop(keyframe_id, None)
        self._went_m.pop(keyframe_id, None)

    def observe(self, keyframe: Keyframe) -> None:
        """A keyframe's features have arrived, or have come back with a map that was loaded.

        They are taken in once: news may reach those that were observed anew already. After a
        method has failed, those before it are not told again.
        """
        again = keyframe.id in self._loaded
        if keyframe.id in self._observed and not again:
            return
        untold = self._untold.setdefault(keyframe.id, [*self._trainer.methods.values()])
        while untold:
            (untold[0].recall if again else untold[0].observe)(keyframe)
            del untold[0]
        del self._untold[keyframe.id]
        self._loaded.discard(keyframe.id)
        self._observed.add(keyframe.id)

    def imagine(self, view: ImaginedView, features: FrameFeatures) -> None:
        """An imagined view and its features have arrived."""
        for method in self._trainer.methods.values():
            method.imagine(view, features)

    def poses_changed(self) -> bool:
        """Keyframes in the memory have moved: their surface moves along, training follows.

        Returns:
            Whether some have moved so far, since this last was so, that what was learnt there must
            be learnt anew, and features must be observed again.
        """
        poses = {view.keyframe_id: view.world_from_camera for view in self._memory.views()}
        for keyframe_id, went_m in self._surface.move(poses).items():
            self._went_m[keyframe_id] = self._went_m.get(keyframe_id, np.zeros(3)) + went_m
        moved = [i for i, went_m in self._went_m.items() if np.linalg.norm(went_m) > RELEARN_M]
        if moved:
            self._went_m.clear()
            self._trainer.poses_changed(moved)
            self._relearnt_at = self._trainer.steps + RELEARN_STEPS
            self._observed.clear()
            self._loaded.clear()
            self._untold.clear()
        return bool(moved)

    def snapshot(self, map_version: int) -> Snapshot:
        """An immutable copy, with some of the surface rendered anew.

        Without a step since the last one there is nothing new to render: a map that was saved
        and loaded answers as before.
        """
        frozen = self._trainer.field.frozen()
        look = GuidedLook(frozen, self._config)
        views = self._memory.views()
        if self._trainer.steps != self._rendered_at:
            self._refresh({view.keyframe_id for view in views}, look.surface)
            self._rendered_at = self._trainer.steps
        cloud = self._surface.cloud(map_version)
        features = {
            name: method.surface_features(cloud.points)
            for name, method in self._trainer.methods.items()
            if len(cloud.points)
        }
        return Snapshot(
            map_version=map_version,
            stamp_ns=views[-1].stamp_ns if views else 0,
            surface=replace(cloud, features=features),
            field=frozen,
            quadrature=look.quadrature,
            methods={name: m.freeze() for name, m in self._trainer.methods.items()},
            method_ms=self._trainer.method_ms(),
            depths=tuple(self._surface.depths()),
            imagining=max(
                (m.imagining for m in self._trainer.methods.values()), default=Imagining.NOTHING
            ),
        ).prepare()

    def _refresh(self, ids: set[int], render: Render) -> None:
        """Makes parts of the surface anew.

        While poses are learnt anew the field shows things where they were: then only what new
        keyframes have measured counts.
        """
        relearning = self._trainer.steps < self._relearnt_at
        if relearning:
            ids -= {seen.keyframe_id for seen in self._surface.depths()}
        due = self._surface.due(ids)[:REFRESHED]
        held = (self._memory.get(keyframe_id) for keyframe_id in due)
        present = (keyframe for keyframe in held if keyframe is not None)
        if relearning:
            present = (keyframe for keyframe in present if keyframe.frame.depth_m is not None)
        self._surface.refresh(present, _nothing_seen if relearning else render, RENDERED)

    def halve(self, times: int) -> None:
        """Computes so many times half as much at once as configured."""
        self._trainer.shrink(0.5**times)

    def state(self) -> dict[str, torch.Tensor]:
        """Everything a checkpoint needs beside the keyframes, as copies.

        They can be written while training goes on.
        """
        surface = {k: torch.from_numpy(v) for k, v in self._surface.state().items()}
        field = {k: v.detach().clone() for k, v in self._trainer.field.state_dict().items()}
        tensors = with_prefix("field", field) | with_prefix("surface", surface)
        tensors |= with_prefix("trainer", self._trainer.state())
        tensors["relearnt_at"] = torch.tensor(self._relearnt_at)
        tensors["observed"] = torch.tensor(sorted(self._observed), dtype=torch.int64)
        for name, method in self._trainer.methods.items():
            tensors |= with_prefix(f"methods.{name}", method.state())
        return tensors

    def load_state(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """The inverse of `state`; the keyframes are added afterwards.

        Raises:
            ValueError: tensors are missing, do not fit, or are not finite.
        """
        try:
            self._trainer.field.load_state_dict(_finite("field", tensors))
            self._trainer.load_state(_finite("trainer", tensors))
            self._relearnt_at = int(tensors["relearnt_at"])
            self._observed = set(tensors["observed"].tolist())
            self._loaded = self._observed.copy()
            for name, method in self._trainer.methods.items():
                method.load_state(_finite(f"methods.{name}", tensors))
        except (RuntimeError, KeyError) as error:
            raise ValueError(f"the map does not fit this configuration: {error}") from error
        surface = without_prefix("surface", tensors)
        self._surface.load_state({name: tensor.numpy() for name, tensor in surface.items()})
        if self._surface.depths():
            self._rendered_at = self._trainer.steps

    def keep_only(self, keyframe_ids: Collection[int]) -> None:
        """Forgets all other keyframes, as if the memory had evicted them."""
        rendered = {seen.keyframe_id for seen in self._surface.depths()}
        known = self._observed | self._trainer.keyframe_ids() | rendered
        for keyframe_id in known.difference(keyframe_ids):
            self.forget_keyframe(keyframe_id)


def _nothing_seen(origins: Floats, directions: Floats) -> tuple[Floats, Floats]:
    """Depth and opacity of a field that shows nothing; see `Render`."""
    return np.full(len(origins), np.nan, np.float32), np.zeros(len(origins), np.float32)


def _finite(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Those under `prefix.`, if nothing in them is NaN or infinite."""
    found = without_prefix(prefix, tensors)
    for name, tensor in found.items():
        if not tensor.isfinite().all():
            raise ValueError(f"{prefix}.{name} of the map must be finite, got NaN or Inf")
    return found


def _surface_builder(config: Config, bounds: SceneBounds) -> SurfaceBuilder:
    """Keeps surface inside a configured box, or within some reach of one that was guessed."""
    kept = bounds if config.scene.box_m is not None else bounds.stretched(REACH)
    noise_per_m = config.training.depth_noise_per_m
    return SurfaceBuilder(config.surface, kept.minimum, kept.maximum, noise_per_m)
