"""Refined answers: an object field trained for one question (SANeRF-HQ, section 3).

Prompts are decoded in many views (`decoding.py`), the views choose among their masks until they
agree (`click.py`), and an object field on the snapshot's frozen geometry makes one 3D answer of
the masks. Several objects are told apart by one field. The answer is the mean of what the field
and the votes say: the votes know what the map has told apart, the field where rays really end.
All of it is dropped with the answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.config import Config
from semantic_field_ros.models.base import Segmenter
from semantic_field_ros.queries.base import Progress
from semantic_field_ros.queries.click import agree, clicked_part, raw_scores
from semantic_field_ros.queries.decoding import (
    ClickView,
    DecodedView,
    WorldPrompts,
    decode_again,
    decode_click,
)
from semantic_field_ros.queries.text import RegionLimits
from semantic_field_ros.semantics.base import MEMBER, Region
from semantic_field_ros.semantics.object_field import ObjectField
from semantic_field_ros.semantics.object_rays import DecodedMasks, FrozenGeometry
from semantic_field_ros.semantics.outlines import member_scores, members_along_edges
from semantic_field_ros.training.snapshot import Snapshot
from semantic_field_ros.types import SurfaceCloud

Floats = NDArray[np.float32]
Logits = NDArray[np.float16]

#: share of the time that decoding takes.
DECODING_SHARE = 0.2


@dataclass(frozen=True)
class AskedObject:
    """What points at one object.

    Attributes:
        prompts: points on it.
        things: what the map has told apart, or thinks it is.
    """

    prompts: WorldPrompts
    things: Sequence[Region] = ()


@dataclass(frozen=True)
class Sight:
    """Where masks come from.

    Attributes:
        views: where prompts may be decoded.
        segmenter: whose decoder is used.
        most: views decoded for each object.
    """

    views: Sequence[ClickView]
    segmenter: Segmenter
    most: int


@dataclass(frozen=True)
class _ViewMasks:
    """A view's mask of each object that it shows, and how well it agrees with other views."""

    view: ClickView
    logits: dict[int, Logits]
    support: dict[int, float]


class Refiner:
    """Makes answers of the masks of many views.

    Args:
        config: how, and how long.
        limits: what an answer must have.
    """

    def __init__(self, config: Config, limits: RegionLimits) -> None:
        self._options, self._limits = config.semantics.object_field, limits
        self._with = config.queries.refine_with

    def regions(
        self, snapshot: Snapshot, regions: Sequence[Region], sight: Sight, progress: Progress
    ) -> list[Region]:
        """The regions as the segmenter draws them when their middles are clicked.

        They are told apart together, each as one object; what gets lost is returned as it was.
        """
        surface, limits = snapshot.surface, self._limits
        asked = [AskedObject(_middle(surface, region), (region,)) for region in regions]
        scores = self.scores(snapshot, asked, sight, progress)
        refined = []
        for region, one, membership in zip(regions, asked, scores, strict=True):
            members = members_along_edges(surface, membership)
            part = clicked_part(surface.points, members, one.prompts, limits.links_m(surface))
            enough = len(part) >= limits.min_points
            drawn = replace(region, indices=part, point_scores=member_scores(membership, part))
            refined.append(drawn if enough else region)
        return refined

    def scores(
        self,
        snapshot: Snapshot,
        objects: Sequence[AskedObject],
        sight: Sight,
        progress: Progress,
    ) -> Floats:
        """(K, N) membership in [0, 1] of the N surface points in each of K objects.

        Args:
            snapshot: of the map.
            objects: K of them.
            sight: where masks come from.
            progress: told the share that is done; what it raises ends the work.
        """
        points = snapshot.surface.points
        votes = np.zeros((len(objects), len(points)), np.float32)
        found: dict[int, _ViewMasks] = {}
        for number, asked in enumerate(objects):
            progress(DECODING_SHARE * number / len(objects))
            if self._with == "masks":
                votes[number] = raw_scores(points, _decode(points, asked, sight))
            else:
                votes[number] = _agree(points, number, asked, sight, found)
        if self._with != "object_field" or not found:
            return votes
        views = [_masks(view) for view in found.values()]
        geometry = FrozenGeometry(snapshot.field, snapshot.quadrature)
        field = ObjectField(self._options, geometry, len(objects))
        field.train(views, lambda done: progress(DECODING_SHARE + (1 - DECODING_SHARE) * done))
        votes += field.identities(points)[:, 1:].T
        votes /= 2
        return votes


def _decode(points: Floats, asked: AskedObject, sight: Sight) -> list[DecodedView]:
    return decode_click(points, asked.prompts, sight.views, sight.segmenter, sight.most)


def _agree(
    points: Floats, number: int, asked: AskedObject, sight: Sight, found: dict[int, _ViewMasks]
) -> Floats:
    """Adds the masks of one object to those of its views; (N,) how they vote on the surface."""
    decoded = _decode(points, asked, sight)
    agreed = agree(points, asked.prompts, decoded, asked.things)
    decoded = decode_again(points, agreed.scores > MEMBER, decoded, sight.segmenter)
    agreed = agree(points, asked.prompts, decoded, asked.things)
    for seen, mask, support in zip(decoded, agreed.chosen, agreed.support, strict=True):
        key = seen.view.keyframe_id
        into = found.setdefault(key, _ViewMasks(seen.view, {}, {}))
        into.logits[number], into.support[number] = seen.logits[mask], support
    return agreed.scores


def _masks(found: _ViewMasks) -> DecodedMasks:
    camera, objects = found.view.camera, list(found.logits)
    depth_m = found.view.depth_m()
    if depth_m is None:
        depth_m = np.full((camera.height, camera.width), np.nan, np.float32)
    return DecodedMasks(
        camera,
        found.view.world_from_camera,
        depth_m,
        np.array(objects, np.int64) + 1,
        np.stack([found.logits[number] for number in objects]),
        float(np.mean([found.support[number] for number in objects])),
        found.view.ignored(),
    )


def _middle(surface: SurfaceCloud, region: Region) -> WorldPrompts:
    """A click on the middle of a region."""
    own = surface.points[region.indices]
    middle = own[np.argmin(np.linalg.norm(own - np.median(own, axis=0), axis=1))]
    return WorldPrompts(middle[None], np.array([True]))
