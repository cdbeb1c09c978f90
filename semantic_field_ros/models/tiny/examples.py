"""What the segmenter is trained on: augmented pictures with prompts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from semantic_field_ros.models.tiny.augment import crop_and_flip, recolour, sensor_look
from semantic_field_ros.models.tiny.data import Pictures, PictureStore
from semantic_field_ros.models.tiny.prompts import PromptBatch, PromptSampler

#: (height, width) of the pictures.
SIZE = (240, 320)


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


def draw_example(store: PictureStore, rng: np.random.Generator, count: int, kind: str) -> Example:
    """A picture with at least one promptable instance."""
    while True:
        pictures, view = store.draw(rng)
        rgb, instance = crop_and_flip(pictures.rgb[view], pictures.instance[view], SIZE, rng)
        objects = _objects(pictures)
        prompts = PromptSampler(instance, objects, rng).draw(count, kind)
        if prompts is not None:
            image = torch.from_numpy(sensor_look(recolour(rgb, rng), rng)).permute(2, 0, 1)
            below = -SIZE[0] % 32
            padded = np.pad(instance, ((0, below), (0, 0)))
            ids = torch.tensor(sorted(objects))
            return Example(image.float(), torch.from_numpy(padded), ids, prompts)


def _objects(pictures: Pictures) -> frozenset[int]:
    return frozenset(i for i, thing in pictures.things.items() if thing.is_object)
