import cv2
import numpy as np
import pytest

from semantic_field_ros.geometry import camera_rays
from semantic_field_ros.stream.lens import Lens
from semantic_field_ros.types import PinholeCamera

CAMERA = PinholeCamera(160, 120, 140.0, 138.0, 82.0, 58.5)
BROWN = (0.12, -0.2, 0.001, -0.002)
WIDE = (-0.35, 0.08, 0.001, -0.002)
RATIONAL = (0.6, -2.4, 0.0005, -0.0003, 1.4, 0.5, -2.2, 1.3)
FISHEYE = (0.05, -0.01, 0.002, 0.0)
IDEAL = (0.0,) * 4


def test_a_fisheye_lens_without_coefficients_bends_all_the_same():
    """What is seen at an angle of 0.5 falls on r = f 0.5, not on f tan 0.5 (76.5 pixels)."""
    lens = Lens(PinholeCamera(161, 161, 140.0, 140.0, 80.0, 80.0), IDEAL, "fisheye")
    sensed = np.array([[80.0 + 140.0 * 0.5, 80.0]], np.float32)
    camera = lens.camera
    expected = [camera.cx + camera.fx * np.tan(0.5), camera.cy]
    np.testing.assert_allclose(lens.undistort_points(sensed)[0], expected, atol=0.02)


def distorted_pixels(rays, coefficients, model):
    """Where OpenCV says that camera-frame points land on the distorted sensor."""
    matrix = np.array([[CAMERA.fx, 0, CAMERA.cx], [0, CAMERA.fy, CAMERA.cy], [0, 0, 1]])
    project = cv2.fisheye.projectPoints if model == "equidistant" else cv2.projectPoints
    args = (np.zeros(3), np.zeros(3), matrix, np.array(coefficients))
    return np.asarray(project(rays.reshape(-1, 1, 3).astype(float), *args)[0]).reshape(-1, 2)


@pytest.mark.parametrize(
    ("coefficients", "model"),
    [
        (BROWN, "plumb_bob"),
        (BROWN, ""),
        (RATIONAL, "rational_polynomial"),
        (FISHEYE, "equidistant"),
        (IDEAL, "equidistant"),
    ],
)
def test_undistorted_pixels_show_what_the_pinhole_camera_says(coefficients, model):
    v, u = np.mgrid[0:120, 0:160]
    sensor = np.stack([u, v, (u + v) // 2], 2).astype(np.uint8)
    lens = Lens(CAMERA, coefficients, model)
    seen = lens.undistort(sensor)
    pixel = np.array([[30, 20], [80, 60], [120, 100], [150, 10]])
    expected = distorted_pixels(camera_rays(lens.camera, pixel), coefficients, model)
    np.testing.assert_allclose(seen[pixel[:, 1], pixel[:, 0], :2], expected, atol=1.01)


@pytest.mark.parametrize(("coefficients", "model"), [(BROWN, "plumb_bob"), (FISHEYE, "fisheye")])
def test_every_undistorted_pixel_was_seen_by_the_sensor(coefficients, model):
    depth_m = np.ones((120, 160), np.float32)
    undistorted = Lens(CAMERA, coefficients, model).undistort_depth(depth_m)
    assert np.isnan(undistorted).mean() < 0.02


def test_depth_keeps_its_edges():
    depth_m = np.where(np.arange(160) < 80, 1.0, 3.0).astype(np.float32) * np.ones((120, 1))
    undistorted = Lens(CAMERA, BROWN).undistort_depth(depth_m.astype(np.float32))
    assert set(np.unique(undistorted[np.isfinite(undistorted)])) == {1.0, 3.0}


def test_an_undistorted_mask_covers_all_that_the_mask_did():
    sensor = np.zeros((120, 160, 3), np.uint8)
    sensor[40:80, 60:61] = 255
    lens = Lens(CAMERA, BROWN)
    mask = lens.undistort_mask(sensor[..., 0] > 0)
    np.testing.assert_array_equal(mask, lens.undistort(sensor)[..., 0] > 0)
    assert mask.sum() >= 40


@pytest.mark.parametrize(
    ("coefficients", "model"),
    [
        (BROWN, "plumb_bob"),
        (WIDE, "plumb_bob"),
        (RATIONAL, "rational_polynomial"),
        (FISHEYE, "equidistant"),
        ((0.3, 0.1, 0.0, 0.0), "equidistant"),
    ],
)
def test_points_go_where_the_image_goes(coefficients, model):
    lens = Lens(CAMERA, coefficients, model)
    pixels = np.array([[0, 0], [159, 119], [0, 60], [80.25, 60.5], [120, 100.75], [150, 10]])
    sensed = distorted_pixels(camera_rays(lens.camera, pixels), coefficients, model)
    found = lens.undistort_points(sensed.astype(np.float32))
    np.testing.assert_allclose(found, pixels, atol=0.02)


def test_points_that_are_not_kept_lie_beyond_the_edges():
    lens = Lens(CAMERA, WIDE)
    corners = np.array([[0, 0], [159, 0], [0, 119], [159, 119], [np.nan, 60]], np.float32)
    found = lens.undistort_points(corners)
    np.testing.assert_array_equal(found[:4, 0] < -0.5, [True, False, True, False])
    np.testing.assert_array_equal(found[:4, 0] > 159.5, [False, True, False, True])
    assert not np.isfinite(found[4]).all()
    assert lens.undistort_points(np.zeros((0, 2), np.float32)).shape == (0, 2)


@pytest.mark.parametrize(
    ("coefficients", "model"),
    [((), ""), ((0.0,) * 5, ""), ((0.0,) * 4, "plumb_bob"), ((), "equidistant")],
)
def test_without_distortion_nothing_changes(coefficients, model):
    lens = Lens(CAMERA, coefficients, model)
    image = np.zeros((120, 160, 3), np.uint8)
    assert lens.camera == CAMERA and lens.undistort(image) is image
    points = np.array([[-7.0, 30.0]], np.float32)
    assert lens.undistort_points(points) is points


@pytest.mark.parametrize(
    ("coefficients", "model", "message"),
    [
        ((0.1, np.nan, 0, 0), "plumb_bob", "finite"),
        ((0.1, 0.1, 0.1), "plumb_bob", "got 3"),
        ((0.1,) * 5, "equidistant", "got 5"),
        (BROWN, "pano", "got 'pano'"),
    ],
)
def test_broken_models_are_refused(coefficients, model, message):
    with pytest.raises(ValueError, match=message):
        Lens(CAMERA, coefficients, model)
