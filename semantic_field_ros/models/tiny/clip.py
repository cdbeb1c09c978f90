"""The bundled language model: a small open_clip architecture over a pruned vocabulary.

The stock tokenizer has 49 408 tokens, of which training uses a few hundred. Only those keep an
embedding; all others share one, the unknown token, which training uses too (see `phrases.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import open_clip
import torch
from numpy.typing import NDArray
from open_clip.model import CLIP
from open_clip.transform import PreprocessCfg
from torch import Tensor

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class TinyClipConfig:
    """Sizes of the bundled language model.

    Attributes:
        dim: of the space that images and phrases share.
        image_px: side of the input.
        layers, width: of the residual image tower (Radford et al. 2021, "ModifiedResNet").
        context: tokens a phrase may have, begin and end included.
        text_width, text_heads, text_layers: of the text tower.
    """

    dim: int = 96
    image_px: int = 64
    layers: tuple[int, int, int, int] = (1, 2, 2, 1)
    width: int = 20
    context: int = 16
    text_width: int = 64
    text_heads: int = 4
    text_layers: int = 2

    def to_dict(self) -> dict[str, object]:
        """Plain values, for a card."""
        return asdict(self)


class PrunedTokenizer:
    """The stock tokenizer, its ids renumbered to the few that have an embedding.

    Args:
        kept: (V,) i64 ascending stock ids; they become 1..V, everything else 0, the unknown.
        context: length of the result.
    """

    def __init__(self, kept: NDArray[np.int64], context: int) -> None:
        self.kept = np.asarray(kept, np.int64)
        self.context = context
        self._stock = open_clip.SimpleTokenizer(context_length=context)

    @staticmethod
    def of(phrases: Sequence[str], context: int) -> PrunedTokenizer:
        """Keeps the tokens of these phrases, and the marks of begin and end."""
        ids = np.unique(open_clip.SimpleTokenizer(context_length=context)(list(phrases)).numpy())
        return PrunedTokenizer(ids[ids != 0], context)

    @property
    def size(self) -> int:
        """Number of embeddings, the unknown included."""
        return len(self.kept) + 1

    def __call__(self, phrases: Sequence[str]) -> Tensor:
        """(N, context) i64; the end mark keeps the highest id, where the text tower reads."""
        stock = self._stock(list(phrases)).numpy()
        place = np.searchsorted(self.kept, stock).clip(max=len(self.kept) - 1)
        found = self.kept[place] == stock
        return torch.from_numpy(np.where(found, place + 1, 0))


def build_tiny_clip(config: TinyClipConfig, vocabulary: int) -> CLIP:
    """An open_clip `CLIP` of the given sizes with random weights."""
    vision = {"layers": config.layers, "width": config.width, "image_size": config.image_px}
    text = {
        "context_length": config.context,
        "vocab_size": vocabulary,
        "width": config.text_width,
        "heads": config.text_heads,
        "layers": config.text_layers,
    }
    return CLIP(
        config.dim,
        vision_cfg={**vision, "head_width": 64},
        text_cfg=text,
        init_logit_scale=float(np.log(10.0)),
        init_logit_bias=-3.0,
    )


def preprocess_config(config: TinyClipConfig) -> PreprocessCfg:
    """How images are prepared."""
    return PreprocessCfg(size=config.image_px, mean=MEAN, std=STD)
