"""What the segmenter is trained on: augmented pictures with prompts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from semantic_field_ros.models.tiny.augment import (
    crop_and_flip,
    like_a_neighbour,
    recolour,
    sensor_look,
    soften,
)
from semantic_field_ros.models.tiny.data import Pictures, PictureStore
from semantic_field_ros.models.tiny.prompts import PromptBatch, PromptSampler

#: (height, width) of the pictures.
SIZE = (240, 320)
#: share of pictures that look as if a map had rendered them.
SOFT_SHARE = 0.15
#: share of pictures in which an object has the colour of something that it touches.
ALIKE_SHARE = 0.3


@dataclass(frozen=True)
class Example:
    """One augmented picture.

    Attributes:
        image: (3, H, W) f32 in [0, 255].
        instance: (H + padding, W) i32, padded below to what the encoder takes.
        objects: (O,) ids that are objects.
        prompts: on it.
    """

    image: Tensor
    instance: Tensor
    objects: Tensor
    prompts: PromptBatch


def draw_example(
    store: PictureStore, rng: np.random.Generator, count: int, kind: str, natural: float = 0.0
) -> Example:
    """A picture with at least one promptable instance.

    Args:
        store: of pictures.
        rng: source of chance.
        count: prompts.
        kind: of the prompts, see `PromptSampler.draw`.
        natural: share of pictures that stay whole and in their own colours, as a camera sees them.
    """
    while True:
        pictures, view = store.draw(rng)
        as_it_is = rng.random() < natural
        smallest = 1.0 if as_it_is else 0.55
        rgb, instance = crop_and_flip(
            pictures.rgb[view], pictures.instance[view], SIZE, rng, smallest
        )
        objects = _objects(pictures)
        prompts = PromptSampler(instance, objects, rng).draw(count, kind)
        if prompts is not None:
            if not as_it_is and rng.random() < ALIKE_SHARE:
                rgb = like_a_neighbour(rgb, instance, objects, rng)
            rgb = rgb if as_it_is else recolour(rgb, rng)
            rgb = soften(rgb, rng) if rng.random() < SOFT_SHARE else sensor_look(rgb, rng)
            image = torch.from_numpy(rgb).permute(2, 0, 1)
            below = -SIZE[0] % 32
            padded = np.pad(instance, ((0, below), (0, 0)))
            ids = torch.tensor(sorted(objects))
            return Example(image.float(), torch.from_numpy(padded), ids, prompts)


def _objects(pictures: Pictures) -> frozenset[int]:
    return frozenset(i for i, thing in pictures.things.items() if thing.is_object)
