"""What is drawn in the page's 3D scene, from arrays to nodes of viser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from viser import SceneApi

from semantic_field_ros.geometry import quaternion_from_matrix
from semantic_field_ros.keyframes.memory import KeyframeView
from semantic_field_ros.types import Mask3D, OrientedBox, SurfaceCloud
from semantic_field_ros.viewer.pointing import PICTURE_M, Pointed, View

SURFACE, CAMERAS, ANSWER, CLICKS, PICTURE = "/surface", "/cameras", "/answer", "/clicks", "/view"
#: points whose spacing lies in one octave are one node, for a node has one size of points.
OCTAVES = 5
#: a point is drawn this many spacings wide, which closes the gaps between them.
POINT_SPACINGS = 1.1
#: not a circle: that computes three powers for every pixel, which browsers without a GPU feel.
POINT_SHAPE: Literal["square"] = "square"
#: frustums are this long, as a share of the scene's extent.
FRUSTUM_SHARE = 0.015
BEST, OTHER = (255, 96, 0), (255, 190, 60)
POSITIVE, NEGATIVE = (30, 200, 90), (220, 40, 40)
CAMERA_COLOUR = (40, 90, 170)

Colours = NDArray[np.uint8]


def prepare(scene: SceneApi) -> None:
    """Takes the lights away: nothing here needs them, and a page is blank until they are ready."""
    scene.configure_environment_map(None)
    scene.configure_default_lights(enabled=False)


def thinned(surface: SurfaceCloud, most: int) -> NDArray[np.int64]:
    """(M,) at most `most` points, evenly from all of the surface."""
    count = len(surface.points)
    if count <= most:
        return np.arange(count)
    return np.linspace(0, count - 1, most).astype(np.int64)


def draw_surface(
    scene: SceneApi, surface: SurfaceCloud, shown: NDArray[np.int64], colours: Colours
) -> None:
    """Replaces the cloud, a node for each octave of spacings.

    Args:
        scene: of all browsers, or of one, where it hides that of all.
        surface: the map.
        shown: (M,) which points are drawn.
        colours: (N, 3) of all points of the surface.
    """
    spacing_m = surface.spacing_m[shown]
    smallest_m = float(spacing_m.min(initial=np.inf))
    octave = np.floor(np.log2(np.maximum(spacing_m / smallest_m, 1.0)) + 1e-3)
    # Fewer points than there are lie farther apart.
    wider = POINT_SPACINGS * np.sqrt(len(surface.points) / max(len(shown), 1))
    for number in range(OCTAVES):
        last = number == OCTAVES - 1
        part = np.flatnonzero(octave >= number if last else octave == number)
        size_m = float(np.median(spacing_m[part])) * wider if len(part) else 0.01
        scene.add_point_cloud(
            f"{SURFACE}/{number}",
            surface.points[shown[part]],
            colours[shown[part]],
            point_size=size_m,
            point_shape=POINT_SHAPE,
            precision="float32",
            point_shading="flat",
        )


def clear_surface(scene: SceneApi) -> None:
    """Takes a cloud away; in a browser's own scene, that of all shows again."""
    for number in range(OCTAVES):
        scene.remove_by_name(f"{SURFACE}/{number}")


def draw_cameras(scene: SceneApi, views: Sequence[KeyframeView], size_m: float) -> None:
    """Replaces the keyframes' frustums."""
    none = np.zeros((0, 2, 3), np.float32)
    lines = np.concatenate([none, *(_frustum(view, size_m) for view in views)])
    scene.add_line_segments(CAMERAS, lines, CAMERA_COLOUR, thickness=1.2, thickness_units="screen")


def show_cameras(scene: SceneApi, shown: bool) -> None:
    """In a browser's own scene, hides the cameras of all or lets them show again."""
    if shown:
        scene.remove_by_name(CAMERAS)
    else:
        scene.add_line_segments(CAMERAS, np.zeros((0, 2, 3)), CAMERA_COLOUR)


def _frustum(view: KeyframeView, depth_m: float) -> NDArray[np.float32]:
    """(8, 2, 3) edges of a camera's field of view."""
    camera = view.camera
    u = np.array([-0.5, camera.width - 0.5, camera.width - 0.5, -0.5])
    v = np.array([-0.5, -0.5, camera.height - 0.5, camera.height - 0.5])
    rays = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, np.ones(4)], axis=1)
    pose = view.world_from_camera
    corners = (depth_m * rays) @ pose[:3, :3].T + pose[:3, 3]
    eye = np.broadcast_to(pose[:3, 3], (4, 3))
    edges = [np.stack([eye, corners], axis=1), np.stack([corners, np.roll(corners, 1, 0)], axis=1)]
    return np.concatenate(edges).astype(np.float32)


