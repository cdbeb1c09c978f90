"""From questions and a snapshot to `QueryAnswer`, with its latency and its reason."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.config import Config, ObjectFieldConfig, QueriesConfig
from semantic_field_ros.keyframes.memory import ReplayMemory
from semantic_field_ros.models.base import LanguageModel, Prompts, Segmenter
from semantic_field_ros.queries.base import (
    ClickQuery,
    Progress,
    Relation,
    TextQuery,
    ViewMask,
    unwatched,
)
from semantic_field_ros.queries.click import click_scores, clicked_part
from semantic_field_ros.queries.decoding import cached_view, settle_box
from semantic_field_ros.queries.latencies import Latencies
from semantic_field_ros.queries.layers import LAYERS, LayerView, looked_into
from semantic_field_ros.queries.masks import make_mask
from semantic_field_ros.queries.pointing import lift_click
from semantic_field_ros.queries.refining import AskedObject, Refiner, Sight
from semantic_field_ros.queries.relations import candidates, keep_related
from semantic_field_ros.queries.segment import ViewDecoder, lift_mask, pointed_at, prompts_of_masks
from semantic_field_ros.queries.text import (
    LARGEST_OVERLAP,
    RegionLimits,
    tidy_drawn,
)
from semantic_field_ros.queries.visibility import visible_points
from semantic_field_ros.queries.words import Words
from semantic_field_ros.semantics.base import Region
from semantic_field_ros.semantics.outlines import member_scores, members_along_edges
from semantic_field_ros.semantics.regions import suppress_overlaps
from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.types import Mask3D, PinholeCamera, QueryAnswer, SurfaceCloud

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class _Found:
    """Masks for a phrase, best first; where there are none why, and the best score of all."""

    masks: list[Mask3D]
    reason: str = ""
    best_score: float = 0.0


class Answering:
    """Reads snapshots, never the live field.

    Args:
        config: how to answer.
        language, segmenter: the 2D models; both may be called from several threads.
        memory: cached features of keyframes.
        scales: width of a camera's keyframes by that of its images, for each camera.

    Attributes:
        words: what phrases mean, on the whole surface too.

    Raises:
        ValueError: the config names what there is not.
    """

    def __init__(
        self,
        config: Config,
        language: LanguageModel,
        segmenter: Segmenter,
        memory: ReplayMemory,
        scales: Mapping[str, float],
    ) -> None:
        self._config, self._segmenter = config, segmenter
        self._memory, self._scales = memory, scales
        self.words = Words(config.semantics, language)
        self._limits = RegionLimits(config.queries.link_spacings, config.queries.min_points)
        self._refiner = Refiner(config, self._limits)
        self._latencies = Latencies()
        self._last_view: tuple[tuple[int, PinholeCamera, bytes], LayerView] | None = None
        self._decoder = ViewDecoder(segmenter)

    def retune(self, queries: QueriesConfig, refining: ObjectFieldConfig | None) -> Config:
        """Answers questions that come from now on in another way.

        Args:
            queries: how.
            refining: options of refined answers; None = as they are.

        Returns:
            The configuration as it is now.

        Raises:
            ValueError: there is no such way; nothing changes.
        """
        config = replace(self._config, queries=queries)
        if refining is not None:
            config = replace(config, semantics=replace(config.semantics, object_field=refining))
        limits = RegionLimits(queries.link_spacings, queries.min_points)
        self._refiner = Refiner(config, limits)
        self._config, self._limits = config, limits
        return config

    def warm_up(self) -> None:
        """Compiles and loads what the first question would have to wait for."""
        camera = PinholeCamera(8, 8, 8.0, 8.0, 3.5, 3.5)
        visible_points(np.ones((1, 3), np.float32), camera, np.eye(4))
        self.words.warm_up()

    def text(
        self, snapshot: Snapshot | None, query: TextQuery, progress: Progress = unwatched
    ) -> QueryAnswer:
        """Where is it?"""
        started_s = time.monotonic()
        found = self._find(snapshot, query, progress)
        if snapshot is None or not found.masks:
            return self._nothing(snapshot, found.reason, started_s, found.best_score)
        return self._answer(snapshot, found.masks, started_s)

    def _find(
        self, snapshot: Snapshot | None, query: TextQuery, progress: Progress = unwatched
    ) -> _Found:
        """What answers a phrase, as a question of its own or as a part of another."""
        label = query.text.strip()
        if not label:
            return _Found([], "the text is empty")
        if snapshot is None:
            return _Found([], "there is no map yet")
        if self.words.missing:
            return _Found([], self.words.missing)
        surface, method = snapshot.surface, self.words.method(snapshot)
        result = self.words.find(snapshot, query, self._limits)
        if not result.regions:
            return _Found([], result.reason, result.best_score)
        tidied = partial(tidy_drawn, surface=surface, box_m=query.region_m, limits=self._limits)
        regions = result.regions
        regions = candidates(regions) if query.relations else regions[: query.max_results]
        drawn = [method.outlined(surface, region) for region in regions]
        masks = _masks(surface, tidied(regions, drawn), label)
        for relation in query.relations:
            related = self._related(snapshot, masks, relation, query)
            if isinstance(related, str):
                return _Found([], related)
            masks = related
        masks = masks[: query.max_results]
        if query.refine:
            regions = [Region(mask.indices, mask.point_scores, mask.score) for mask in masks]
            sight = self._sight(snapshot, refine=True)
            drawn = self._refiner.regions(snapshot, regions, sight, progress)
            masks = _masks(surface, tidied(regions, drawn), label)
        return _Found(masks)

    def _related(
        self, snapshot: Snapshot, masks: list[Mask3D], relation: Relation, query: TextQuery
    ) -> list[Mask3D] | str:
        """The masks that stand in the relation, or why there is none."""
        pose = query.reference_pose
        if pose is None:
            views = self._memory.views()
            pose = views[-1].world_from_camera if views else np.eye(4)
        anchors = self._find(snapshot, TextQuery(relation.anchor, negatives=query.negatives))
        if not anchors.masks:
            return f"{query.text.strip()!r} is there, but {anchors.reason}"
        kept = keep_related(masks, anchors.masks, relation, pose)
        what = f"{relation.relation} {relation.anchor!r}"
        return kept or f"{query.text.strip()!r} is there, but not {what}"

    def click(
        self, snapshot: Snapshot | None, query: ClickQuery, progress: Progress = unwatched
    ) -> QueryAnswer:
        """What is this?"""
        started_s = time.monotonic()
        if snapshot is None:
            return self._nothing(None, "there is no map yet", started_s)
        prompts = lift_click(snapshot, query, self._memory, self._scales)
        if isinstance(prompts, str):
            return self._nothing(snapshot, prompts, started_s)
        surface, limits = snapshot.surface, self._limits
        sight = self._sight(snapshot, query.refine)
        prompts = settle_box(prompts, sight.views, sight.segmenter)
        things = self.words.method(snapshot).instances(surface)
        if query.refine:
            asked = [AskedObject(prompts, things)]
            scores = self._refiner.scores(snapshot, asked, sight, progress)[0]
        else:
            scores = click_scores(
                surface.points, prompts, sight.views, sight.segmenter, sight.most, things
            )
        members = members_along_edges(surface, scores)
        indices = clicked_part(surface.points, members, prompts, limits.links_m(surface))
        if len(indices) < limits.min_points:
            reason = f"no view sees the click well enough ({len(sight.views)} have features)"
            return self._nothing(snapshot, reason, started_s)
        point_scores = member_scores(scores, indices)
        mask = make_mask(surface, indices, point_scores, "", float(point_scores.mean()))
        return self._answer(snapshot, [mask], started_s)

    def instances(
        self,
        snapshot: Snapshot | None,
        vocabulary: Sequence[str],
        refine: bool = False,
        progress: Progress = unwatched,
    ) -> QueryAnswer:
        """Everything there is, labelled from the vocabulary where it has one.

        To refine, all of it is told apart by one object field.
        """
        started_s = time.monotonic()
        if snapshot is None:
            return self._nothing(None, "there is no map yet", started_s)
        if self.words.missing:
            return self._nothing(snapshot, self.words.missing, started_s)
        surface, method = snapshot.surface, self.words.method(snapshot)
        regions = method.instances(surface)
        least = self._config.queries.min_points
        regions = [region for region in regions if len(region.indices) >= least]
        kept = suppress_overlaps(
            [r.indices for r in regions], len(surface.points), LARGEST_OVERLAP
        )
        if not kept:
            return self._nothing(snapshot, "nothing has been told apart yet", started_s)
        regions = [method.outlined(surface, regions[i]) for i in kept]
        if refine:
            sight = self._sight(snapshot, refine=False)  # few views of each, for there are many
            regions = self._refiner.regions(snapshot, regions, sight, progress)
        masks = [
            make_mask(surface, r.indices, r.point_scores, self.words.label(r, vocabulary), r.score)
            for r in regions
        ]
        return self._answer(snapshot, masks, started_s)

    def render(
        self,
        snapshot: Snapshot | None,
        camera: PinholeCamera,
        world_from_camera: NDArray[np.float64],
        layer: str,
        text: str,
    ) -> NDArray[Any]:
        """A picture; see `SemanticField.render`."""
        if layer not in LAYERS:
            raise ValueError(f"layer must be one of {LAYERS}, got {layer!r}")
        snapshot = looked_into(snapshot, camera, world_from_camera)
        view = self._looked_at(snapshot, camera, world_from_camera)
        if layer == "rgb":
            return view.rgb()
        if layer == "depth":
            return view.depth_m()
        if layer == "features":
            return view.features("sam_features")
        if layer == "mask":
            return view.mask(self.words.method(snapshot).instances(snapshot.surface))
        return view.scores(self.words.relevancy(snapshot, text))

    def _looked_at(
        self, snapshot: Snapshot, camera: PinholeCamera, world_from_camera: NDArray[np.float64]
    ) -> LayerView:
        """A view; the last one is kept, for whoever wants several layers of it."""
        key = (snapshot.map_version, camera, world_from_camera.tobytes())
        kept = self._last_view
        if kept is None or kept[0] != key:
            kept = self._last_view = (key, LayerView(snapshot, camera, world_from_camera))
        return kept[1]

    def segment_view(
        self,
        snapshot: Snapshot | None,
        camera: PinholeCamera,
        world_from_camera: NDArray[np.float64],
        asked: Prompts | TextQuery,
    ) -> ViewMask:
        """A mask in a view; see `SemanticField.segment_view`."""
        started_s = time.monotonic()
        snapshot = looked_into(snapshot, camera, world_from_camera)
        if isinstance(asked, Prompts):
            prompts, reason = pointed_at(asked, camera)
        else:
            found = self._find(snapshot, asked)
            prompts = prompts_of_masks(found.masks, snapshot.surface, camera, world_from_camera)
            reason = found.reason or f"{asked.text.strip()!r} is there, but not in this view"
        mask, score = np.zeros((camera.height, camera.width), np.bool_), 0.0
        if prompts is not None:
            mask, score = self._decoder.decode(snapshot, camera, world_from_camera, prompts)
            reason = "the decoder sees nothing there"
        lifted = lift_mask(mask, snapshot.surface, camera, world_from_camera)
        shown = None
        if len(lifted) >= self._limits.min_points:
            members = np.ones(len(lifted), np.float32)
            label = "" if isinstance(asked, Prompts) else asked.text.strip()
            shown = make_mask(snapshot.surface, lifted, members, label, score)
        shows, took_s = bool(mask.any()), self._took(started_s)
        reason = "" if shows else reason
        return ViewMask(shows, reason, mask, score, prompts, shown, took_s, snapshot.map_version)

    def embedding(
        self,
        snapshot: Snapshot | None,
        camera: PinholeCamera,
        world_from_camera: NDArray[np.float64],
    ) -> NDArray[np.float16]:
        """The embedding of a view; see `SemanticField.render_embedding`."""
        snapshot = looked_into(snapshot, camera, world_from_camera)
        return self._decoder.embedding(snapshot, camera, world_from_camera)

    def status(self) -> dict[str, float]:
        """How many questions, and how long the latest took."""
        return self._latencies.status()

    def _sight(self, snapshot: Snapshot, refine: bool) -> Sight:
        """Keyframes whose embedding is cached, or rendered if the config asks for that."""
        views = [
            cached_view(view, features, self._memory)
            for view in self._memory.views()
            if (features := self._memory.features(view.keyframe_id)) is not None
        ]
        queries = self._config.queries
        if queries.click_features != "cached":
            views = [
                replace(
                    v, embedding=partial(self.embedding, snapshot, v.camera, v.world_from_camera)
                )
                for v in views
            ]
        most = queries.refined_views if refine else queries.click_views
        return Sight(views, self._segmenter, most)

    def _answer(self, snapshot: Snapshot, masks: list[Mask3D], started_s: float) -> QueryAnswer:
        best, took_s = masks[0].score, self._took(started_s)
        return QueryAnswer(True, "", masks, best, took_s, snapshot.map_version, snapshot.stamp_ns)

    def _nothing(
        self, snapshot: Snapshot | None, reason: str, started_s: float, score: float = 0.0
    ) -> QueryAnswer:
        version, stamp_ns = (snapshot.map_version, snapshot.stamp_ns) if snapshot else (0, 0)
        return QueryAnswer(False, reason, [], score, self._took(started_s), version, stamp_ns)

    def _took(self, started_s: float) -> float:
        latency_s = time.monotonic() - started_s
        self._latencies.add(latency_s)
        return latency_s


def _masks(surface: SurfaceCloud, regions: Sequence[Region], label: str) -> list[Mask3D]:
    return [make_mask(surface, r.indices, r.point_scores, label, r.score) for r in regions]
