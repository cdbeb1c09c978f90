"""How a language field with scales answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.models.base import relevancy
from semantic_field_ros.semantics.base import softmax
from semantic_field_ros.semantics.frozen_language import FrozenLanguage
from semantic_field_ros.semantics.language_field import LanguageHead, language_at
from semantic_field_ros.types import SurfaceCloud

Floats = NDArray[np.float32]

#: cosines are divided by it for the probabilities of classes (OV-NeRF's).
CLASS_TEMPERATURE = 0.07
#: surface points on which the best scale is looked for.
PROBES = 6000


@dataclass(frozen=True)
class FrozenLerf(FrozenLanguage):
    """A language head and the scales at which it was trained.

    Attributes:
        name: key of the grid's features in `SurfaceCloud.features`.
        head: frozen.
        scales: (S,) f32 log2 of metres; none if the head is untrained.
    """

    name: str
    head: LanguageHead
    scales: Floats

    def language_for(
        self, surface: SurfaceCloud, phrase: Floats, negatives: Floats, temperature: float
    ) -> Floats | None:
        """(N, D) unit vectors at the scale where the phrase is most relevant."""
        if not len(self.scales):
            return None
        return self.language(surface, self.best_scale(surface, phrase, negatives, temperature))

    def best_scale(
        self, surface: SurfaceCloud, phrase: Floats, negatives: Floats, temperature: float
    ) -> float:
        """The scale with the highest relevancy of a phrase anywhere (LERF, section 3.4)."""
        features = surface.features[self.name]
        probes = features[:: max(1, len(features) // PROBES)]
        highest = [
            relevancy(language_at(self.head, probes, s), phrase, negatives, temperature).max()
            for s in self.scales
        ]
        return float(self.scales[int(np.argmax(highest))])

    def language(self, surface: SurfaceCloud, log2_scale: float) -> Floats:
        """(N, D) unit vectors of the surface at one scale."""
        return language_at(self.head, surface.features[self.name], log2_scale)

    def class_scores(self, surface: SurfaceCloud, classes: Floats) -> Floats:
        """(N, C) probabilities at the scale that gives any class of a point the highest one."""
        scores = np.zeros((len(surface.points), len(classes)), np.float32)
        for scale in self.scales:
            language = self.language(surface, float(scale))
            chances = softmax(language @ classes.T / CLASS_TEMPERATURE)
            better = chances.max(axis=1) > scores.max(axis=1)
            scores[better] = chances[better]
        return scores
