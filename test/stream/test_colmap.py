import numpy as np
import pytest
from photo_scenes import (
    PINHOLE,
    colmap_images,
    write_colmap,
    write_colmap_bin,
    write_colmap_txt,
    write_photo,
)

from semantic_field_ros.geometry import project
from semantic_field_ros.stream.colmap import Colmap
from semantic_field_ros.stream.colmap_model import read_model
from semantic_field_ros.stream.holdout import Holdout

#: turned by 90 degrees about x: w = x = sqrt(1/2).
QUARTER = (0.5**0.5, 0.5**0.5, 0.0, 0.0)


@pytest.mark.parametrize("write", [write_colmap_bin, write_colmap_txt])
def test_poses_are_turned_round_and_sorted_by_name(tmp_path, write):
    images = [(5, QUARTER, (1.0, 2.0, 3.0), 1, "b c.png"), *colmap_images(["a.png"])]
    write(tmp_path, PINHOLE, images)
    model = read_model(tmp_path)
    assert [image.name for image in model.images] == ["a.png", "b c.png"]
    assert model.cameras[1].parameters == (35.0, 36.0, 20.0, 15.0)
    assert len(model.points) == 9 and model.points[0].tolist() == [-1, -1, 6]
    # camera = R world + t with R = x, -z, y; so the camera is at -Rt t = (-1, -3, 2).
    expected = [[1, 0, 0, -1], [0, 0, 1, -3], [0, -1, 0, 2], [0, 0, 0, 1]]
    np.testing.assert_allclose(model.images[1].world_from_camera, expected, atol=1e-12)


@pytest.mark.parametrize("write", [write_colmap_bin, write_colmap_txt])
def test_photos_come_undistorted_upright_and_in_metres(tmp_path, write):
    source = Colmap(write_colmap(tmp_path, write=write), scale=2.0)
    first, second = source
    assert source.length == 2 and source.held_out == Holdout(8, 0)
    assert (first.stamp_ns, second.stamp_ns) == (200_000_000, 400_000_000)
    assert first.depth_m is None and first.rgb.shape == (30, 40, 3) and second.rgb.max() == 10
    assert (first.camera.fx, first.camera.fy, first.camera.cx, first.camera.cy) == (
        35.0, 36.0, 19.5, 14.5,
    )  # fmt: skip
    np.testing.assert_allclose(second.world_from_camera[:3, 3], [1.0, 0, 0], atol=1e-12)
    # COLMAP's y points down here, so that its z, where the cameras look, becomes our y.
    up, ahead = -second.world_from_camera[:3, 1], second.world_from_camera[:3, 2]
    np.testing.assert_allclose([up, ahead], [[0, 0, 1], [0, 1, 0]], atol=1e-12)


def test_without_a_scale_half_of_what_the_photos_show_is_within_one_and_a_half_metres(tmp_path):
    first, second = Colmap(write_colmap(tmp_path))
    # All points are 6 units ahead of both photos: a unit is 0.25 m, the photos 0.5 units apart.
    np.testing.assert_allclose(
        (second.world_from_camera - first.world_from_camera)[:3, 3], [0.125, 0, 0], atol=1e-12
    )
    pixel, depth_m = project(first.camera, first.world_from_camera, np.array([[0.0, 1.5, 0.0]]))
    np.testing.assert_allclose(depth_m, 1.5, rtol=1e-6)
    np.testing.assert_allclose(pixel, [[19.5, 14.5]], atol=1e-4)


def test_without_points_the_cameras_tell_the_scale(tmp_path):
    (write_colmap(tmp_path) / "sparse/0/points3D.bin").unlink()
    first, second = Colmap(tmp_path)
    # Half a unit apart, a quarter from their centre each, which is taken for a metre.
    np.testing.assert_allclose(second.world_from_camera[0, 3] - first.world_from_camera[0, 3], 2.0)


