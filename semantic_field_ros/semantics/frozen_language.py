"""How a field of language vectors answers, whatever the vectors of a point depend on."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.models.base import Calibration, relevancy
from semantic_field_ros.semantics.base import FrozenMethod, Region
from semantic_field_ros.semantics.relevant_parts import relevant_parts
from semantic_field_ros.types import SurfaceCloud

Floats = NDArray[np.float32]


class FrozenLanguage(FrozenMethod, ABC):
    """Answers phrases by the relevancy of every surface point; what is one thing it cannot say."""

    @abstractmethod
    def language_for(
        self, surface: SurfaceCloud, phrase: Floats, negatives: Floats, temperature: float
    ) -> Floats | None:
        """(N, D) unit vectors of the surface to compare a phrase with; None before training."""

    def text_regions(
        self,
        surface: SurfaceCloud,
        phrase: Floats,
        negatives: Floats,
        calibration: Calibration,
    ) -> list[Region]:
        """Connected parts of the surface that are relevant, best first."""
        language = self.language_for(surface, phrase, negatives, calibration.temperature)
        if language is None:
            return []
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
        language = self.language_for(surface, phrase, negatives, calibration.temperature)
        if language is None:
            return np.zeros(len(surface.points), np.float32)
        return relevancy(language, phrase, negatives, calibration.temperature)
