"""Real recordings, where they are: poses, axes and units agree with what the pictures show."""

import os
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from semantic_field_ros.geometry import inside_image, pixel_grid, project, unproject
from semantic_field_ros.stream.open import SourceOptions, open_source

FOLDER = Path(os.environ.get("SEMANTIC_FIELD_DATA", Path(__file__).parents[3] / "shared/data"))


def recording(name):
    if not (FOLDER / name).is_dir():
        pytest.skip(f"recording {name} is not in {FOLDER} (set SEMANTIC_FIELD_DATA)")
    return str(FOLDER / name)


@pytest.mark.parametrize(("name", "count"), [("office_rgbd", 92), ("shelf_rgbd_labelled", 15)])
def test_depth_of_one_frame_lands_on_the_depth_of_the_next(name, count):
    source = open_source(recording(name))
    assert source.length == count
    frames, errors = list(islice(source, 6)), []
    for here, there in pairwise(frames):
        pixel = pixel_grid(here.camera.width, here.camera.height)[::97]
        depth_m = here.depth_m.ravel()[::97]
        known = np.isfinite(depth_m)
        points = unproject(here.camera, here.world_from_camera, pixel[known], depth_m[known])
        seen, far_m = project(there.camera, there.world_from_camera, points)
        inside = inside_image(there.camera, seen, far_m)
        u, v = np.round(seen[inside]).astype(int).T
        errors.append(np.abs(there.depth_m[v, u] - far_m[inside]))
    assert np.nanmedian(np.concatenate(errors)) < 0.02


def test_fox_photos_look_at_one_place_and_stand_upright():
    source = open_source(recording("fox_rgb"), SourceOptions(max_width_px=135))
    frames = list(islice(source, 12))
    assert source.length == 50
    centres = np.array([frame.world_from_camera[:3, 3] for frame in frames])
    forward = np.array([frame.world_from_camera[:3, 2] for frame in frames])
    up = -np.array([frame.world_from_camera[:3, 1] for frame in frames])
    assert np.median(up[:, 2]) > 0.9
    # The point nearest to all viewing rays lies in front of every camera and inside the image.
    across = np.eye(3) - forward[:, :, None] * forward[:, None, :]
    focus = np.linalg.solve(across.sum(0), np.einsum("nij,nj->i", across, centres))
    for frame in frames:
        pixel, depth = project(frame.camera, frame.world_from_camera, focus[None])
        assert inside_image(frame.camera, pixel, depth)[0]
