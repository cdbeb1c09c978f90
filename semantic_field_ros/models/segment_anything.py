"""Segment Anything behind the `Segmenter` contract: official checkpoints, or any `Sam` module."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam
from segment_anything.utils.transforms import ResizeLongestSide
from torch import Tensor

from semantic_field_ros.backends import torch_device
from semantic_field_ros.models.base import (
    DecodedMasks,
    EmbeddingLayout,
    Image,
    Prompts,
    Segmenter,
)
from semantic_field_ros.models.batches import filled_up
from semantic_field_ros.models.proposals import ProposalOptions, propose_masks
from semantic_field_ros.models.sam_pyramid import encode_pyramid, pyramid_sizes
from semantic_field_ros.types import MaskProposal


class SamSegmenter(Segmenter):
    """Any `segment_anything.modeling.Sam`.

    Args:
        model: with weights.
        device: where it runs; None = the accelerator if there is one.
        skip_padding: the image encoder takes images that are not square, and was trained so; the
            padding is then neither encoded nor attended to.
        prompts_per_batch: bounds the memory of decoding.
        proposals: how `propose` searches.
    """

    def __init__(
        self,
        model: Sam,
        device: torch.device | None = None,
        skip_padding: bool = False,
        prompts_per_batch: int = 32,
        proposals: ProposalOptions | None = None,
    ) -> None:
        self.device = device or torch_device()
        self.model = model.to(self.device).eval()
        self.skip_padding = skip_padding
        self.prompts_per_batch = prompts_per_batch
        self.proposals = proposals or ProposalOptions()
        self._resize = ResizeLongestSide(model.image_encoder.img_size)
        self._channels: int = model.prompt_encoder.embed_dim
        self._side: int = model.prompt_encoder.image_embedding_size[0]
        with torch.inference_mode():
            self._positions = model.prompt_encoder.get_dense_pe()

    def layout(self, image_size: tuple[int, int]) -> EmbeddingLayout:
        """Layout for an image of (height, width)."""
        return self._layout_of(image_size, self._channels, self._side)

    def pyramid_layouts(self, image_size: tuple[int, int]) -> tuple[EmbeddingLayout, ...]:
        """Layouts of `pyramid`'s maps for an image of (height, width)."""
        return tuple(self._layout_of(image_size, *size) for size in self._pyramid_sizes)

    def _layout_of(self, image_size: tuple[int, int], channels: int, side: int) -> EmbeddingLayout:
        stride = self._resize.target_length / side
        rows, columns = (max(1, round(s / stride)) for s in self._resized(image_size))
        return EmbeddingLayout(channels, side, (rows, columns))

    @cached_property
    def _pyramid_sizes(self) -> list[tuple[int, int]]:
        return pyramid_sizes(self.model.image_encoder, self._resize.target_length)

    def embed(self, image: Image) -> NDArray[np.float16]:
        """(C, h, w) f16 of an (H, W, 3) u8 RGB image; rows and columns of padding included.

        Raises:
            ValueError: the image is not (H, W, 3) u8.
        """
        with torch.inference_mode():
            features = self.model.image_encoder(self._pixels(image))[0]
        return self._squared(features, self._side)

    def pyramid(self, image: Image) -> tuple[NDArray[np.float16], ...]:
        """See `Segmenter.pyramid`; which maps there are, `sam_pyramid.encode_pyramid` says.

        Raises:
            ValueError: the image is not (H, W, 3) u8.
        """
        with torch.inference_mode():
            maps = encode_pyramid(self.model.image_encoder, self._pixels(image))
        sides = [side for _, side in self._pyramid_sizes]
        return tuple(self._squared(at[0], side) for at, side in zip(maps, sides, strict=True))

    def _pixels(self, image: Image) -> Tensor:
        """What the image encoder sees of an image."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"image must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
        resized = self._resize.apply_image(image)
        pixels = torch.from_numpy(np.array(resized)).to(self.device).permute(2, 0, 1)[None]
        return self._normalise(pixels.float())

    @staticmethod
    def _squared(features: Tensor, side: int) -> NDArray[np.float16]:
        """(C, side, side) f16 of (C, rows, columns), zeros beyond them."""
        result = np.zeros((len(features), side, side), np.float16)
        rows, columns = features.shape[1:]
        result[:, :rows, :columns] = features.float().cpu().numpy()
        return result

    def _normalise(self, pixels: Tensor) -> Tensor:
        """Normalised and padded: to a square, or only to whole strides of the encoder."""
        if not self.skip_padding:
            return self.model.preprocess(pixels)
        normalised = (pixels - self.model.pixel_mean) / self.model.pixel_std
        height, width = normalised.shape[-2:]
        below, beside = -height % 32, -width % 32
        padded = torch.nn.functional.pad(normalised, (0, beside, 0, below))
        return padded.contiguous(memory_format=torch.channels_last)

    def decode(
        self,
        embedding: NDArray[np.floating],
        image_size: tuple[int, int],
        prompts: Sequence[Prompts],
    ) -> list[DecodedMasks]:
        """Masks at image_size (height, width) for each prompt, sharing one embedding.

        A single point is ambiguous and gets the decoder's several outputs, anything more its
        single one; both best first.

        Raises:
            ValueError: the embedding does not have this model's shape.
        """
        groups: dict[tuple[int, bool], list[int]] = defaultdict(list)
        for index, prompt in enumerate(prompts):
            groups[len(prompt.points_px), prompt.box_px is not None].append(index)
        answers: dict[int, DecodedMasks] = {}
        for (points, boxed), members in groups.items():
            several = points == 1 and not boxed
            for start in range(0, len(members), self.prompts_per_batch):
                batch = members[start : start + self.prompts_per_batch]
                low, scores = self.decode_low(
                    embedding, image_size, [prompts[i] for i in batch], several
                )
                logits = self.upscale(low, image_size).cpu().numpy()
                for i, mask, score in zip(batch, logits, scores.cpu().numpy(), strict=True):
                    order = np.argsort(-score, kind="stable")
                    answers[i] = DecodedMasks(mask[order], score[order])
        return [answers[i] for i in range(len(prompts))]

    def decode_low(
        self,
        embedding: NDArray[np.floating],
        image_size: tuple[int, int],
        prompts: Sequence[Prompts],
        several: bool,
    ) -> tuple[Tensor, Tensor]:
        """The decoder's own resolution: (P, K, 4h, 4w) logits and (P, K) predicted IoU.

        All prompts must have the same number of points, and all or none of them a box.
        """
        with torch.inference_mode():
            inputs = self._decoder_inputs(embedding, image_size, prompts)
            low, scores = self.model.mask_decoder(**inputs, multimask_output=several)
        return low[: len(prompts)], scores[: len(prompts)]

    def decode_best(
        self,
        embedding: NDArray[np.floating],
        image_size: tuple[int, int],
        prompts: Sequence[Prompts],
    ) -> tuple[Tensor, Tensor]:
        """Of each single click's outputs the one that scores best, at the decoder's resolution.

        Returns:
            (P, 4h, 4w) logits and (P,) predicted IoU of P >= 1 prompts.
        """
        logits, scores = [], []
        with torch.inference_mode():
            for start in range(0, len(prompts), self.prompts_per_batch):
                batch = prompts[start : start + self.prompts_per_batch]
                low, score = self._best(self._decoder_inputs(embedding, image_size, batch))
                logits.append(low[: len(batch)])
                scores.append(score[: len(batch)])
        return torch.cat(logits), torch.cat(scores)

    def _best(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Best output and its score for the decoder's inputs."""
        low, scores = self.model.mask_decoder(**inputs, multimask_output=True)
        score, best = scores.max(1)
        return low[torch.arange(len(low), device=low.device), best], score

    def _decoder_inputs(
        self,
        embedding: NDArray[np.floating],
        image_size: tuple[int, int],
        prompts: Sequence[Prompts],
    ) -> dict[str, Tensor]:
        """Of the mask decoder, for `filled_up` prompts."""
        shape = (self._channels, self._side, self._side)
        if embedding.shape != shape:
            raise ValueError(f"embedding must be {shape}, got {embedding.shape}")
        rows, columns = self._cells(image_size)
        valid = np.ascontiguousarray(embedding[:, :rows, :columns], np.float32)
        sparse, dense = self.model.prompt_encoder(
            **self._prompt_tensors(image_size, filled_up(prompts)), masks=None
        )
        return {
            "image_embeddings": torch.from_numpy(valid).to(self.device)[None],
            "image_pe": self._positions[:, :, :rows, :columns],
            "sparse_prompt_embeddings": sparse,
            "dense_prompt_embeddings": dense[:, :, :rows, :columns],
        }

    def _cells(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """(rows, columns) of the embedding that the decoder sees."""
        if not self.skip_padding:
            return self._side, self._side
        height, width = self._resized(image_size)
        stride = self._resize.target_length // self._side
        return (height + -height % 32) // stride, (width + -width % 32) // stride

    def _prompt_tensors(
        self, image_size: tuple[int, int], prompts: Sequence[Prompts]
    ) -> dict[str, Tensor | tuple[Tensor, Tensor] | None]:
        result: dict[str, Tensor | tuple[Tensor, Tensor] | None] = {"points": None, "boxes": None}
        if len(prompts[0].points_px):
            points = np.stack(
                [self._resize.apply_coords(p.points_px, image_size) for p in prompts]
            )
            labels = np.stack([p.positive for p in prompts]).astype(np.float32)
            result["points"] = (self._tensor(points), self._tensor(labels))
        if prompts[0].box_px is not None:
            boxes = np.stack([np.asarray(p.box_px, np.float32) for p in prompts])
            result["boxes"] = self._tensor(self._resize.apply_boxes(boxes, image_size))
        return result

    def _tensor(self, values: NDArray[np.floating]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(self.device)

    def upscale(self, low: Tensor, image_size: tuple[int, int]) -> Tensor:
        """(P, K, H, W) logits at (height, width) from the decoder's resolution."""
        height, width = self._resized(image_size)
        stride = self._resize.target_length // self._side // 4
        with torch.inference_mode():
            size = (low.shape[-2] * stride, low.shape[-1] * stride)
            square = torch.nn.functional.interpolate(
                low.float(), size, mode="bilinear", align_corners=False
            )
            return torch.nn.functional.interpolate(
                square[..., :height, :width], image_size, mode="bilinear", align_corners=False
            )

    def _resized(self, image_size: tuple[int, int]) -> tuple[int, int]:
        return self._resize.get_preprocess_shape(*image_size, self._resize.target_length)

    def propose(self, embedding: NDArray[np.floating], image: Image) -> tuple[MaskProposal, ...]:
        """Everything in the image, deduplicated, best first."""
        return propose_masks(self, embedding, image, self.proposals)


def load_segment_anything(architecture: str, checkpoint: Path) -> SamSegmenter:
    """An official model ("vit_b", "vit_l", "vit_h") with the checkpoint file at `checkpoint`.

    Raises:
        ValueError: unknown architecture, or no such file.
    """
    choices = sorted(set(sam_model_registry) - {"default"})
    if architecture not in choices:
        raise ValueError(f"segmenter architecture must be one of {choices}, got {architecture!r}")
    if not checkpoint.is_file():
        raise ValueError(f"no Segment Anything checkpoint at {checkpoint}")
    model = sam_model_registry[architecture]()
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    model.load_state_dict(state)
    return SamSegmenter(model)
