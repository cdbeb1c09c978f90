"""The bundled segmenter: Segment Anything's prompt encoder and decoder behind a small encoder.

Two things differ from the official models, both for two CPU cores: the image encoder is a
convolutional network with a feature pyramid (Lin et al. 2017) that ends at stride 8 of a 320 x 320
input, and the decoder shares what is common to all prompts of one image (the first layer's keys
and values), which is the same arithmetic without the copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.modeling.transformer import Attention
from torch import Tensor, nn
from torch.nn import functional

from semantic_field_ros.models.tiny.votes import CentreVotes


@dataclass(frozen=True)
class TinySamConfig:
    """Sizes of the bundled segmenter.

    Attributes:
        side_px: side of the square, padded input.
        dim: channels of the embedding.
        widths: channels of the encoder at strides 2, 4, 8, 16 and 32.
        blocks: residual blocks at each of these strides.
        depth: layers of the two-way transformer.
        heads: attention heads.
        mlp_dim: hidden width of the transformer's MLP.
        point_scale: standard deviation of the random Fourier features of prompt positions; larger
            tells neighbouring pixels apart more sharply (the official models have 1).
    """

    side_px: int = 320
    dim: int = 96
    widths: tuple[int, ...] = (24, 48, 96, 160, 192)
    blocks: tuple[int, ...] = (0, 2, 4, 3, 2)
    depth: int = 1
    heads: int = 2
    mlp_dim: int = 192
    point_scale: float = 2.0

    @property
    def grid(self) -> int:
        """Side of the embedding."""
        return self.side_px // 8

    def to_dict(self) -> dict[str, object]:
        """Plain values, for a card."""
        return asdict(self)


def convolution(inputs: int, outputs: int, stride: int = 1, size: int = 3) -> nn.Sequential:
    """Convolution and batch normalisation, no activation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs)
    )


