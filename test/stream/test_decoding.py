import struct

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semantic_field_ros.stream.decoding import (
    RawImage,
    decode_compressed_depth,
    decode_compressed_image,
    decode_depth,
    decode_image,
)

RGB = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)


def raw(array, encoding, padding=0, big=False):
    """The message fields of an (H, W[, C]) array, each row followed by `padding` bytes."""
    height, width = array.shape[:2]
    packed = array.astype(array.dtype.newbyteorder(">" if big else "<"))
    rows = packed.view(np.uint8).reshape(height, -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    return RawImage(rows.ravel(), height, width, rows.shape[1], encoding, big)


@pytest.mark.parametrize("padding", [0, 3])
@pytest.mark.parametrize(
    ("encoding", "array"),
    [
        ("rgb8", RGB),
        ("bgr8", RGB[..., ::-1]),
        ("8UC3", RGB[..., ::-1]),
        ("rgba8", np.concatenate([RGB, RGB[..., :1]], axis=2)),
        ("bgra8", np.concatenate([RGB[..., ::-1], RGB[..., :1]], axis=2)),
    ],
)
def test_colour_encodings_give_the_same_rgb(encoding, array, padding):
    decoded = decode_image(raw(np.ascontiguousarray(array), encoding, padding))
    assert decoded.dtype == np.uint8 and decoded.flags.c_contiguous
    np.testing.assert_array_equal(decoded, RGB)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8"])
def test_image_is_no_view_of_the_message(encoding):
    """The bytes may belong to a middleware that takes them back, and may be read-only."""
    decoded = decode_image(RawImage(RGB.tobytes(), 4, 6, 18, encoding))
    assert decoded.flags.writeable and decoded.flags.owndata


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("encoding", ["rgb16", "bgr16"])
def test_sixteen_bit_colour_keeps_the_high_byte(encoding, big):
    wide = RGB.astype(np.uint16) * 256 + 13
    ordered = wide if encoding == "rgb16" else np.ascontiguousarray(wide[..., ::-1])
    np.testing.assert_array_equal(decode_image(raw(ordered, encoding, big=big)), RGB)


def test_grey_becomes_three_equal_channels():
    grey = RGB[..., 0].copy()
    np.testing.assert_array_equal(decode_image(raw(grey, "mono8")), np.stack([grey] * 3, 2))


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_patterns_of_a_flat_colour(pattern):
    colour = {"r": 200, "g": 120, "b": 40}
    tile = np.array([colour[c] for c in pattern], np.uint8).reshape(2, 2)
    decoded = decode_image(raw(np.tile(tile, (4, 4)), f"bayer_{pattern}8"))
    np.testing.assert_array_equal(decoded, np.broadcast_to([200, 120, 40], (8, 8, 3)))


@pytest.mark.parametrize(("encoding", "order"), [("yuv422", "uyvy"), ("yuv422_yuy2", "yuyv")])
def test_yuv422_of_a_grey_image(encoding, order):
    luma = np.full((2, 4), 128, np.uint8)
    chroma = np.full_like(luma, 128)
    pair = (chroma, luma) if order == "uyvy" else (luma, chroma)
    decoded = decode_image(raw(np.stack(pair, 2), encoding))
    assert decoded.shape == (2, 4, 3) and np.ptp(decoded) == 0 and 120 < decoded[0, 0, 0] < 140


def test_unknown_encoding_names_what_is_known():
    with pytest.raises(ValueError, match=r"rgb8.*got 'h264'"):
        decode_image(raw(RGB, "h264"))


@pytest.mark.parametrize(
    "changes",
    [
        {"height": 5},
        {"step": 10},
        {"width": 0},
        {"width": 2**31},
        {"height": 2**31, "step": 2**31},
        {"data": b""},
    ],
)
def test_sizes_that_do_not_fit_the_bytes_are_refused(changes):
    fields = raw(RGB, "rgb8").__dict__ | changes
    with pytest.raises(ValueError, match="got"):
        decode_image(RawImage(**fields))


def test_odd_width_of_a_paired_encoding_is_refused():
    with pytest.raises(ValueError, match="yuv422"):
        decode_image(raw(np.zeros((3, 3, 2), np.uint8), "yuv422"))


def test_depth_in_millimetres_and_in_metres():
    values = np.array([[0, 1500], [65535, 250]], np.uint16)
    expected = np.array([[np.nan, 1.5], [np.nan, 0.25]], np.float32)
    np.testing.assert_array_equal(decode_depth(raw(values, "16UC1")), expected)
    np.testing.assert_array_equal(decode_depth(raw(values, "16UC1", big=True)), expected)
    metres = np.array([[np.inf, 1.5], [-1.0, 0.25]], np.float32)
    np.testing.assert_array_equal(decode_depth(raw(metres, "32FC1", padding=2)), expected)


def test_depth_of_a_colour_encoding_is_refused():
    with pytest.raises(ValueError, match=r"16UC1.*got 'rgb8'"):
        decode_depth(raw(RGB, "rgb8"))


def encoded(array, extension):
    return cv2.imencode(extension, array)[1].tobytes()


def test_png_is_exact_and_jpeg_is_close():
    smooth = cv2.resize(RGB, (60, 40), interpolation=cv2.INTER_CUBIC)
    bgr = np.ascontiguousarray(smooth[..., ::-1])
    png = decode_compressed_image(encoded(bgr, ".png"), "rgb8; png compressed bgr8")
    np.testing.assert_array_equal(png, smooth)
    jpeg = decode_compressed_image(encoded(bgr, ".jpg"), "jpeg")
    assert np.abs(jpeg.astype(int) - smooth).mean() < 12


@pytest.mark.parametrize("extension", [".png", ".jpg"])
@settings(max_examples=30, deadline=None)
@given(share=st.floats(0, 0.97))
def test_truncated_files_are_refused(extension, share):
    data = encoded(cv2.resize(RGB, (64, 48)), extension)
    with pytest.raises(ValueError, match="whole JPEG or PNG"):
        decode_compressed_image(data[: int(len(data) * share)], "jpeg")


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_never_get_past_as_anything_but_value_error(data):
    with pytest.raises(ValueError):
        decode_compressed_image(data)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_file_gives_an_image_or_a_value_error(data):
    file = bytearray(
        encoded(cv2.resize(RGB, (32, 24)), data.draw(st.sampled_from([".png", ".jpg"])))
    )
    for _ in range(data.draw(st.integers(1, 8))):
        file[data.draw(st.integers(0, len(file) - 1))] = data.draw(st.integers(0, 255))
    try:
        image = decode_compressed_image(bytes(file))
    except ValueError:
        return
    assert image.ndim == 3 and image.dtype == np.uint8


def test_compressed_depth_in_millimetres():
    values = np.array([[0, 1500], [65535, 250]], np.uint16)
    message = b"\0" * 12 + encoded(values, ".png")
    expected = np.array([[np.nan, 1.5], [np.nan, 0.25]], np.float32)
    decoded = decode_compressed_depth(message, "16UC1; compressedDepth png")
    np.testing.assert_array_equal(decoded, expected)
    plain = decode_compressed_depth(encoded(values, ".png"), "16UC1; png compressed ")
    np.testing.assert_array_equal(plain, expected)


def test_compressed_depth_in_inverse_depth():
    a, b = 1000.0, 5.0
    depth_m = np.array([[0.5, 2.0], [8.0, 1.0]])
    values = np.round(a / depth_m + b).astype(np.uint16)
    values[1, 0] = 0
    message = struct.pack("<iff", 0, a, b) + encoded(values, ".png")
    decoded = decode_compressed_depth(message, "32FC1; compressedDepth png")
    np.testing.assert_allclose(decoded, [[0.5, 2.0], [np.nan, 1.0]], rtol=1e-3)


@pytest.mark.parametrize(
    ("data", "image_format"),
    [
        (b"\0" * 12, "16UC1; compressedDepth png"),
        (b"\0" * 60, "16UC1; compressedDepth rvl"),
        (b"\0" * 12 + encoded(RGB, ".png"), "16UC1; compressedDepth png"),
        (b"", "png"),
    ],
)
def test_bad_compressed_depth_is_refused(data, image_format):
    with pytest.raises(ValueError, match="got"):
        decode_compressed_depth(data, image_format)
