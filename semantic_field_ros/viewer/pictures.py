"""Pictures of answers: the camera's view, the 3D mask from two angles, and sheets of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from semantic_field_ros.geometry import inside_image, project
from semantic_field_ros.types import PinholeCamera, PosedFrame, SurfaceCloud
from semantic_field_ros.viewer.raster import (
    facing,
    front_points,
    orbit,
    shade,
)

PANEL = (288, 216)
PAPER, INK, FAINT = (250, 250, 248), (28, 30, 34), (118, 122, 130)
#: panels are drawn this many times as large as they are shown.
FINER = 2
#: side of the squares over which the grain of a cloud is evened out, pixels.
GRAIN_PX = 5
#: turns around an answer that are tried on either side of the camera's view, radians.
LEFT, RIGHT = (-0.4, -0.9, -1.5), (0.5, 1.1, 1.8)
GOOD, BAD, ANSWER = (22, 128, 74), (196, 52, 44), (255, 96, 0)

Image = NDArray[np.uint8]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Answered:
    """One query and its answer, ready to be drawn.

    Attributes:
        title: what was asked.
        verdict: what came back, in a few words.
        right: whether that was right; None where nobody knows.
        frame: the camera's view.
        surface: the map that was asked.
        indices: (M,) surface points of the answer; none if nothing was found.
        pixel: (u, v) that was clicked in the view, or None.
    """

    title: str
    verdict: str
    right: bool | None
    frame: PosedFrame
    surface: SurfaceCloud
    indices: Indices
    pixel: tuple[int, int] | None


def best_view(
    frames: Sequence[PosedFrame], points: NDArray[np.floating], slack_m: float = 0.03
) -> PosedFrame:
    """The frame whose depth confirms most of the (M, 3) points; the middle one if none does."""
    seen = [_confirmed(frame, points, slack_m) for frame in frames]
    return frames[int(np.argmax(seen))] if max(seen) > 0 else frames[len(frames) // 2]


def _confirmed(frame: PosedFrame, points: NDArray[np.floating], slack_m: float) -> int:
    pixel, depth = project(frame.camera, frame.world_from_camera, points)
    inside = inside_image(frame.camera, pixel, depth)
    if frame.depth_m is None:
        return int(inside.sum())
    column, row = np.rint(pixel[inside]).astype(int).T
    return int((np.abs(frame.depth_m[row, column] - depth[inside]) < slack_m).sum())


def answer_in_view(asked: Answered) -> Image:
    """(H, W, 3) the camera's image with the visible part of the answer laid over it."""
    frame, points = asked.frame, asked.surface.points
    front = front_points(points, frame.camera, frame.world_from_camera, asked.surface.spacing_m)
    chosen = np.zeros(len(points) + 1, np.bool_)
    chosen[asked.indices] = True
    picture = overlay(frame.rgb, chosen[front])
    return picture if asked.pixel is None else _crosshair(picture, asked.pixel)


def overlay(rgb: Image, mask: NDArray[np.bool_]) -> Image:
    """The image with a mask tinted and outlined, and the rest a little darker."""
    if not mask.any():
        return rgb
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    inside = closed.astype(np.bool_)[..., None]
    tinted = np.where(inside, 0.55 * rgb + 0.45 * np.array(ANSWER), 0.6 * rgb).astype(np.uint8)
    outline, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    picture = np.ascontiguousarray(tinted)
    cv2.drawContours(picture, outline, -1, (255, 255, 255), 1, cv2.LINE_AA)
    return picture


