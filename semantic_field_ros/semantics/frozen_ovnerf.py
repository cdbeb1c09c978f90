"""How a language field without scales answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.models.base import Calibration
from semantic_field_ros.semantics.base import FrozenMethod, Region, relevancy, softmax
from semantic_field_ros.semantics.language_field import LanguageHead, language_at
from semantic_field_ros.semantics.relevant_parts import relevant_parts
from semantic_field_ros.types import SurfaceCloud

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class FrozenOvNerf(FrozenMethod):
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

    def instances(self, surface: SurfaceCloud) -> list[Region]:
        """Empty: a field of vectors does not say what is one thing."""
        return []

    def text_regions(
        self,
        surface: SurfaceCloud,
        phrase: Floats,
        negatives: Floats,
        calibration: Calibration,
    ) -> list[Region]:
        """Connected parts of the surface that are relevant, best first."""
        if not self.trained:
            return []
        language = language_at(self.head, surface.features[self.name])
        scores = relevancy(language, phrase, negatives, calibration.temperature)
        return relevant_parts(surface, scores, language)

    def relevancy(
        self,
        surface: SurfaceCloud,
        phrase: Floats,
        negatives: Floats,
        calibration: Calibration,
    ) -> Floats:
        """(N,) relevancy of the field itself; zeros before training."""
        if not self.trained:
            return np.zeros(len(surface.points), np.float32)
        language = language_at(self.head, surface.features[self.name])
        return relevancy(language, phrase, negatives, calibration.temperature)

    def class_scores(self, surface: SurfaceCloud, classes: Floats) -> Floats:
        """(N, C) probabilities, softmax of cosines over the temperature."""
        language = language_at(self.head, surface.features[self.name])
        return softmax(language @ classes.T / self.temperature)