@pytest.mark.parametrize(
    ("model", "parameters", "fx_fy"),
    [
        ("SIMPLE_PINHOLE", (35.0, 20.0, 15.0), (35.0, 35.0)),
        ("PINHOLE", (35.0, 36.0, 20.0, 15.0), (35.0, 36.0)),
        ("SIMPLE_RADIAL", (35.0, 20.0, 15.0, 0.0), (35.0, 35.0)),
        ("RADIAL", (35.0, 20.0, 15.0, 0.0, 0.0), (35.0, 35.0)),
        ("OPENCV", (35.0, 36.0, 20.0, 15.0, 0, 0, 0, 0), (35.0, 36.0)),
        ("OPENCV_FISHEYE", (35.0, 36.0, 20.0, 15.0, 0, 0, 0, 0), (35.0, 36.0)),
    ],
)
def test_every_camera_model_is_read(tmp_path, model, parameters, fx_fy):
    for write in (write_colmap_bin, write_colmap_txt):
        scene = write_colmap(tmp_path, ["a.png"], (1, model, 40, 30, parameters), write)
        photos = Colmap(scene, scale=1.0)
        camera = photos.calibration(0, 40, 30).camera
        assert (camera.fx, camera.fy, camera.cx) == (*fx_fy, 19.5)
        assert len(list(photos)) == 1


@pytest.mark.parametrize(
    ("model", "parameters", "expected"),
    [
        ("SIMPLE_RADIAL", (35.0, 20.0, 15.0, 0.1), ("", (0.1, 0, 0, 0))),
        ("RADIAL", (35.0, 20.0, 15.0, 0.1, 0.2), ("", (0.1, 0.2, 0, 0))),
        ("OPENCV", (35.0, 36.0, 20.0, 15.0, 0.1, 0.2, 0.3, 0.4), ("", (0.1, 0.2, 0.3, 0.4))),
        (
            "OPENCV_FISHEYE",
            (35.0, 36.0, 20.0, 15.0, 0.1, 0.2, 0.3, 0.4),
            ("fisheye", (0.1, 0.2, 0.3, 0.4)),
        ),
    ],
)
def test_distortion_stands_after_the_principal_point(tmp_path, model, parameters, expected):
    scene = write_colmap(tmp_path, ["a.png"], (1, model, 40, 30, parameters))
    calibration = Colmap(scene, scale=1.0).calibration(0, 40, 30)
    assert (calibration.model, calibration.coefficients) == expected


def test_reduced_photos_are_found_and_their_camera_is_scaled(tmp_path):
    write_colmap(tmp_path, ["a.png"])
    (tmp_path / "images").rename(tmp_path / "images_2")
    write_photo(tmp_path / "images_2/a.png", size=(20, 15))
    write_photo(tmp_path / "images_4/a.png", size=(10, 8))
    (frame,) = Colmap(tmp_path, scale=1.0)
    assert frame.rgb.shape == (15, 20, 3)
    assert (frame.camera.fx, frame.camera.cx) == (17.5, 9.5)


def test_photos_that_are_missing_or_outside_are_skipped_and_counted(tmp_path):
    write_colmap(tmp_path, ["a.png", "b.png"])
    (tmp_path / "images/a.png").unlink()
    write_colmap_bin(tmp_path / "sparse/0", PINHOLE, colmap_images(["a.png", "b.png", "../x.png"]))
    source = Colmap(tmp_path)
    assert len(list(source)) == 1
    assert source.tally.counts["frame not whole"] == 2


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda model: cut(model / "images.bin", 40), "do not fit"),
        (lambda model: cut(model / "images.bin", 75), "whole COLMAP model"),
        (lambda model: cut(model / "points3D.bin", 60), "do not fit"),
        (lambda model: (model / "images.bin").unlink(), "images.bin"),
        (lambda model: write_colmap_bin(model, PINHOLE, []), "no image is registered"),
        (
            lambda model: write_colmap_bin(model, (1, "FOV", 40, 30, (1.0,) * 5), []),
            "camera model must be 0 to 5, got number 7",
        ),
        (
            lambda model: write_colmap_bin(model, PINHOLE, [(1, (1, 0, 0, 0), (0, 0, 0), 9, "a")]),
            r"cameras \[9\] are missing",
        ),
    ],
)
def test_broken_models_are_refused(tmp_path, damage, message):
    damage(write_colmap(tmp_path) / "sparse/0")
    with pytest.raises(ValueError, match=message):
        Colmap(tmp_path)


def test_a_scene_without_photos_or_with_a_wrong_scale_is_refused(tmp_path):
    with pytest.raises(ValueError, match="scale must be positive"):
        Colmap(write_colmap(tmp_path), scale=0.0)
    (tmp_path / "images").rename(tmp_path / "pictures")
    with pytest.raises(ValueError, match="folder images or images_N"):
        Colmap(tmp_path)
