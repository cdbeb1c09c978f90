"""Half a segmenter, for queries that bring their embeddings along."""

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.models.base import EmbeddingLayout, Image, Segmenter
from semantic_field_ros.types import MaskProposal


class Decoder(Segmenter):
    """Looks at no image: only `decode` may be asked, which is left to whoever derives."""

    def layout(self, image_size: tuple[int, int]) -> EmbeddingLayout:
        raise NotImplementedError

    def embed(self, image: Image) -> NDArray[np.float16]:
        raise NotImplementedError

    def propose(self, embedding: NDArray[np.floating], image: Image) -> tuple[MaskProposal, ...]:
        raise NotImplementedError
