"""Decides, frame by frame, which ones become keyframes; every decision has a reason."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from enum import Enum

import cv2
import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.config import KeyframesConfig
from semantic_field_ros.geometry import rotation_angle_rad
from semantic_field_ros.types import PosedFrame

#: frames over which the running median of sharpness goes.
SHARPNESS_WINDOW = 15
#: sharpness is measured at this width, so that a larger sensor is not a noisier one, pixels.
SHARPNESS_WIDTH_PX = 320
#: values at most this far from black or white carry no structure.
CLIPPED = 5
#: share of clipped pixels from which a frame is refused.
MAX_CLIPPED_SHARE = 0.7
#: share of ignored pixels from which a frame is refused.
MAX_IGNORED_SHARE = 0.7
#: a stamp of the same camera that is older by more than this comes after a jump of time, seconds.
JUMP_S = 2.0
#: a blurred frame is better than none after this many times the longest gap.
BLUR_PATIENCE = 2.0


class Reason(str, Enum):
    """Why a frame was kept (first four) or not."""

    FIRST = "first frame of the camera"
    MOVED = "moved"
    TURNED = "turned"
    GAP = "long since the last"
    STILL = "too close to the last keyframe"
    STALE = "stamp not newer than the last"
    BLURRED = "blurred"
    DARK = "under-exposed"
    BRIGHT = "over-exposed"
    IGNORED = "mostly ignored"


KEPT = frozenset({Reason.FIRST, Reason.MOVED, Reason.TURNED, Reason.GAP})


@dataclass(frozen=True)
class Decision:
    """`detail` says the numbers behind the reason."""

    reason: Reason
    detail: str

    @property
    def keep(self) -> bool:
        """Whether the frame becomes a keyframe."""
        return self.reason in KEPT


@dataclass
class _CameraState:
    """What is remembered of one camera."""

    seen_ns: int
    last: PosedFrame | None = None
    sharpness: deque[float] = field(default_factory=lambda: deque(maxlen=SHARPNESS_WINDOW))


class KeyframeSelector:
    """Keeps frames that moved, turned or are late, and are neither blurred nor badly exposed.

    All limits are by message stamps. Every camera is judged for itself; when its time jumps back,
    its history starts anew.

    Args:
        config: thresholds.
    """

    def __init__(self, config: KeyframesConfig) -> None:
        self._counts: Counter[Reason] = Counter()
        self._config = config
        self._cameras: dict[str, _CameraState] = {}

    def consider(self, frame: PosedFrame) -> Decision:
        """Judges the next frame of its camera."""
        decision = self._judge(frame)
        self._counts[decision.reason] += 1
        if decision.keep:
            self._cameras[frame.camera_name].last = frame
        return decision

    def counts(self) -> dict[str, int]:
        """How often each reason occurred, while frames may go on coming in."""
        return {reason.value: n for reason, n in self._counts.copy().items()}

    def reset(self) -> None:
        """Forgets all cameras; counts stay."""
        self._cameras.clear()

    def _judge(self, frame: PosedFrame) -> Decision:
        state = self._state(frame)
        if frame.stamp_ns <= state.seen_ns and state.sharpness:
            return Decision(Reason.STALE, f"{frame.stamp_ns} ns after {state.seen_ns} ns")
        state.seen_ns = frame.stamp_ns
        ignored_share = 0.0 if frame.ignored is None else float(frame.ignored.mean())
        if ignored_share > MAX_IGNORED_SHARE:
            return Decision(Reason.IGNORED, f"{ignored_share:.0%} of the pixels are ignored")
        grey, counts = _small_grey(frame)
        sharpness = sharpness_of(grey, counts)
        median = float(np.median(state.sharpness)) if state.sharpness else sharpness
        state.sharpness.append(sharpness)
        exposure = _exposure(grey[counts])
        if exposure is not None:
            return exposure
        motion = self._motion(frame, state.last)
        share = sharpness / median if median > 0 else 1.0
        if motion.keep and share < self._config.min_sharpness and not self._late(frame, state):
            return Decision(Reason.BLURRED, f"{share:.2f} of the usual sharpness")
        return motion

    def _state(self, frame: PosedFrame) -> _CameraState:
        """History of the frame's camera; new for a new camera and after a jump of time."""
        state = self._cameras.get(frame.camera_name)
        if state is None or frame.stamp_ns < state.seen_ns - JUMP_S * 1e9:
            state = self._cameras[frame.camera_name] = _CameraState(frame.stamp_ns)
        return state

    def _late(self, frame: PosedFrame, state: _CameraState) -> bool:
        if state.last is None or not self._config.max_gap_s:
            return False
        gap_s = (frame.stamp_ns - state.last.stamp_ns) / 1e9
        return gap_s > BLUR_PATIENCE * self._config.max_gap_s

    def _motion(self, frame: PosedFrame, last: PosedFrame | None) -> Decision:
        """Whether the frame is news with respect to the camera's last keyframe."""
        if last is None:
            return Decision(Reason.FIRST, frame.camera_name)
        config = self._config
        step = frame.world_from_camera[:3, 3] - last.world_from_camera[:3, 3]
        moved_m = float(np.linalg.norm(step))
        angle_rad = rotation_angle_rad(last.world_from_camera, frame.world_from_camera)
        turned_deg = float(np.degrees(angle_rad))
        gap_s = (frame.stamp_ns - last.stamp_ns) / 1e9
        if moved_m >= config.min_translation_m:
            return Decision(Reason.MOVED, f"{moved_m:.3f} m")
        if turned_deg >= config.min_rotation_deg:
            return Decision(Reason.TURNED, f"{turned_deg:.1f} deg")
        if config.max_gap_s and gap_s >= config.max_gap_s:
            return Decision(Reason.GAP, f"{gap_s:.1f} s")
        text = f"{moved_m:.3f} m, {turned_deg:.1f} deg and {gap_s:.1f} s away"
        return Decision(Reason.STILL, text)


def sharpness_of(grey: NDArray[np.uint8], counts: NDArray[np.bool_] | None = None) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al. 2000) of an (H, W) u8 image.

    Args:
        grey: the image.
        counts: (H, W) bool, the pixels over which it is taken; None = all.
    """
    edges = cv2.Laplacian(grey, cv2.CV_32F)
    return float((edges if counts is None else edges[counts]).var())


def _small_grey(frame: PosedFrame) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(h, w) u8, at most `SHARPNESS_WIDTH_PX` wide, and (h, w) bool which pixels count."""
    rgb, ignored = frame.rgb, frame.ignored
    height, width = rgb.shape[:2]
    if width > SHARPNESS_WIDTH_PX:
        width, height = SHARPNESS_WIDTH_PX, max(1, height * SHARPNESS_WIDTH_PX // width)
        rgb = np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    counts = np.ones((height, width), np.bool_)
    if ignored is not None:
        nearest = cv2.resize(
            ignored.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST
        )
        counts = np.asarray(nearest == 0)
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8), counts


def _exposure(grey: NDArray[np.uint8]) -> Decision | None:
    """A refusal where most of (N,) u8 pixels are black or white."""
    dark, bright = float((grey <= CLIPPED).mean()), float((grey >= 255 - CLIPPED).mean())
    if dark > MAX_CLIPPED_SHARE:
        return Decision(Reason.DARK, f"{dark:.0%} of the pixels are black")
    if bright > MAX_CLIPPED_SHARE:
        return Decision(Reason.BRIGHT, f"{bright:.0%} of the pixels are white")
    return None