def _crosshair(picture: Image, pixel: tuple[int, int]) -> Image:
    drawn = np.ascontiguousarray(picture)
    arm = max(6, drawn.shape[1] // 28)
    for colour, width in (((0, 0, 0), 4), ((255, 255, 255), 2)):
        cv2.drawMarker(drawn, pixel, colour, cv2.MARKER_CROSS, 2 * arm, width, cv2.LINE_AA)
        cv2.circle(drawn, pixel, arm // 2, colour, width - 1, cv2.LINE_AA)
    return drawn


def answer_in_3d(asked: Answered, world_from_camera: NDArray[np.float64]) -> Image:
    """The map in pale with the answer in colour, from a pose; points turned away are left out."""
    surface, indices = asked.surface, asked.indices
    eye = world_from_camera[:3, 3]
    drawn = facing(surface, eye)
    camera = _panel_camera(FINER)
    colour = _colours(surface, indices)[drawn] * shade(surface, drawn, eye)[:, None]
    front = front_points(
        surface.points[drawn], camera, world_from_camera, surface.spacing_m[drawn]
    )
    picture = np.empty((*front.shape, 3), np.uint8)
    picture[:] = PAPER
    picture[front >= 0] = colour[front[front >= 0]].astype(np.uint8)
    # Which of several points at nearly one depth is in front is chance, and looks like grain.
    return np.asarray(cv2.medianBlur(picture, GRAIN_PX), np.uint8)


def _colours(surface: SurfaceCloud, indices: Indices) -> NDArray[np.float32]:
    """(N, 3) pale versions of the map's colours, the answer's points in the answer's colour."""
    grey = surface.rgb.astype(np.float32).mean(axis=1, keepdims=True)
    pale = 0.8 * surface.rgb + 0.2 * grey
    if len(indices):
        pale = 0.65 * pale + 0.35 * 225.0
        pale[indices] = 0.2 * surface.rgb[indices] + 0.8 * np.array(ANSWER)
    return pale.astype(np.float32)


def two_angles(asked: Answered) -> tuple[Image, Image]:
    """The answer from the two sides that show most of it; without one, what the camera saw."""
    surface = asked.surface
    shown = surface.points[asked.indices if len(asked.indices) else _in_view(asked)]
    low, high = np.percentile(shown, [3, 97], axis=0)
    around = np.percentile(surface.points, 97, axis=0) - np.percentile(surface.points, 3, axis=0)
    reach = max(1.5 * float(np.linalg.norm(high - low)), 0.14 * float(np.linalg.norm(around)))
    behind = asked.frame.world_from_camera[:3, 3] - (low + high) / 2
    azimuth = float(np.arctan2(behind[1], behind[0]))
    poses = [
        [orbit((low + high) / 2, 1.3 * reach, azimuth + turn, elevation) for turn in side]
        for side, elevation in ((LEFT, 0.55), (RIGHT, 0.95))
    ]
    first, second = (max(side, key=lambda pose: _share(asked, pose)) for side in poses)
    return answer_in_3d(asked, first), answer_in_3d(asked, second)


def _in_view(asked: Answered) -> Indices:
    """The nearer half of the points in the camera's image; all points if there are none."""
    frame, points = asked.frame, asked.surface.points
    pixel, depth = project(frame.camera, frame.world_from_camera, points)
    inside = np.flatnonzero(inside_image(frame.camera, pixel, depth))
    if len(inside) == 0:
        return np.arange(len(points))
    return inside[depth[inside] <= np.median(depth[inside])]


def _share(asked: Answered, pose: NDArray[np.float64]) -> float:
    """How much of a small picture from a pose shows the answer."""
    drawn = facing(asked.surface, pose[:3, 3])
    points = asked.surface.points[drawn]
    front = front_points(points, _panel_camera(0.25), pose, asked.surface.spacing_m[drawn])
    chosen = np.zeros(len(asked.surface.points), np.bool_)
    chosen[asked.indices] = True
    return float(np.mean(chosen[drawn[front[front >= 0]]])) if (front >= 0).any() else 0.0


def _panel_camera(scale: float) -> PinholeCamera:
    width, height = round(PANEL[0] * scale), round(PANEL[1] * scale)
    return PinholeCamera(
        width, height, 1.05 * width, 1.05 * width, width / 2 - 0.5, height / 2 - 0.5
    )


def answer_sheet(heading: str, note: str, rows: Sequence[Answered], columns: int = 2) -> Image:
    """One picture of all answers: the camera's view beside the 3D mask from two angles.

    Args:
        heading: what the sheet shows.
        note: a line of figures under it.
        rows: the answers, in reading order.
        columns: answers side by side.
    """
    margin, gap, caption = 28, 6, 34
    cell = (3 * PANEL[0] + 2 * gap, PANEL[1] + caption + 22)
    lines = -(-len(rows) // columns)
    size = (
        2 * margin + columns * cell[0] + (columns - 1) * margin,
        2 * margin + 64 + lines * cell[1],
    )
    sheet = PilImage.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((margin, margin - 8), heading, INK, _font(26))
    draw.text((margin, margin + 26), note, FAINT, _font(15))
    for place, asked in enumerate(rows):
        left = margin + (place % columns) * (cell[0] + margin)
        top = margin + 64 + (place // columns) * cell[1]
        _caption(draw, (left, top), asked, cell[0])
        panels = (answer_in_view(asked), *two_angles(asked))
        for at, panel in enumerate(panels):
            corner = (left + at * (PANEL[0] + gap), top + caption)
            sheet.paste(_fitted(panel), corner)
            outline = (corner[0], corner[1], corner[0] + PANEL[0] - 1, corner[1] + PANEL[1] - 1)
            draw.rectangle(outline, outline=(214, 214, 210))
    return np.asarray(sheet)


def _caption(
    draw: ImageDraw.ImageDraw, corner: tuple[int, int], asked: Answered, width: int
) -> None:
    colour = {True: GOOD, False: BAD, None: FAINT}[asked.right]
    sign = {True: "right", False: "wrong", None: "?"}[asked.right]
    draw.text(corner, asked.title, INK, _font(19))
    verdict = f"{asked.verdict}   {sign}" if asked.right is not None else asked.verdict
    length = draw.textlength(verdict, _font(15))
    draw.text((corner[0] + width - length, corner[1] + 5), verdict, colour, _font(15))


def _fitted(picture: Image) -> PilImage.Image:
    """The picture in the panel's size, cut rather than stretched."""
    height, width = picture.shape[:2]
    scale = max(PANEL[0] / width, PANEL[1] / height)
    grown = PilImage.fromarray(picture).resize(
        (round(width * scale), round(height * scale)), PilImage.Resampling.LANCZOS
    )
    left, top = (grown.width - PANEL[0]) // 2, (grown.height - PANEL[1]) // 2
    return grown.crop((left, top, left + PANEL[0], top + PANEL[1]))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
