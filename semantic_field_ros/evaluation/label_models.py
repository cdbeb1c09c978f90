"""A segmenter and a language model driven by ground truth, with faults; for measuring only.

They show how well masks are lifted to 3D on real images where no checkpoint can be had. Nothing
outside this room imports them, and no figure made with them stands without saying so.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.evaluation.label_faults import (
    BACKGROUND_ID,
    Faults,
    Region,
    regions_of,
    signed_distance,
)
from semantic_field_ros.models.base import (
    Calibration,
    DecodedMasks,
    EmbeddingLayout,
    Image,
    LanguageModel,
    Prompts,
    Segmenter,
)
from semantic_field_ros.models.crops import segment_crop
from semantic_field_ros.types import MaskProposal

SIDE, CHANNELS, DIM = 64, 32, 64
CROP_PX = 64
#: thumbnails (mean of absolute differences, of 255) of one image at two sizes differ by less.
SAME_IMAGE = 4.0
#: f16 holds whole numbers exactly up to here; an embedding carries its view's number.
MAX_VIEWS = 2047
BACKGROUND_PHRASE = "background"

#: The square picture of a proposal that the language model is shown.
Crop = Callable[[Image, MaskProposal], Image]


@dataclass(frozen=True)
class LabelledView:
    """One image that may be segmented: rgb (H, W, 3) u8 and its true ids (H, W) i32."""

    rgb: Image
    instance: NDArray[np.int32]


def thumbnail(image: Image, side: int = 16) -> NDArray[np.float32]:
    """(side², 3) area means, by which an image is recognised at any size."""
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).reshape(-1, 3)


def nearest_thumbnail(image: Image, known: NDArray[np.float32]) -> tuple[int, float]:
    """Which of (K, side², 3) known thumbnails an image looks like, and how far it is from it."""
    distance = np.abs(known - thumbnail(image)).mean(axis=(1, 2))
    best = int(distance.argmin())
    return best, float(distance[best])


def phrase_vector(phrase: str) -> NDArray[np.float32]:
    """(DIM,) unit vector of a phrase: the sum of a fixed random vector per word."""
    words = phrase.lower().split()
    total = np.zeros(DIM)
    for word in words:
        total += np.random.default_rng(zlib.crc32(word.encode())).normal(size=DIM)
    return (total / np.linalg.norm(total)).astype(np.float32)


class LabelSegmenter(Segmenter):
    """Returns the true regions of registered views, with faults.

    Attributes:
        views: regions per view, in the order in which the views were given; then those of a blank
            image, which models are warmed up with: background.
    """

    def __init__(
        self,
        views: Sequence[LabelledView],
        named: Mapping[int, str],
        faults: Faults,
        seed: int = 0,
    ) -> None:
        """Fixes every view's faults.

        Args:
            views: the images that may be segmented; held-out ones are left out.
            named: phrases of the objects by id.
            faults: how to err.
            seed: of the faults.

        Raises:
            ValueError: no view, or more than `MAX_VIEWS`.
        """
        if not 0 < len(views) <= MAX_VIEWS:
            raise ValueError(f"expected 1 to {MAX_VIEWS} views, got {len(views)}")
        self.views = [
            regions_of(view.instance, named, faults, np.random.default_rng([seed, index]))
            for index, view in enumerate(views)
        ]
        self._known = np.stack([thumbnail(view.rgb) for view in views])
        self.views.append([Region(np.ones(views[0].instance.shape, np.bool_), BACKGROUND_ID)])
        self._codes = np.random.default_rng(seed).normal(size=(4096, CHANNELS - 1))

    def layout(self, image_size: tuple[int, int]) -> EmbeddingLayout:
        """As Segment Anything: the longest side fills the grid."""
        height, width = image_size
        scale = SIDE / max(height, width)
        return EmbeddingLayout(CHANNELS, SIDE, (round(height * scale), round(width * scale)))

    def embed(self, image: Image) -> NDArray[np.float16]:
        """(C, h, w): the view's number in channel 0, a random code per region in the others."""
        index, distance = nearest_thumbnail(image, self._known)
        if image.max() == image.min():
            index = len(self.views) - 1
        elif distance > SAME_IMAGE:
            raise ValueError(f"no labelled view looks like this image (distance {distance:.1f})")
        rows, columns = self.layout(image.shape[:2]).valid
        embedding = np.zeros((CHANNELS, SIDE, SIDE), np.float16)
        for region in reversed(self.views[index]):
            share = cv2.resize(
                region.mask.astype(np.float32), (columns, rows), interpolation=cv2.INTER_AREA
            )
            code = self._codes[region.id % len(self._codes)]
            embedding[1:, :rows, :columns] += (code[:, None, None] * share).astype(np.float16)
        embedding[0] = index
        return embedding

    def decode(
        self,
        embedding: NDArray[np.floating],
        image_size: tuple[int, int],
        prompts: Sequence[Prompts],
    ) -> list[DecodedMasks]:
        """The region that fits each prompt best, one mask each."""
        regions = self._regions(embedding)
        return [self._decoded(_best_region(regions, p, image_size), image_size) for p in prompts]

    def propose(self, embedding: NDArray[np.floating], image: Image) -> tuple[MaskProposal, ...]:
        """All regions of the view."""
        size = (image.shape[1], image.shape[0])
        masks = [_resized(region.mask, size) for region in self._regions(embedding)]
        return tuple(MaskProposal.from_mask(mask, 0.9) for mask in masks if mask.any())

    def _regions(self, embedding: NDArray[np.floating]) -> list[Region]:
        number = float(embedding[0, 0, 0])
        if not number.is_integer() or not 0 <= number < len(self.views):
            raise ValueError(
                f"expected an embedding that `embed` returned, got view number {number:g}"
            )
        return self.views[int(number)]

    def _decoded(self, mask: NDArray[np.bool_], image_size: tuple[int, int]) -> DecodedMasks:
        logits = np.clip(signed_distance(_resized(mask, image_size[::-1])) * 4.0, -12.0, 12.0)
        return DecodedMasks(logits[None], np.array([0.9], np.float32))


