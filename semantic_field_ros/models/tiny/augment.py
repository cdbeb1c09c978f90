"""What a real camera does to a rendered picture, and what makes training pictures differ."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = NDArray[np.uint8]


def blur(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """Out of focus, or a short linear motion."""
    if rng.random() < 0.6:
        return np.asarray(cv2.GaussianBlur(rgb, (0, 0), float(rng.uniform(0.3, 1.2))), np.uint8)
    length, angle = int(rng.integers(2, 6)), rng.uniform(0, np.pi)
    kernel = np.zeros((7, 7), np.float32)
    end = np.array([np.cos(angle), np.sin(angle)]) * length / 2
    start = tuple(np.round(3 - end).astype(int).tolist())
    cv2.line(kernel, start, tuple(np.round(3 + end).astype(int).tolist()), 1.0)
    return np.asarray(cv2.filter2D(rgb, -1, kernel / kernel.sum()), np.uint8)


def exposure(rgb: Rgb, rng: np.random.Generator, strength: float = 1.0) -> Rgb:
    """Gain, white balance and gamma, one curve per channel."""
    gain = np.exp(rng.normal(0, 0.18 * strength)) * np.exp(rng.normal(0, 0.05 * strength, 3))
    gamma = np.exp(rng.normal(0, 0.12 * strength))
    levels = (np.arange(256) / 255.0)[:, None] ** gamma * gain
    table = np.clip(levels * 255 + rng.normal(0, 4 * strength), 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(rgb, table[:, None, :]), np.uint8)


def noise(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """Gaussian read-out noise."""
    grain = rng.standard_normal(rgb.shape, np.float32) * np.float32(rng.uniform(1, 6))
    return np.clip(rgb + grain, 0, 255).astype(np.uint8)


def compress(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """JPEG there and back."""
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 95))]
    return np.asarray(
        cv2.imdecode(cv2.imencode(".jpg", rgb, quality)[1], cv2.IMREAD_COLOR), np.uint8
    )


def sensor_look(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """A random subset of blur, exposure, noise and compression, in the order light takes."""
    for chance, effect in ((0.5, blur), (0.8, exposure), (0.5, noise), (0.3, compress)):
        if rng.random() < chance:
            rgb = effect(rgb, rng)
    return rgb


def soften(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """As a young map renders it: what is fine has gone."""
    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), float(rng.uniform(1.0, 2.5))), np.uint8)


def recolour(rgb: Rgb, rng: np.random.Generator) -> Rgb:
    """Turns the hues and shuffles the channels: what is one thing does not depend on them."""
    if rng.random() < 0.5:
        rgb = np.ascontiguousarray(rgb[..., rng.permutation(3)])
    if rng.random() < 0.5:
        return exposure(rgb, rng, strength=2.5)
    return rgb


def like_a_neighbour(
    rgb: Rgb, instance: NDArray[np.integer], objects: frozenset[int], rng: np.random.Generator
) -> Rgb:
    """Gives one object the colour of something that it touches: a red hat on a red cabinet.

    Its shading stays, and is all that tells the two apart.

    Args:
        rgb: (H, W, 3) u8.
        instance: (H, W) ids.
        objects: ids of what may be coloured anew.
        rng: source of chance.
    """
    pairs = _touching(instance)
    pairs = pairs[np.isin(pairs[:, 0], list(objects))]
    if len(pairs) == 0:
        return rgb
    own, other = (instance == i for i in pairs[rng.integers(len(pairs))])
    grey = rgb[own].mean(axis=1, keepdims=True)
    alike = rgb.copy()
    shaded = rgb[other].mean(axis=0) * grey / max(float(grey.mean()), 1.0)
    alike[own] = np.clip(shaded, 0, 255).astype(np.uint8)
    # Pixels along its edge are a mixture with the colour that it had, and would give it away.
    edge = cv2.morphologyEx(own.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8))
    return np.asarray(cv2.inpaint(alike, edge, 2, cv2.INPAINT_TELEA), np.uint8)


def _touching(instance: NDArray[np.integer]) -> NDArray[np.integer]:
    """(P, 2) different pairs of ids that lie side by side in (H, W), both ways round."""
    across = np.stack([instance[:, 1:].ravel(), instance[:, :-1].ravel()], axis=1)
    down = np.stack([instance[1:].ravel(), instance[:-1].ravel()], axis=1)
    pairs = np.concatenate([across, down])
    pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
    return np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)


def crop_and_flip(
    rgb: Rgb,
    instance: NDArray[np.integer],
    size: tuple[int, int],
    rng: np.random.Generator,
    smallest: float = 0.55,
) -> tuple[Rgb, NDArray[np.int32]]:
    """A random part of a picture at `size` (height, width), with its instances.

    Args:
        rgb: (H, W, 3) u8.
        instance: (H, W) ids.
        size: of the result; its aspect ratio should be that of the picture.
        rng: source of chance.
        smallest: least share of the picture's sides that remains; one in three stays whole.
    """
    height, width = instance.shape
    share = 1.0 if rng.random() < 1 / 3 else rng.uniform(smallest, 1.0)
    h, w = round(height * share), round(width * share)
    top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
    window = np.s_[top : top + h, left : left + w]
    shape = (size[1], size[0])
    how = cv2.INTER_AREA if w >= size[1] else cv2.INTER_LINEAR
    part = cv2.resize(np.ascontiguousarray(rgb[window]), shape, interpolation=how)
    ids = cv2.resize(instance[window].astype(np.int16), shape, interpolation=cv2.INTER_NEAREST)
    if rng.random() < 0.5:
        part, ids = part[:, ::-1], ids[:, ::-1]
    return np.ascontiguousarray(part), np.ascontiguousarray(ids).astype(np.int32)
