"""How a language field without scales answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.semantics.base import softmax
from semantic_field_ros.semantics.frozen_language import FrozenLanguage
from semantic_field_ros.semantics.language_field import LanguageHead, language_at
from semantic_field_ros.types import SurfaceCloud

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FrozenOvNerf(FrozenLanguage):
    """A language head.

    Attributes:
        name: key of the grid's features in `SurfaceCloud.features`.
        head: frozen.
        temperature: cosines are divided by it for the probabilities of classes.
        trained: whether the head has learnt anything.
    """

    name: str
    head: LanguageHead
    temperature: float
    trained: bool

    def language_for(
        self, surface: SurfaceCloud, phrase: Floats, negatives: Floats, temperature: float
    ) -> Floats | None:
        """(N, D) unit vectors, the same for every phrase."""
        return language_at(self.head, surface.features[self.name]) if self.trained else None

    def class_scores(self, surface: SurfaceCloud, classes: Floats) -> Floats:
        """(N, C) probabilities, softmax of cosines over the temperature; zeros before training."""
        if not self.trained:
            return super().class_scores(surface, classes)
        language = language_at(self.head, surface.features[self.name])
        return softmax(language @ classes.T / self.temperature)