def _resized(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    if (mask.shape[1], mask.shape[0]) == size:
        return mask
    return cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(
        np.bool_
    )


def _best_region(
    regions: Sequence[Region], prompts: Prompts, image_size: tuple[int, int]
) -> NDArray[np.bool_]:
    """The mask that holds most positive and fewest negative points, or fits the box best."""
    shape = regions[0].mask.shape
    scale = np.array([shape[1] / image_size[1], shape[0] / image_size[0]])
    at = np.floor((prompts.points_px + 0.5) * scale).astype(int)
    columns, rows = np.clip(at[:, 0], 0, shape[1] - 1), np.clip(at[:, 1], 0, shape[0] - 1)
    sign = np.where(prompts.positive, 1, -1)
    fits = []
    for region in regions:
        fit = float((region.mask[rows, columns] * sign).sum())
        if prompts.box_px is not None:
            fit += _box_iou(region.mask, prompts.box_px.reshape(2, 2) * scale)
        fits.append(fit - 1e-9 * region.mask.sum())  # the smallest of equals
    return regions[int(np.argmax(fits))].mask


def _box_iou(mask: NDArray[np.bool_], corners: NDArray[np.floating]) -> float:
    inside = np.zeros_like(mask)
    (left, top), (right, bottom) = np.round(corners).astype(int)
    inside[max(top, 0) : bottom + 1, max(left, 0) : right + 1] = True
    return float((mask & inside).sum() / max((mask | inside).sum(), 1))


class LabelLanguage(LanguageModel):
    """Gives each crop of a registered view its region's phrase vector, plus noise."""

    dim, crop_px = DIM, CROP_PX
    #: the relevancy of a cosine 0.4 above that of the likeliest negative (about 0.2): between the
    #: whole phrase (0.8 after the noise) and half of it (0.4).
    calibration = Calibration(
        ("object", "things", "stuff", "texture", BACKGROUND_PHRASE),
        temperature=5.0,
        threshold=0.88,
    )

    def __init__(
        self,
        segmenter: LabelSegmenter,
        views: Sequence[LabelledView],
        named: Mapping[int, str],
        crop: Crop,
        faults: Faults,
        seed: int = 0,
    ) -> None:
        """Remembers what every region's crop looks like.

        Args:
            segmenter: holds the regions of `views`.
            views: the images, in the segmenter's order.
            named: phrases by id.
            crop: how the product cuts a proposal out of an image.
            faults: `vector_noise` is used.
            seed: of the noise.
        """
        names = {**named, BACKGROUND_ID: BACKGROUND_PHRASE}
        pairs = [
            (thumbnail(crop(view.rgb, MaskProposal.from_mask(region.mask, 0.9))), names[region.id])
            for view, regions in zip(views, segmenter.views, strict=False)
            for region in regions
        ]
        self._known = np.stack([picture for picture, _ in pairs])
        rng = np.random.default_rng([seed, 1])
        self._vectors = np.stack(
            [_noisy(phrase_vector(name), faults.vector_noise, rng) for _, name in pairs]
        )

    def encode_crops(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """The vectors of the regions whose crops look most like the images."""
        found = [nearest_thumbnail(image, self._known)[0] for image in images]
        return self._vectors[found].astype(np.float32).reshape(len(images), DIM)

    def encode_text(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """`phrase_vector` of each."""
        vectors = [phrase_vector(phrase) for phrase in phrases]
        return np.array(vectors, np.float32).reshape(len(phrases), DIM)


def _noisy(
    vector: NDArray[np.float32], noise: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    moved = vector + noise * rng.normal(size=DIM) / np.sqrt(DIM)
    return (moved / np.linalg.norm(moved)).astype(np.float32)


def label_models(
    views: Sequence[LabelledView], named: Mapping[int, str], faults: Faults, seed: int = 0
) -> tuple[LabelSegmenter, LabelLanguage]:
    """The pair for the façade, which sees crops as the product makes them."""

    def crop(rgb: Image, proposal: MaskProposal) -> Image:
        return segment_crop(rgb, proposal.mask(), CROP_PX)

    segmenter = LabelSegmenter(views, named, faults, seed)
    return segmenter, LabelLanguage(segmenter, views, named, crop, faults, seed)
