import json

import cv2
import numpy as np
import pytest

from semantic_field_ros.geometry import project
from semantic_field_ros.stream.nerfstudio import Nerfstudio

GL_POSE = np.array(
    [[1.0, 0, 0, 1], [0, 0, -1, 2], [0, 1, 0, 3], [0, 0, 0, 1]]
)  # OpenGL: looks along world +y, up is world +z
INTRINSICS = {"w": 40, "h": 30, "fl_x": 35.0, "fl_y": 36.0, "cx": 20.0, "cy": 15.0}


def write(folder, frames, **top):
    (folder / "images").mkdir(exist_ok=True)
    for index, frame in enumerate(frames):
        name = frame.get("file_path", "")
        if name.startswith("images/"):
            cv2.imwrite(str(folder / name), np.full((30, 40, 3), 10 * index, np.uint8))
    (folder / "transforms.json").write_text(json.dumps({**top, "frames": frames}))
    return folder


def frame(name="images/a.png", **changes):
    return {"file_path": name, "transform_matrix": GL_POSE.tolist(), **changes}


def test_opengl_axes_become_opencv_axes(tmp_path):
    (seen,) = Nerfstudio(write(tmp_path, [frame()], **INTRINSICS))
    assert seen.depth_m is None and seen.rgb.shape == (30, 40, 3)
    ahead, above, right = [1, 5, 3], [1, 5, 4], [2, 5, 3]
    pixel, depth_m = project(seen.camera, seen.world_from_camera, np.array([ahead, above, right]))
    np.testing.assert_allclose(depth_m, 3.0)
    np.testing.assert_allclose(pixel[0], [19.5, 14.5], atol=1e-4)
    np.testing.assert_allclose(pixel[1], [19.5, 14.5 - 12], atol=1e-4)
    np.testing.assert_allclose(pixel[2], [19.5 + 35 / 3, 14.5], atol=1e-4)


def test_intrinsics_of_a_frame_overrule_those_at_the_top(tmp_path):
    frames = [frame("images/a.png"), frame("images/b.png", fl_x=70.0, fl_y=70.0)]
    first, second = Nerfstudio(write(tmp_path, frames, **INTRINSICS))
    assert (first.camera.fx, second.camera.fx) == (35.0, 70.0)
    assert (first.stamp_ns, second.stamp_ns) == (200_000_000, 400_000_000)


def test_field_of_view_and_missing_suffix_of_instant_ngp(tmp_path):
    folder = write(tmp_path, [frame("images/a.png")], camera_angle_x=2 * np.arctan(0.5))
    tree = json.loads((folder / "transforms.json").read_text())
    tree["frames"][0]["file_path"] = "./images/a"
    (folder / "transforms.json").write_text(json.dumps(tree))
    (seen,) = Nerfstudio(folder / "transforms.json")
    assert seen.camera.fx == pytest.approx(40.0) and seen.camera.cx == pytest.approx(19.5)


def test_file_written_for_larger_images_is_scaled(tmp_path):
    larger = {key: 4 * value for key, value in INTRINSICS.items()}
    (seen,) = Nerfstudio(write(tmp_path, [frame()], **larger))
    (expected,) = Nerfstudio(write(tmp_path, [frame()], **INTRINSICS))
    assert seen.camera.fx == pytest.approx(expected.camera.fx)
    assert seen.camera.cx == pytest.approx(expected.camera.cx)


def test_scale_and_size_options(tmp_path):
    folder = write(tmp_path, [frame()], **INTRINSICS)
    (seen,) = Nerfstudio(folder, scale=0.5, max_width_px=20)
    np.testing.assert_allclose(seen.world_from_camera[:3, 3], [0.5, 1.0, 1.5])
    assert seen.rgb.shape == (15, 20, 3) and seen.camera.fx == pytest.approx(17.5)
    with pytest.raises(ValueError, match="positive"):
        Nerfstudio(folder, scale=0.0)


@pytest.mark.parametrize(
    "lens", [{"k1": 0.2, "k2": -0.05}, {"camera_model": "OPENCV_FISHEYE", "k1": 0.05}]
)
def test_distorted_photos_leave_as_pinhole_images(tmp_path, lens):
    (seen,) = Nerfstudio(write(tmp_path, [frame()], **INTRINSICS, **lens))
    assert seen.camera.fx != 35.0 and seen.camera.width == 40


@pytest.mark.parametrize("step", [1, 2])
@pytest.mark.parametrize("lens", [{}, {"k1": 1e-9}], ids=["pinhole", "distorted"])
def test_depth_of_another_size_is_brought_to_that_of_the_photo(tmp_path, step, lens):
    """Every pixel of smaller depth covers several of the photo; at this `k1` none has moved."""
    photo = frame(depth_file_path="depth.png", **lens)
    folder = write(tmp_path, [photo], **INTRINSICS)
    depth_mm = 1000 + np.arange(1200 // step**2, dtype=np.uint16).reshape(30 // step, 40 // step)
    cv2.imwrite(str(folder / "depth.png"), depth_mm)
    (seen,) = Nerfstudio(folder)
    expected_mm = depth_mm.repeat(step, axis=0).repeat(step, axis=1)
    inside = np.s_[1:-1, 1:-1]  # undistortion may lose the edge
    np.testing.assert_allclose(seen.depth_m[inside], expected_mm[inside] / 1000, rtol=1e-6)


def test_depth_that_shows_something_else_than_the_photo_is_refused(tmp_path):
    folder = write(tmp_path, [frame(depth_file_path="depth.png")], **INTRINSICS)
    cv2.imwrite(str(folder / "depth.png"), np.full((20, 20), 1000, np.uint16))
    source = Nerfstudio(folder)
    assert list(source) == []
    assert "aspect of its photo, 40x30, got 20x20" in source.tally.last["frame not whole"]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"file_path": "images/missing.png"}, "FileNotFoundError"),
        ({"file_path": "../../etc/passwd.png"}, "must stay inside"),
        ({"file_path": "/etc/passwd.png"}, "must stay inside"),
        ({"transform_matrix": [[1, 2], [3, 4]]}, "pose must be"),
        ({"transform_matrix": (2 * np.eye(4)).tolist()}, "rigid"),
        ({"fl_x": "wide"}, "ValueError"),
        ({"fl_x": float("nan")}, "finite"),
        ({"camera_model": "EQUIRECTANGULAR"}, "camera_model must be"),
    ],
)
def test_bad_frames_are_skipped_and_counted(tmp_path, bad, message):
    frames = [frame("images/a.png"), frame("images/b.png") | bad]
    folder = write(tmp_path, frames, **INTRINSICS)
    (folder / "images/missing.png").unlink(missing_ok=True)
    source = Nerfstudio(folder)
    assert len(list(source)) == 1 and source.length == 2
    assert message in source.tally.last["frame not whole"]


def test_missing_intrinsics_are_said(tmp_path):
    source = Nerfstudio(write(tmp_path, [frame()]))
    assert list(source) == []
    assert "fl_x or camera_angle_x" in source.tally.last["frame not whole"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"frames": []}', '{"frames": [1]}', "{"])
def test_what_is_no_such_file_is_refused(tmp_path, text):
    (tmp_path / "transforms.json").write_text(text)
    with pytest.raises(ValueError, match="must"):
        Nerfstudio(tmp_path)
