"""The 2D models together: from an image to `FrameFeatures`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.models.base import DenseModel, LanguageModel, Segmenter
from semantic_field_ros.models.crops import segment_crop
from semantic_field_ros.models.pyramid import PyramidBuilder
from semantic_field_ros.types import FrameFeatures, MaskProposal

#: least side of the crops handed to the language model, which resizes them to its own, pixels.
LEAST_CROP_PX = 128
#: a proposal of which less than this share counts is a proposal of what is ignored.
LEAST_COUNTING_SHARE = 0.5


@dataclass(frozen=True)
class ImageModels:
    """The 2D models, and how much of them is wanted.

    Attributes:
        language: encodes each proposed region.
        segmenter: embeds and proposes.
        depths: whether the segmenter's features at other depths are kept too.
        tiles: builds pyramids of language vectors; None = nobody asks for them.
        dense: None = there is none.
    """

    language: LanguageModel
    segmenter: Segmenter
    depths: bool = False
    tiles: PyramidBuilder | None = None
    dense: DenseModel | None = None

    def embedded(self, rgb: NDArray[np.uint8]) -> FrameFeatures:
        """The segmenter's features of an (H, W, 3) image, without proposals."""
        maps = self.segmenter.pyramid(rgb) if self.depths else (self.segmenter.embed(rgb),)
        nothing = np.zeros((0, self.language.dim), np.float16)
        return FrameFeatures(maps[-1], (), nothing, depths=tuple(maps[:-1]))

    def regions(
        self, rgb: NDArray[np.uint8], ignored: NDArray[np.bool_] | None = None
    ) -> FrameFeatures:
        """`embedded`, and the proposals with their language vectors.

        Args:
            rgb: (H, W, 3) u8.
            ignored: (H, W) bool pixels that no proposal may hold; None = none.
        """
        embedded = self.embedded(rgb)
        proposals = self.segmenter.propose(embedded.embedding, rgb)
        if ignored is not None:
            proposals = without(proposals, ignored)
        side = crop_side_px(self.language)
        crops = [segment_crop(rgb, proposal.mask(), side) for proposal in proposals]
        vectors = self.language.encode_crops(crops).astype(np.float16)
        return replace(embedded, proposals=proposals, language=vectors)

    def features(
        self, rgb: NDArray[np.uint8], ignored: NDArray[np.bool_] | None = None
    ) -> FrameFeatures:
        """Everything that is wanted of a keyframe; arguments as `regions`."""
        regions = self.regions(rgb, ignored)
        pyramid = self.tiles.build(rgb, regions.proposals) if self.tiles else None
        dense = self.dense.features(rgb) if self.dense else None
        return replace(regions, pyramid=pyramid, dense=dense)

    def warm_up(self) -> None:
        """The first call of a model is its slowest; nobody should have to wait for it."""
        image = np.zeros((240, 320, 3), np.uint8)
        self.features(image)
        self.language.encode_crops([image[:LEAST_CROP_PX, :LEAST_CROP_PX]])


def without(
    proposals: tuple[MaskProposal, ...], ignored: NDArray[np.bool_]
) -> tuple[MaskProposal, ...]:
    """The proposals cut back to the pixels that are not `ignored` (H, W); most of each is left."""
    kept = []
    for proposal in proposals:
        mask = proposal.mask()
        rest = mask & ~ignored
        if rest.sum() >= LEAST_COUNTING_SHARE * mask.sum():
            kept.append(MaskProposal.from_mask(rest, proposal.score))
    return tuple(kept)


def crop_side_px(language: LanguageModel) -> int:
    """Side of the crops of regions: nothing is lost of what the model can see."""
    return max(LEAST_CROP_PX, language.crop_px)
