"""The visible surface of the map, built from what sensor and field show in the keyframes.

Every keyframe has one patch: depth along every `stride_px`-th pixel, the sensor's where it has
measured any and the field's elsewhere, with the colour that the camera saw there, which is right
before the field has learnt it. A snapshot renders some patches anew (`due` says in which order),
and `cloud` merges all of them into one `SurfaceCloud` without flying pixels and without points
that other keyframes look through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import chain, zip_longest

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.config import SurfaceConfig, TrainingConfig
from semantic_field_ros.field.enclosure import enclosing
from semantic_field_ros.field.surface_kernels import (
    COLUMNS,
    count_votes,
    flatten,
    merge_samples,
    voxel_levels,
)
from semantic_field_ros.field.surface_patch import (
    KeyframeDepth,
    Patch,
    PatchMove,
    carried_along,
    measured_depth,
    strided,
    surface_samples,
)
from semantic_field_ros.geometry import invert_rigid, world_rays
from semantic_field_ros.types import Keyframe, PinholeCamera, SurfaceCloud, check_rigid

Float32 = NDArray[np.float32]

#: (origins (R, 3), directions (R, 3)) -> (depth_m (R,), opacity (R,) in [0, 1]) of the field; all
#: f32, directions and depths as in `RayBatch`.
Render = Callable[[Float32, Float32], tuple[Float32, Float32]]

#: rays that stop less light than this see no surface.
MIN_OPACITY = 0.5
#: a point is looked through if what is seen lies this far behind it: metres, and metres per metre.
TOLERANCE = (0.01, 0.015)
#: this many keyframes must look through a point before it is dropped, and this many for each that
#: sees it: pixels beside a surface see it too.
MIN_AGAINST, MIN_SHARE = 2, 0.5
#: factor by which voxels grow when the cloud has too many points.
GROWTH = 1.1
#: noisy samples of one surface fill about so many layers of voxels before they are flattened.
LAYERS = 2


class SurfaceBuilder:
    """Keeps one patch per keyframe; used by the training worker only.

    What it hands out is never changed afterwards, so snapshots can hold it without a copy.

    Attributes:
        voxel_m: edge of the finest voxels in which points are merged; grows when there are too
            many. Places that were seen from farther away have voxels 2, 4 or 8 times as large.
    """

    def __init__(
        self,
        config: SurfaceConfig,
        box_min: NDArray[np.floating],
        box_max: NDArray[np.floating],
        depth_noise_per_m: float = TrainingConfig.depth_noise_per_m,
    ) -> None:
        """Starts without patches.

        Args:
            config: stride, voxel and bound.
            box_min, box_max: (3,) metres, world frame; points outside are left out.
            depth_noise_per_m: standard deviation of the sensor's depth z, over z².

        Raises:
            ValueError: stride or bound below 1, a voxel that is none, or an empty box.
        """
        if config.stride_px < 1 or config.max_points < 1 or not config.voxel_m > 0:
            raise ValueError(
                "surface needs stride_px >= 1, max_points >= 1 and voxel_m > 0, got "
                f"{config.stride_px}, {config.max_points} and {config.voxel_m}"
            )
        self._box = np.array([box_min, box_max], np.float32)
        if self._box.shape != (2, 3) or not (self._box[0] < self._box[1]).all():
            raise ValueError(f"box_min must lie below box_max, got {box_min} and {box_max}")
        self._config, self._depth_noise_per_m = config, depth_noise_per_m
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self.voxel_m = self._config.voxel_m
        self._patches: dict[int, Patch] = {}
        self._left_behind = np.zeros((0, COLUMNS), np.float32)
        self._round = 0

    def due(self, ids: Iterable[int]) -> list[int]:
        """The keyframes `ids` in the order in which their patches should be made anew.

        Those that have no patch yet, newest first, take turns with those that have waited longest.
        """
        ids = set(ids)
        waiting = sorted(ids & self._patches.keys(), key=lambda i: (self._patches[i].round, i))
        turns = zip_longest(sorted(ids - self._patches.keys(), reverse=True), waiting)
        return [i for i in chain.from_iterable(turns) if i is not None]

    def refresh(self, keyframes: Iterable[Keyframe], render: Render, rays: float = np.inf) -> None:
        """Makes the patches of these keyframes anew, until so many rays have been rendered.

        The first is made in any case. `render` is called once for each that has gaps in its depth.
        """
        self._round += 1
        for keyframe in keyframes:
            rays -= self._make_patch(keyframe, render)
            if rays <= 0:
                break

    def _make_patch(self, keyframe: Keyframe, render: Render) -> int:
        """Makes a patch and says how many rays had to be rendered for it."""
        frame, stride_px = keyframe.frame, self._config.stride_px
        camera, pixel = strided(frame.camera, stride_px)
        column, row = pixel.astype(np.int64).T
        depth_m = np.full(len(pixel), np.nan, np.float32)
        if frame.depth_m is not None:
            depth_m = measured_depth(frame.depth_m, pixel, stride_px // 2, self._depth_noise_per_m)
        seen = np.full(len(pixel), True) if frame.ignored is None else ~frame.ignored[row, column]
        gaps = np.flatnonzero(seen & np.isnan(depth_m))
        if len(gaps):
            rays = world_rays(frame.camera, frame.world_from_camera, pixel[gaps])
            shown_m, opacity = render(*rays)
            solid = (opacity >= MIN_OPACITY) & np.isfinite(shown_m) & (shown_m > 0)
            depth_m[gaps] = np.where(solid, shown_m, np.nan)
        shape = (camera.height, camera.width)
        depth_m = np.where(seen, depth_m, np.nan).astype(np.float32).reshape(shape)
        depths = KeyframeDepth(keyframe.id, camera, frame.world_from_camera.copy(), depth_m)
        self._keep(depths, frame.rgb[row, column].reshape(*shape, 3), self._round)
        return len(gaps)

    def _keep(self, seen: KeyframeDepth, rgb: NDArray[np.uint8], round_: int) -> None:
        samples = surface_samples(seen, rgb)
        inside = (samples[:, :3] >= self._box[0]) & (samples[:, :3] <= self._box[1])
        self._patches[seen.keyframe_id] = Patch(seen, rgb, round_, samples[inside.all(axis=1)])

    def forget(self, keyframe_id: int) -> None:
        """The keyframe is gone; its surface stays until others see it or look through it."""
        patch = self._patches.pop(keyframe_id, None)
        if patch is not None:
            self._left_behind = np.concatenate([self._left_behind, patch.samples])

    def move(self, poses: Mapping[int, NDArray[np.float64]]) -> dict[int, NDArray[np.float64]]:
        """Keyframes' (4, 4) poses were corrected: their patches move along.

        What forgotten keyframes have left behind goes where the nearest patch goes.

        Returns:
            (3,) metres by which the middle of what each patch shows went, by keyframe id.

        Raises:
            ValueError: a pose that is not rigid; then nothing moves.
        """
        for pose in poses.values():
            check_rigid(pose)
        held = {i: self._patches[i] for i in poses if i in self._patches}
        if all(np.array_equal(p.seen.world_from_camera, poses[i]) for i, p in held.items()):
            return {i: np.zeros(3) for i in held}
        moves = [PatchMove(patch, poses[i].copy()) for i, patch in held.items()]
        self._left_behind = carried_along(self._left_behind, moves)
        for move in moves:
            seen = replace(move.patch.seen, world_from_camera=move.world_from_camera)
            self._keep(seen, move.patch.rgb, move.patch.round)
        return {i: move.middle_went_m() for i, move in zip(held, moves, strict=True)}

    def cloud(self, map_version: int) -> SurfaceCloud:
        """The merged surface, without features; at most `max_points` points.

        Surface that only forgotten keyframes have seen is kept as it comes out of here.
        """
        merged, levels, live = self._merged()
        kept = ~self._looked_through(merged[:, :3])
        self._left_behind = merged[live:][kept[live:]]
        merged = merged[kept]
        points, normals = merged[:, :3].copy(), merged[:, 3:6]
        length = np.linalg.norm(normals, axis=1, keepdims=True)
        upright = np.array([0, 0, 1], np.float32)
        normals = np.where(length > 1e-6, normals / np.maximum(length, 1e-6), upright)
        spacing_m = np.float32(self.voxel_m) * np.float32(2) ** levels[kept]
        return SurfaceCloud(
            points=points,
            normals=normals,
            rgb=np.rint(merged[:, 6:9]).astype(np.uint8),
            spacing_m=spacing_m,
            map_version=map_version,
            enclosing=enclosing(points, normals, spacing_m),
        )

    def _merged(self) -> tuple[Float32, NDArray[np.int8], int]:
        """(V, 11) samples, one per voxel, the voxels' (V,) levels, and how many are live."""
        patches = [self._patches[i].samples for i in sorted(self._patches)]
        live = sum(len(samples) for samples in patches)
        samples = np.concatenate([*patches, self._left_behind])
        capacity = self._config.max_points
        while True:
            levels = voxel_levels(samples, self.voxel_m, self._config.voxel_m)
            merged, levels, live_rows = merge_samples(
                samples, levels, live, self.voxel_m, LAYERS * capacity
            )
            if len(merged) <= LAYERS * capacity:
                flat = flatten(merged, levels, self.voxel_m)
                merged, levels, live_rows = merge_samples(
                    flat, levels, live_rows, self.voxel_m, capacity
                )
                if len(merged) <= capacity:
                    return merged, levels, live_rows
            self.voxel_m *= GROWTH

    def _looked_through(self, points: Float32) -> NDArray[np.bool_]:
        """(N,) whether more keyframes see something behind a point than see the point."""
        votes = np.zeros((len(points), 2), np.int32)
        points = np.ascontiguousarray(points)
        tolerance = np.array(TOLERANCE, np.float32)
        for seen in self.depths():
            pose = invert_rigid(seen.world_from_camera)[:3].astype(np.float32)
            c = seen.camera
            camera = np.array([c.fx, c.fy, c.cx, c.cy], np.float32)
            count_votes(points, pose, camera, seen.depth_m, tolerance, votes)
        agree, against = votes.T
        return (against >= MIN_AGAINST) & (against > MIN_SHARE * agree)

    def depths(self) -> list[KeyframeDepth]:
        """The depth maps of the keyframes that are still there, oldest first."""
        return [self._patches[i].seen for i in sorted(self._patches)]

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Everything that `load_state` needs, as arrays for a checkpoint."""
        patches = [self._patches[i] for i in sorted(self._patches)]
        cameras = [
            (c.width, c.height, c.fx, c.fy, c.cx, c.cy) for c in (p.seen.camera for p in patches)
        ]
        poses = [p.seen.world_from_camera for p in patches]
        depth = [p.seen.depth_m.ravel() for p in patches]
        rgb = [p.rgb.reshape(-1, 3) for p in patches]
        return {
            "ids": np.array(sorted(self._patches), np.int64),
            "rounds": np.array([p.round for p in patches], np.int64),
            "cameras": np.array(cameras, np.float64).reshape(-1, 6),
            "poses": np.array(poses, np.float64).reshape(-1, 4, 4),
            "depth_m": np.concatenate([np.zeros(0, np.float32), *depth]),
            "rgb": np.concatenate([np.zeros((0, 3), np.uint8), *rgb]),
            "left_behind": self._left_behind.copy(),
            "voxel_m": np.array([self.voxel_m], np.float64),
        }

    def load_state(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        """Takes over what `state` returned.

        Raises:
            ValueError: an array is missing or does not fit the others; nothing is kept then.
        """
        self.clear()
        try:
            self._load(state)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            self.clear()
            raise ValueError(f"surface state is damaged: {error!r}") from error

    def _load(self, state: Mapping[str, NDArray[np.generic]]) -> None:
        start = 0
        rounds = [int(r) for r in state["rounds"].astype(np.int64)]
        rows = zip(state["ids"], rounds, state["cameras"], state["poses"], strict=True)
        for keyframe_id, round_, row, pose in rows:
            camera = PinholeCamera(int(row[0]), int(row[1]), *(float(x) for x in row[2:]))
            pixels = slice(start, start + camera.width * camera.height)
            shape, start = (camera.height, camera.width), pixels.stop
            depth = state["depth_m"][pixels].astype(np.float32).reshape(shape)
            check_rigid(pose)
            seen = KeyframeDepth(int(keyframe_id), camera, pose.astype(np.float64), depth)
            self._keep(seen, state["rgb"][pixels].astype(np.uint8).reshape(*shape, 3), round_)
        left_behind = state["left_behind"].astype(np.float32)
        voxel_m = float(state["voxel_m"][0])
        numbers = np.append(left_behind, np.float32(voxel_m))
        if left_behind.shape[1:] != (COLUMNS,) and left_behind.size:
            raise ValueError(f"left_behind must be (N, {COLUMNS}), got {left_behind.shape}")
        if not np.isfinite(numbers).all() or not (left_behind[:, -2:] > 0).all():
            raise ValueError(
                "left_behind and voxel_m must be finite, with weights and footprints > 0"
            )
        self._left_behind = left_behind.reshape(-1, COLUMNS)
        self._round = max(rounds, default=0)
        self.voxel_m = max(self._config.voxel_m, voxel_m)
