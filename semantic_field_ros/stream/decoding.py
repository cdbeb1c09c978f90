"""From the bytes of image messages to arrays, by encoding name.

Pure functions on what the fields of sensor_msgs/Image and CompressedImage hold, so that bags and
live topics are read by the same code. Whatever cannot be read is a ValueError that names what was
expected and what came.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Bytes = NDArray[np.uint8] | bytes | bytearray | memoryview
Rgb = NDArray[np.uint8]
Depth = NDArray[np.float32]

MAX_SIDE_PX = 16384
MAX_PIXELS = 1 << 26
DEPTH_ENCODINGS = ("16UC1", "mono16", "32FC1")
_COMPRESSED_DEPTH_HEADER = 12


@dataclass(frozen=True)
class _Layout:
    """Samples of one pixel, and what turns (H, W, channels) of them into RGB."""

    dtype: str
    channels: int
    to_rgb: Callable[[NDArray], NDArray]


def _converted(code: int) -> Callable[[NDArray], NDArray]:
    return lambda pixels: cv2.cvtColor(pixels, code)


def _high_byte(pixels: NDArray) -> NDArray:
    """16 bits per channel to 8."""
    return (pixels >> 8).astype(np.uint8)


# OpenCV names a Bayer pattern by its second row and column, ROS by its first: hence the swap.
_LAYOUTS: dict[str, _Layout] = {
    "rgb8": _Layout("u1", 3, np.copy),
    "bgr8": _Layout("u1", 3, _converted(cv2.COLOR_BGR2RGB)),
    "8UC3": _Layout("u1", 3, _converted(cv2.COLOR_BGR2RGB)),
    "rgba8": _Layout("u1", 4, _converted(cv2.COLOR_RGBA2RGB)),
    "bgra8": _Layout("u1", 4, _converted(cv2.COLOR_BGRA2RGB)),
    "8UC4": _Layout("u1", 4, _converted(cv2.COLOR_BGRA2RGB)),
    "mono8": _Layout("u1", 1, _converted(cv2.COLOR_GRAY2RGB)),
    "8UC1": _Layout("u1", 1, _converted(cv2.COLOR_GRAY2RGB)),
    "rgb16": _Layout("u2", 3, _high_byte),
    "bgr16": _Layout("u2", 3, lambda p: _high_byte(p[..., ::-1])),
    "mono16": _Layout("u2", 1, lambda p: np.repeat(_high_byte(p), 3, axis=2)),
    "yuv422": _Layout("u1", 2, _converted(cv2.COLOR_YUV2RGB_UYVY)),
    "uyvy": _Layout("u1", 2, _converted(cv2.COLOR_YUV2RGB_UYVY)),
    "yuv422_yuy2": _Layout("u1", 2, _converted(cv2.COLOR_YUV2RGB_YUYV)),
    "yuyv": _Layout("u1", 2, _converted(cv2.COLOR_YUV2RGB_YUYV)),
    "bayer_rggb8": _Layout("u1", 1, _converted(cv2.COLOR_BayerBG2RGB)),
    "bayer_bggr8": _Layout("u1", 1, _converted(cv2.COLOR_BayerRG2RGB)),
    "bayer_gbrg8": _Layout("u1", 1, _converted(cv2.COLOR_BayerGR2RGB)),
    "bayer_grbg8": _Layout("u1", 1, _converted(cv2.COLOR_BayerGB2RGB)),
}


@dataclass(frozen=True)
class RawImage:
    """The fields of a sensor_msgs/Image.

    Attributes:
        data: `step * height` bytes, row by row.
        height, width: pixels.
        step: bytes per row, padding included.
        encoding: name from sensor_msgs/image_encodings.
        is_bigendian: byte order of samples wider than a byte.
    """

    data: Bytes
    height: int
    width: int
    step: int
    encoding: str
    is_bigendian: bool = False


def decode_image(image: RawImage) -> Rgb:
    """(H, W, 3) u8 RGB of a raw colour or grey image; never a view of the message.

    Raises:
        ValueError: unknown encoding, absurd size, or fewer bytes than the size asks for.
    """
    layout = _LAYOUTS.get(image.encoding)
    if layout is None:
        names = ", ".join(_LAYOUTS)
        raise ValueError(f"image encoding must be one of {names}; got {image.encoding!r}")
    pixels = _samples(image, layout.dtype, layout.channels)
    try:
        return np.ascontiguousarray(layout.to_rgb(pixels))
    except cv2.error as error:
        size = f"{image.width}x{image.height}"
        raise ValueError(
            f"{image.encoding} image of {size} cannot be converted: {error}"
        ) from None


def decode_depth(image: RawImage) -> Depth:
    """(H, W) f32 metres of a raw depth image (16-bit millimetres or float metres), NaN = unknown.

    Raises:
        ValueError: unknown encoding, absurd size, or fewer bytes than the size asks for.
    """
    if image.encoding not in DEPTH_ENCODINGS:
        names = ", ".join(DEPTH_ENCODINGS)
        raise ValueError(f"depth encoding must be one of {names}; got {image.encoding!r}")
    if image.encoding == "32FC1":
        return clean_depth(_samples(image, "f4", 1)[..., 0])
    return depth_from_millimetres(_samples(image, "u2", 1)[..., 0])


def decode_compressed_image(data: Bytes, image_format: str = "") -> Rgb:
    """(H, W, 3) u8 RGB of a JPEG or PNG file in memory.

    Args:
        data: the whole file.
        image_format: the message's `format`, said in errors.

    Raises:
        ValueError: neither JPEG nor PNG, truncated, damaged, or absurdly large.
    """
    return np.asarray(_open_file(data, image_format).convert("RGB")).copy()


def decode_compressed_depth(data: Bytes, image_format: str) -> Depth:
    """(H, W) f32 metres of a compressedDepth message or of a plain 16-bit PNG, NaN = unknown.

    compressed_depth_image_transport puts 12 bytes (a format number and two floats a, b) before the
    PNG; 32FC1 is stored as 16-bit inverse depth, depth = a / (value - b).

    Raises:
        ValueError: not a 16-bit PNG, truncated, or damaged.
    """
    view = np.frombuffer(data, np.uint8).data
    if "compresseddepth" not in image_format.lower():
        return depth_from_millimetres(_png16(view, image_format))
    if "rvl" in image_format.lower():
        raise ValueError(f"compressedDepth must hold PNG, got format {image_format!r}")
    if len(view) <= _COMPRESSED_DEPTH_HEADER:
        raise ValueError(f"compressedDepth must be longer than 12 bytes, got {len(view)}")
    values = _png16(view[_COMPRESSED_DEPTH_HEADER:], image_format)
    if not image_format.startswith("32FC1"):
        return depth_from_millimetres(values)
    a, b = np.frombuffer(view[4:_COMPRESSED_DEPTH_HEADER], "<f4")
    with np.errstate(divide="ignore", invalid="ignore"):
        depth_m = np.float32(a) / (values.astype(np.float32) - np.float32(b))
    return clean_depth(np.where(values == 0, np.float32(np.nan), depth_m))


def depth_from_millimetres(values: NDArray[np.unsignedinteger]) -> Depth:
    """(H, W) f32 metres of 16-bit millimetres; 0 and 65535 are unknown and become NaN."""
    depth_m = values.astype(np.float32) / np.float32(1000)
    depth_m[(values == 0) | (values == 65535)] = np.nan
    return depth_m


def clean_depth(depth_m: NDArray[np.floating]) -> Depth:
    """(H, W) f32 copy in which all that is not a finite positive distance is NaN."""
    cleaned = np.array(depth_m, np.float32, copy=True)
    cleaned[~(np.isfinite(cleaned) & (cleaned > 0))] = np.nan
    return cleaned


def _samples(image: RawImage, dtype: str, channels: int) -> NDArray:
    """(H, W, channels) samples in native byte order, without row padding."""
    check_size(image.width, image.height)
    order = ">" if image.is_bigendian else "<"
    sample = np.dtype(order + dtype)
    row = image.width * channels * sample.itemsize
    data = np.frombuffer(image.data, np.uint8)
    if image.step < row or data.size < image.step * image.height:
        raise ValueError(
            f"{image.encoding} image of {image.width}x{image.height} must have step >= {row} and "
            f"step * height bytes, got step {image.step} and {data.size} bytes"
        )
    rows = data[: image.step * image.height].reshape(image.height, image.step)
    packed = np.ascontiguousarray(rows[:, :row]).view(sample)
    native = packed.astype(sample.newbyteorder("="), copy=False)
    return native.reshape(image.height, image.width, channels)


def check_size(width: int, height: int) -> None:
    """Raises ValueError for an image size that no camera has."""
    fits = 0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX
    if not fits or width * height > MAX_PIXELS:
        raise ValueError(
            f"image size must be 1..{MAX_SIDE_PX} px a side and at most {MAX_PIXELS} px, "
            f"got {width}x{height}"
        )


def _open_file(data: Bytes, image_format: str) -> Image.Image:
    """A fully decoded JPEG or PNG; the size in its header is checked before the pixels."""
    view = np.frombuffer(data, np.uint8).data
    try:
        file = Image.open(io.BytesIO(view), formats=("JPEG", "PNG"))
        check_size(*file.size)
        file.load()
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(
            f"compressed image must be a whole JPEG or PNG, got {len(view)} bytes of format "
            f"{image_format!r}: {error}"
        ) from None
    return file


def _png16(data: Bytes, image_format: str) -> NDArray[np.uint16]:
    """(H, W) of a 16-bit grey PNG."""
    file = _open_file(data, image_format)
    if not file.mode.startswith("I"):
        raise ValueError(
            f"depth must be a 16-bit grey PNG, got mode {file.mode} ({image_format!r})"
        )
    return np.asarray(file).astype(np.uint16)