def draw_answer(scene: SceneApi, masks: Sequence[Mask3D], surface: SurfaceCloud) -> None:
    """Replaces the answer: each mask's points, box and label, the best one brightest."""
    scene.remove_by_name(ANSWER)
    for rank, mask in reversed(list(enumerate(masks))):
        colour = BEST if rank == 0 else OTHER
        at = f"{ANSWER}/{rank}"
        points, spacing_m = _in_front(mask, surface)
        tint = 0.25 * mask.rgb + 0.75 * np.array(colour)
        scene.add_point_cloud(
            f"{at}/points",
            points,
            np.rint(tint).astype(np.uint8),
            point_size=2 * spacing_m,
            point_shape=POINT_SHAPE,
            precision="float32",
            point_shading="flat",
        )
        scene.add_line_segments(
            f"{at}/box", box_edges(mask.box), colour, thickness=3.0, thickness_units="screen"
        )
        top = mask.box.centre + np.array([0, 0, 0.5 * mask.box.size[2]])
        label = f"{mask.label} {mask.score:.2f}".strip()
        scene.add_label(f"{at}/label", label, position=top, anchor="bottom-center")


def clear_answer(scene: SceneApi) -> None:
    """Takes the answer away, and the marks of what has been pointed at."""
    scene.remove_by_name(ANSWER)
    scene.remove_by_name(CLICKS)


def _in_front(mask: Mask3D, surface: SurfaceCloud) -> tuple[NDArray[np.float32], float]:
    """A mask's points moved a little out of the surface that would hide them, and their spacing.

    Those of an older map are where they are.
    """
    if mask.map_version != surface.map_version:
        return mask.points, float(np.median(surface.spacing_m))
    spacing_m = surface.spacing_m[mask.indices]
    moved = mask.points + 0.5 * spacing_m[:, None] * surface.normals[mask.indices]
    return moved, float(np.median(spacing_m))


def box_edges(box: OrientedBox) -> NDArray[np.float32]:
    """(12, 2, 3) edges in the world."""
    signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    i, j = np.array(
        [[a, b] for a in range(8) for b in range(a) if (signs[a] != signs[b]).sum() == 1]
    ).T
    corners = (0.5 * box.size * signs) @ _rotation(box.quaternion).T + box.centre
    return np.stack([corners[i], corners[j]], axis=1).astype(np.float32)


def _rotation(quaternion_xyzw: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.spatial.transform import Rotation

    rotation: NDArray[np.float64] = Rotation.from_quat(quaternion_xyzw).as_matrix()
    return rotation


def draw_clicks(scene: SceneApi, pointed: Pointed, spacing_m: float) -> None:
    """Replaces the marks of what has been pointed at in the map."""
    scene.remove_by_name(CLICKS)
    if pointed.view is None and pointed.points:
        colours = np.array([POSITIVE if good else NEGATIVE for good in pointed.positive], np.uint8)
        scene.add_point_cloud(
            CLICKS,
            np.stack(pointed.points),
            colours,
            point_size=5 * spacing_m,
            point_shape="circle",
            precision="float32",
        )


def draw_picture(scene: SceneApi, image: NDArray[np.uint8], view: View) -> None:
    """Replaces the picture that hangs before its camera, where it covers just what it shows."""
    camera, pose = view.camera, view.world_from_camera
    width_m = PICTURE_M * camera.width / camera.fx
    height_m = PICTURE_M * camera.height / camera.fy
    centre = np.array(
        [
            PICTURE_M * ((camera.width - 1) / 2 - camera.cx) / camera.fx,
            PICTURE_M * ((camera.height - 1) / 2 - camera.cy) / camera.fy,
            PICTURE_M,
        ]
    )
    scene.add_image(
        PICTURE,
        image,
        width_m,
        height_m,
        jpeg_quality=90,
        cast_shadow=False,
        receive_shadow=False,
        wxyz=wxyz(pose),
        position=pose[:3, :3] @ centre + pose[:3, 3],
    )


def clear_picture(scene: SceneApi) -> None:
    """Takes the picture down."""
    scene.remove_by_name(PICTURE)


def wxyz(pose: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4,) quaternion w x y z of a (4, 4) pose, as viser wants it."""
    return np.roll(quaternion_from_matrix(pose[:3, :3]), 1)


def extent_m(surface: SurfaceCloud) -> float:
    """Diagonal of the middle 90 % of a surface, metres."""
    low, high = np.percentile(surface.points, [5, 95], axis=0)
    return float(np.linalg.norm(high - low))