class Residual(nn.Module):
    """Two 3 x 3 convolutions around a shortcut (He et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = convolution(width, width)
        self.second = convolution(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        inner = functional.relu(self.first(x), inplace=True)
        return functional.relu(x + self.second(inner), inplace=True)


class PyramidEncoder(nn.Module):
    """(B, 3, H, W) normalised images to (B, dim, H / 8, W / 8); any sides divisible by 32."""

    def __init__(self, config: TinySamConfig) -> None:
        super().__init__()
        self.img_size = config.side_px
        stages, inputs = [], 3
        for width, blocks in zip(config.widths, config.blocks, strict=True):
            down = [convolution(inputs, width, stride=2), nn.ReLU(inplace=True)]
            stages.append(nn.Sequential(*down, *[Residual(width) for _ in range(blocks)]))
            inputs = width
        self.stages = nn.ModuleList(stages)
        self.detail = convolution(config.widths[1], config.dim, stride=2)
        self.lateral = nn.ModuleList(
            [convolution(width, config.dim, size=1) for width in config.widths[2:]]
        )
        self.smooth = Residual(config.dim)
        self.out = nn.Conv2d(config.dim, config.dim, 1)

    def forward(self, images: Tensor) -> Tensor:
        """The embedding at stride 8."""
        return self.pyramid(images)[-1]

    def pyramid(self, images: Tensor) -> list[Tensor]:
        """(B, dim, h, w) at strides 32, 16 and 8, the embedding last."""
        levels, x = [], images
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        coarse = self.lateral[2](levels[4])
        middle = self.lateral[1](levels[3]) + functional.interpolate(coarse, scale_factor=2.0)
        merged = self.lateral[0](levels[2]) + functional.interpolate(middle, scale_factor=2.0)
        merged = functional.relu(merged + self.detail(levels[1]))
        return [coarse, middle, self.out(self.smooth(merged))]


KERNEL_FREQUENCIES = (2, 3, 5, 8, 12, 18, 28, 48)


class Nearness(nn.Module):
    """How near each cell is to each of the first two prompts, at several radii.

    Positions are random Fourier features, so that the product of two of them is a kernel of their
    distance; the fewer and lower its frequencies, the wider it is.

    Args:
        frequencies: (2, C / 2) of the prompt encoder.
    """

    def __init__(self, frequencies: Tensor) -> None:
        super().__init__()
        order = frequencies.norm(dim=0).argsort()
        weight = torch.zeros(len(KERNEL_FREQUENCIES), len(order))
        for row, count in enumerate(KERNEL_FREQUENCIES):
            weight[row, order[:count]] = 1 / count
        self.weight = nn.Parameter(weight)

    @property
    def channels(self) -> int:
        """Of the result."""
        return 2 * len(self.weight)

    def forward(self, sparse: Tensor, positions: Tensor) -> Tensor:
        """(P, 16, N) of prompts (P, >= 2, C) and positions (1, C, h, w), about -1 to 1."""
        weight = torch.cat([self.weight, self.weight], dim=1)
        kernels = (sparse[:, :2, None] * weight).flatten(1, 2)
        return kernels @ positions[0].flatten(1)


#: logits that agreement of votes within each radius starts with, and those of no agreement.
FIRST_BELONGING = (1.0, 3.0, 1.0, -2.0)


class SharedMaskDecoder(MaskDecoder):
    """Segment Anything's decoder for a small budget of training and of time.

    It does not copy the image for every prompt. And it is told what is near a prompt, and what
    votes for the same middle as the pixel under it, which the transformer alone learns very late:
    until then a click on one of two red mugs answers both.

    Args:
        nearness: of cells to prompts.
        sizes: of `MaskDecoder`.
    """

    def __init__(self, nearness: Nearness, **sizes: Any) -> None:
        super().__init__(**sizes)
        self.nearness = nearness
        self.reach = nn.Linear(self.transformer_dim, nearness.channels)
        self.place = nn.Linear(nearness.channels, self.transformer_dim)
        self.votes = CentreVotes(self.transformer_dim)
        self.belonging = nn.Linear(self.transformer_dim, self.votes.channels)
        nn.init.normal_(self.reach.weight, std=0.01)
        nn.init.normal_(self.place.weight, std=0.05)
        nn.init.normal_(self.belonging.weight, std=0.01)
        with torch.no_grad():
            self.belonging.bias.copy_(torch.tensor(FIRST_BELONGING))

    def predict_masks(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """(P, M, 4h, 4w) logits and (P, M) predicted IoU; P prompts, one (1, C, h, w) image."""
        return self.read(
            *self.see(
                image_embeddings, image_pe, sparse_prompt_embeddings, dense_prompt_embeddings
            )
        )

    def predict_best(self, **inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Of a click's several outputs only the one with the best predicted IoU, in less time.

        Args:
            inputs: as `predict_masks` has them.

        Returns:
            (P, 4h, 4w) logits and (P,) predicted IoU.
        """
        states, cells, near, alike = self.see(**inputs)
        quality, best = self.iou_prediction_head(states[:, 0])[:, 1:].max(dim=1)
        chosen = (torch.arange(len(best), device=best.device), 1 + best)
        tokens, weights = states[:, 1:][chosen], self.weights(states)[chosen]
        masks = self.draw(tokens[:, None], weights[:, None], cells, near, alike)
        return masks[:, 0], quality

    def see(
        self,
        image_embeddings: Tensor,
        image_pe: Tensor,
        sparse_prompt_embeddings: Tensor,
        dense_prompt_embeddings: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What `attend`, `nearness` and `alike` say of P prompts on one (1, C, h, w) image."""
        source = image_embeddings + dense_prompt_embeddings[:1]
        states, cells = self.attend(source, image_pe, sparse_prompt_embeddings)
        near = self.nearness(sparse_prompt_embeddings, image_pe)
        votes = self.votes(image_embeddings[0].float())
        return states, cells, near, self.alike(votes, image_pe, sparse_prompt_embeddings)

    def attend(self, source: Tensor, positions: Tensor, sparse: Tensor) -> tuple[Tensor, Tensor]:
        """Output tokens (P, 1 + M, C), IoU first, and cells (P, h·w, C) after the transformer.

        The (1, C, h, w) source stays shared by all prompts until they have changed it. Output
        tokens start from the first prompt, so that they find its place without a detour through
        the point's own token.
        """
        output = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        tokens = torch.cat([output + sparse[:, :1], sparse], dim=1)
        states, cells = self.transformer(source, positions, tokens)
        return states[:, : len(output)], cells

    def alike(self, votes: Tensor, positions: Tensor, sparse: Tensor) -> Tensor:
        """(P, 4, 4h, 4w) agreement of (4h, 4w, 2) votes with those under the P prompts."""
        at = self.votes.at_prompts(votes, sparse, positions[0])
        return self.votes.agreement(votes, at)

    def read(
        self, states: Tensor, cells: Tensor, near: Tensor, alike: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Masks and predicted IoU from what `attend`, `nearness` and `alike` return."""
        masks = self.draw(states[:, 1:], self.weights(states), cells, near, alike)
        return masks, self.iou_prediction_head(states[:, 0])

    def weights(self, states: Tensor) -> Tensor:
        """(P, M, C / 8) of the upscaled cells, from the (P, 1 + M, C) token states."""
        heads = enumerate(self.output_hypernetworks_mlps)
        return torch.stack([head(states[:, 1 + i]) for i, head in heads], dim=1)

    def draw(
        self, tokens: Tensor, weights: Tensor, cells: Tensor, near: Tensor, alike: Tensor
    ) -> Tensor:
        """(P, K, 4h, 4w) logits of K tokens (P, K, C) and their `weights`; the rest as `read`."""
        grid = [side // 4 for side in alike.shape[-2:]]
        cells = cells + self.place(near.transpose(1, 2))
        masks = self.masks(weights, self.upscale(cells), grid)
        reach = (self.reach(tokens) @ near).unflatten(-1, grid)
        masks = masks + functional.interpolate(reach, scale_factor=4.0, mode="bilinear")
        return masks + self.belongs(tokens, alike)

    def belongs(self, states: Tensor, alike: Tensor) -> Tensor:
        """(P, M, 4h, 4w) part of the logits that votes decide, from (P, M, C) token states."""
        return (self.belonging(states).float() @ alike.flatten(2)).unflatten(-1, alike.shape[-2:])

    @staticmethod
    def masks(weights: Tensor, upscaled: Tensor, grid: Sequence[int]) -> Tensor:
        """(P, M, 4h, 4w) products of (P, M, C / 8) weights and upscaled (P, N, 4, 4, C / 8)."""
        values = weights @ upscaled.flatten(1, 3).transpose(1, 2)
        cells = values.unflatten(-1, (*grid, 2, 2, 2, 2))
        rows_then_columns = cells.permute(0, 1, 2, 4, 6, 3, 5, 7)
        return rows_then_columns.flatten(5, 7).flatten(2, 4)

    def upscale(self, tokens: Tensor) -> Tensor:
        """`output_upscaling` on (P, N, C) cells: (P, N, 4, 4, C / 8), four quarters of quarters.

        A transposed convolution of stride 2 and size 2 is one linear map per cell; kept in the
        cells' layout, everything is a matrix product over contiguous channels.
        """
        first, norm, _, second, _ = self.output_upscaling
        activation = self.output_upscaling[2]
        halves = _quarter(tokens, first)
        halves = functional.layer_norm(halves, halves.shape[-1:], norm.weight, norm.bias, norm.eps)
        return activation(_quarter(activation(halves), second))


def _quarter(cells: Tensor, layer: nn.ConvTranspose2d) -> Tensor:
    """(..., C) cells to (..., 4, C'): the 2 x 2 outputs of a stride-2 transposed convolution."""
    weight = layer.weight.permute(2, 3, 1, 0).flatten(0, 2)
    bias = None if layer.bias is None else layer.bias.repeat(4)
    return functional.linear(cells, weight, bias).unflatten(-1, (4, -1))


def start_local(model: Sam) -> None:
    """Starts the transformer of a decoder as a reader of what lies under the prompt.

    Attention from tokens to the image begins as likeness of positions, tokens begin small beside
    positions, and cells begin smaller than positions by rescaling that leaves the upscaling as it
    was. Random attention instead takes hours to find the place that was clicked.
    """
    prompts, decoder = model.prompt_encoder, model.mask_decoder
    transformer: Any = decoder.transformer
    crossings = [layer.cross_attn_token_to_image for layer in transformer.layers]
    with torch.no_grad():
        for attention in (*crossings, transformer.final_attn_token_to_image):
            _match_positions(attention)
        for embedding in (decoder.iou_token, decoder.mask_tokens, *prompts.point_embeddings):
            embedding.weight.mul_(0.2)
        prompts.no_mask_embed.weight.zero_()
        for layer in transformer.layers:
            layer.cross_attn_image_to_token.out_proj.weight.mul_(0.1)
            layer.norm3.weight.mul_(0.1)
            layer.norm4.weight.mul_(0.4)
            layer.norm4.bias.mul_(0.4)
        decoder.output_upscaling[0].weight.mul_(2.5)
        transformer.final_attn_token_to_image.v_proj.weight.mul_(2.5)


def _match_positions(attention: Attention, gain: float = 1.8) -> None:
    """Queries and keys become the same half of the positional frequencies, sine with cosine."""
    inner, dim = attention.q_proj.weight.shape
    half = torch.arange(inner // 2)
    chosen = torch.stack([half, half + dim // 2], dim=1).flatten()
    for projection in (attention.q_proj, attention.k_proj):
        projection.weight.mul_(0.1)
        projection.weight[torch.arange(inner), chosen] = gain
        projection.bias.zero_()


def build_tiny_sam(config: TinySamConfig | None = None) -> Sam:
    """A `Sam` of the given sizes with random weights."""
    config = config or TinySamConfig()
    prompt_encoder = PromptEncoder(
        embed_dim=config.dim,
        image_embedding_size=(config.grid, config.grid),
        input_image_size=(config.side_px, config.side_px),
        mask_in_chans=16,
    )
    prompt_encoder.pe_layer.positional_encoding_gaussian_matrix *= config.point_scale
    decoder = SharedMaskDecoder(
        Nearness(prompt_encoder.pe_layer.positional_encoding_gaussian_matrix),
        transformer_dim=config.dim,
        transformer=TwoWayTransformer(
            depth=config.depth,
            embedding_dim=config.dim,
            num_heads=config.heads,
            mlp_dim=config.mlp_dim,
        ),
        activation=nn.ReLU,
        iou_head_depth=2,
        iou_head_hidden_dim=config.dim,
    )
    return Sam(PyramidEncoder(config), prompt_encoder, decoder)
