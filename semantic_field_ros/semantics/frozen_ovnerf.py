"""How a language field without scales answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.models.base import Calibration
from semantic_field_ros.semantics.base import Region, softmax
from semantic_field_ros.semantics.frozen_language import FrozenLanguage
from semantic_field_ros.semantics.language_field import LanguageHead, language_at
from semantic_field_ros.types import SurfaceCloud

Floats = NDArray[np.float32]

#: cosine from which a phrase is one of the list of classes.
SAME_CLASS = 0.999


@dataclass(frozen=True)
class FrozenOvNerf(FrozenLanguage):
    """A language head, and the classes that it has learnt to tell apart.

    A phrase of the list competes with the rest of the list beside the negatives, as in the paper,
    where every place is one of the classes; any other phrase with the negatives alone.

    Attributes:
        name: key of the grid's features in `SurfaceCloud.features`.
        head: frozen.
        classes: (C, D) unit vectors of the list.
        temperature: cosines are divided by it for the probabilities of classes.
        trained: whether the head has learnt anything.
    """

    name: str
    head: LanguageHead
    classes: Floats
    temperature: float
    trained: bool

    def language_for(
        self, surface: SurfaceCloud, phrase: Floats, negatives: Floats, temperature: float
    ) -> Floats | None:
        """(N, D) unit vectors, the same for every phrase."""
        return language_at(self.head, surface.features[self.name]) if self.trained else None

    def text_regions(
        self, surface: SurfaceCloud, phrase: Floats, negatives: Floats, calibration: Calibration
    ) -> list[Region]:
        """As for any language field."""
        return super().text_regions(surface, phrase, self._rivals(phrase, negatives), calibration)

    def relevancy(
        self, surface: SurfaceCloud, phrase: Floats, negatives: Floats, calibration: Calibration
    ) -> Floats:
        """As for any language field."""
        return super().relevancy(surface, phrase, self._rivals(phrase, negatives), calibration)

    def _rivals(self, phrase: Floats, negatives: Floats) -> Floats:
        """(K, D) what a phrase competes with."""
        same = self.classes @ phrase > SAME_CLASS
        return np.concatenate([negatives, self.classes[~same]]) if same.any() else negatives

    def class_scores(self, surface: SurfaceCloud, classes: Floats) -> Floats:
        """(N, C) probabilities, softmax of cosines over the temperature; zeros before training."""
        if not self.trained:
            return super().class_scores(surface, classes)
        language = language_at(self.head, surface.features[self.name])
        return softmax(language @ classes.T / self.temperature)
