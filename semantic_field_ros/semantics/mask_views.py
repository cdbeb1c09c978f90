"""What MaskField remembers of each view to train on."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.semantics.lifting import LiftedView
from semantic_field_ros.types import Keyframe

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

SAMPLES = 6000
#: steps before a view without sensor depth is lifted, so that there is a surface to lift it to.
STEPS_TO_SURFACE = 75
#: where no camera has depth, all views are lifted anew when the steps have grown by this factor.
RELIFT_FACTOR = 2.0


@dataclass(frozen=True)
class MaskView:
    """A view's rays, with the masks and queries they belong to.

    Attributes:
        origin: (3,) f32 camera centre.
        directions: (P, 3) f32, of z-depth length.
        depth_m: (P,) f32 along the optical axis, known.
        inside: (⌈M/8⌉, P) u8, bits of the (M, P) masks.
        query_of_mask: (M,) i64, -1 = none.
    """

    origin: Floats
    directions: Floats
    depth_m: Floats
    inside: NDArray[np.uint8]
    query_of_mask: Ints

    def points(self, pick: Ints) -> Floats:
        """(R, 3) world points of some of the samples."""
        return self.origin + self.directions[pick] * self.depth_m[pick, None]

    def targets(self, pick: Ints, queries: int) -> tuple[Floats, NDArray[np.bool_]]:
        """(queries, R) 1 inside the masks matched to each query, and (queries,) which were."""
        masks = np.unpackbits(self.inside[:, pick], axis=0, count=len(self.query_of_mask))
        target, matched = np.zeros((queries, len(pick)), np.float32), np.zeros(queries, np.bool_)
        for mask, query in enumerate(self.query_of_mask):
            if query >= 0:
                np.maximum(target[query], masks[mask], out=target[query])
                matched[query] = True
        return target, matched


class ViewStore:
    """Views to train on, and views that wait for rendered depth.

    Of views that were loaded it remembers only what they were matched to; their rays come back
    with their keyframes.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._views: dict[int, MaskView] = {}
        self._remembered: dict[int, Ints] = {}
        self._without_depth: dict[int, Keyframe] = {}
        self._waiting: deque[int] = deque()
        self._expected: set[int] = set()
        self._steps = 0
        self._some_measured = False
        self._relift_at = RELIFT_FACTOR * STEPS_TO_SURFACE

    def add(self, keyframe: Keyframe, view: LiftedView, query_of_mask: Ints) -> None:
        """Keeps up to `SAMPLES` rays of a lifted view, half of them inside masks."""
        if len(view.points) == 0:
            return
        pick = self._pick(np.asarray(view.masks.any(axis=0)))
        points = view.points[pick]
        pose = keyframe.frame.world_from_camera.astype(np.float32)
        offset = points - pose[:3, 3]
        depth_m = offset @ pose[:3, 2]
        self._views[keyframe.id] = MaskView(
            pose[:3, 3],
            (offset / depth_m[:, None]).astype(np.float32),
            depth_m.astype(np.float32),
            np.packbits(view.masks[:, pick], axis=0),
            query_of_mask,
        )

    def _pick(self, inside: NDArray[np.bool_]) -> Ints:
        count = min(SAMPLES, len(inside))
        anywhere = self._rng.integers(len(inside), size=count)
        in_masks = np.flatnonzero(inside)
        if len(in_masks):
            anywhere[: count // 2] = self._rng.choice(in_masks, count // 2)
        return anywhere

    def moved(self) -> None:
        """Every view lies where it no longer is, and will be observed again."""
        self._expected = {*self._views, *self._without_depth, *self._remembered}
        self._waiting.clear()
        self._remembered.clear()  # their votes are gone too

    def observed(self, keyframe_id: int) -> None:
        """A view is as its keyframe says now."""
        self._expected.discard(keyframe_id)

    def measured(self) -> None:
        """A view with sensor depth came: geometry is right from the start, and so is lifting."""
        self._some_measured = True

    def wait_for_depth(self, keyframe: Keyframe) -> None:
        """A view whose depth must be rendered before it can be lifted."""
        self._without_depth[keyframe.id] = keyframe
        self._waiting.append(keyframe.id)

    @property
    def waiting(self) -> int:
        """Views that are still to be lifted."""
        return len(self._waiting) + len(self._expected) + len(self._remembered)

    def due(self) -> Keyframe | None:
        """Counts a step; the next view whose turn to be lifted has come."""
        self._steps += 1
        if self._steps < STEPS_TO_SURFACE or not self._waiting:
            return None
        return self._without_depth.get(self._waiting.popleft())

    def relift(self) -> bool:
        """Whether it is time to lift all views anew, none of which has depth; they wait again."""
        if self._some_measured or self.waiting or not self._without_depth:
            return False
        if self._steps < self._relift_at:
            return False
        self._relift_at = RELIFT_FACTOR * self._steps
        self._waiting.extend(self._without_depth)
        return True

    def query_of_mask(self, keyframe_id: int) -> Ints | None:
        """(M,) queries that the masks of a view were last matched to, None if it never was."""
        view = self._views.get(keyframe_id)
        return self._remembered.get(keyframe_id) if view is None else view.query_of_mask

    def recall(self, keyframe_id: int) -> bool:
        """Whether a view is one of those that were loaded and have come back only now."""
        return self._remembered.pop(keyframe_id, None) is not None

    def renumber(self, went: Ints) -> None:
        """Queries were merged or dropped: (Q + 1,) where each went, -1 nowhere."""
        if np.array_equal(went[:-1], np.arange(len(went) - 1)):
            return
        for keyframe_id, view in self._views.items():
            self._views[keyframe_id] = replace(view, query_of_mask=went[view.query_of_mask])
        self._remembered = {i: went[queries] for i, queries in self._remembered.items()}

    def forget(self, keyframe_id: int) -> None:
        """The view is gone."""
        self._views.pop(keyframe_id, None)
        self._remembered.pop(keyframe_id, None)
        self._without_depth.pop(keyframe_id, None)
        self._expected.discard(keyframe_id)

    def draw(self) -> MaskView | None:
        """A random view that is where it belongs; None while there is none."""
        keys = [key for key in self._views if key not in self._expected]
        if not keys:
            return None
        return self._views[keys[int(self._rng.integers(len(keys)))]]

    def state(self) -> dict[str, NDArray[np.int64]]:
        """What every view was matched to, and how far lifting is, as arrays for a checkpoint.

        While views vote anew, those that have not done so yet are expected, and nothing else.
        """
        expected = self._expected.union(self._views.keys() & self._waiting)
        lifted = {i: v.query_of_mask for i, v in self._views.items() if i not in expected}
        matched = self._remembered | lifted
        ids = np.array(sorted(matched), np.int64)
        counts = np.array([len(matched[i]) for i in sorted(matched)], np.int64)
        queries = np.concatenate([np.zeros(0, np.int64), *(matched[i] for i in sorted(matched))])
        progress = np.array([self._steps, round(self._relift_at), self._some_measured], np.int64)
        arrays = {"ids": ids, "counts": counts, "queries": queries, "progress": progress}
        return arrays | {"expected": np.array(sorted(expected), np.int64)}

    def load_state(self, state: Mapping[str, NDArray[np.int64]]) -> None:
        """Takes over what `state` returned.

        Raises:
            ValueError: the arrays do not fit each other.
        """
        ids, counts, queries = state["ids"], state["counts"], state["queries"]
        if len(ids) != len(counts) or counts.sum() != len(queries):
            raise ValueError(
                f"{len(ids)} views need as many counts and their sum of queries, got "
                f"{len(counts)} and {len(queries)}"
            )
        parts = np.split(queries, np.cumsum(counts)[:-1])
        self._remembered = {int(i): part for i, part in zip(ids, parts, strict=False)}
        self._expected = set(state["expected"].tolist())
        steps, relift_at, measured = (int(number) for number in state["progress"])
        self._steps, self._relift_at, self._some_measured = steps, relift_at, bool(measured)
