"""What phrases mean on a map: the language model and the semantic method that knows words."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.config import SemanticsConfig
from semantic_field_ros.models.base import LanguageModel
from semantic_field_ros.queries.base import Classification, TextQuery
from semantic_field_ros.queries.classes import best_classes
from semantic_field_ros.queries.text import PhraseBook, RegionLimits, TextResult, find_text
from semantic_field_ros.semantics.base import FrozenMethod, Region
from semantic_field_ros.semantics.registry import text_method
from semantic_field_ros.training.snapshot import Snapshot

Floats = NDArray[np.float32]


class Words:
    """Reads phrases; from any thread.

    Args:
        semantics: which methods are trained, and which of them answers.
        language: the model that makes vectors of phrases.

    Raises:
        ValueError: the config names what there is not.
    """

    def __init__(self, semantics: SemanticsConfig, language: LanguageModel) -> None:
        self._semantics, self._language = semantics, language
        self._method = text_method(semantics)
        self._book, self._lock = PhraseBook(language), threading.Lock()

    @property
    def missing(self) -> str:
        """Why no phrase can be answered; "" if they can."""
        if self._method is not None:
            return ""
        return (
            "semantics.methods must hold 'maskfield', 'lerf' or 'ovnerf' to know words, "
            f"got {list(self._semantics.methods)}"
        )

    def warm_up(self) -> None:
        """Loads what the first phrase would have to wait for."""
        self._vectors(self._language.calibration.negatives)

    def method(self, snapshot: Snapshot) -> FrozenMethod:
        """What knows phrases and things; nothing if no such method is trained."""
        return FrozenMethod() if self._method is None else snapshot.methods[self._method]

    def find(self, snapshot: Snapshot, query: TextQuery, limits: RegionLimits) -> TextResult:
        """What on the surface a phrase means; relations are not looked at here."""
        method, calibration = self.method(snapshot), self._language.calibration
        with self._lock:
            return find_text(query, snapshot.surface, method, self._book, calibration, limits)

    def label(self, region: Region, vocabulary: Sequence[str]) -> str:
        """The phrase that fits a region best; "" where there is none, or it has no language."""
        if not vocabulary or region.language is None:
            return ""
        return vocabulary[int(np.argmax(self._vectors(vocabulary) @ region.language))]

    def relevancy(self, snapshot: Snapshot | None, phrase: str) -> Floats:
        """(N,) relevancy of the surface; see `SemanticField.relevancy`."""
        snapshot, (phrase,) = self._asked_of(snapshot, [phrase])
        calibration = self._language.calibration
        vector, *negatives = self._vectors([phrase, *calibration.negatives])
        method = self.method(snapshot)
        return method.relevancy(snapshot.surface, vector, np.stack(negatives), calibration)

    def classify(self, snapshot: Snapshot | None, phrases: Sequence[str]) -> Classification:
        """The surface in classes; see `SemanticField.classify`."""
        snapshot, classes = self._asked_of(snapshot, phrases)
        scores = self.method(snapshot).class_scores(snapshot.surface, self._vectors(classes))
        return Classification(tuple(classes), *best_classes(scores), snapshot.map_version)

    def _vectors(self, phrases: Sequence[str]) -> Floats:
        with self._lock:
            return self._book.vectors(list(phrases))

    def _asked_of(
        self, snapshot: Snapshot | None, phrases: Sequence[str]
    ) -> tuple[Snapshot, list[str]]:
        """The map and the phrases without blanks around them, if they can be asked for."""
        if snapshot is None:
            raise RuntimeError("there is no map to ask yet: ingest frames first")
        if self.missing:
            raise ValueError(self.missing)
        stripped = [phrase.strip() for phrase in phrases]
        if not stripped or not all(stripped):
            raise ValueError(f"expected phrases that are not empty, got {list(phrases)}")
        return snapshot, stripped
