"""Answers to phrases: regions of the snapshot with a relevancy, made into masks or a reason."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.models.base import Calibration, LanguageModel, relevancy
from semantic_field_ros.queries.base import TextQuery
from semantic_field_ros.semantics.base import FrozenMethod, Region
from semantic_field_ros.semantics.components import connected_components
from semantic_field_ros.semantics.regions import suppress_overlaps
from semantic_field_ros.types import SurfaceCloud

Floats = NDArray[np.float32]
Box = tuple[NDArray[np.float64], NDArray[np.float64]]

#: of two regions of which one holds this share of the other, one is the answer.
LARGEST_OVERLAP = 0.5
#: further answers have at least this share of the odds, score / (1 - score), of the best one.
LEAST_ODDS = 0.18
#: a loose piece is kept from this share of the region's largest piece on.
SMALLEST_PIECE = 0.15
#: phrases whose vectors are remembered; each has dozens of rivals.
REMEMBERED = 4096


class PhraseBook:
    """Phrases to vectors, those that were asked for last remembered."""

    def __init__(self, language: LanguageModel) -> None:
        self._language = language
        self._known: OrderedDict[str, Floats] = OrderedDict()

    def vectors(self, phrases: Sequence[str]) -> Floats:
        """(N, D) unit vectors."""
        known = {phrase: self._known[phrase] for phrase in phrases if phrase in self._known}
        if missing := [phrase for phrase in phrases if phrase not in known]:
            known |= dict(zip(missing, self._language.encode_text(missing), strict=True))
        for phrase in phrases:
            self._known[phrase] = known[phrase]
            self._known.move_to_end(phrase)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return np.stack([known[p] for p in phrases]) if phrases else np.zeros((0, 0), np.float32)


@dataclass(frozen=True)
class RegionLimits:
    """What a region must have.

    Attributes:
        link_spacings: points this many of their spacings apart hang together.
        min_points: fewer are noise.
    """

    link_spacings: float
    min_points: int

    def links_m(self, surface: SurfaceCloud) -> Floats:
        """(N,) how far each point of a surface reaches."""
        return np.float32(self.link_spacings) * surface.spacing_m


@dataclass(frozen=True)
class TextResult:
    """Regions at and above the threshold, best first; the best score of all, and why none."""

    regions: list[Region]
    best_score: float
    reason: str


def find_text(
    query: TextQuery,
    surface: SurfaceCloud,
    method: FrozenMethod,
    book: PhraseBook,
    calibration: Calibration,
    limits: RegionLimits,
) -> TextResult:
    """What on the surface a phrase means; relations are not looked at here.

    A query without a threshold of its own wants what is meant: what is much less likely than the
    best answer is something else that is alike, such as a stool of another colour.
    """
    what, negatives = query.text.strip(), query.negatives or calibration.negatives
    phrase, against = book.vectors([what])[0], book.vectors(list(negatives))
    regions = method.text_regions(surface, phrase, against, calibration)
    regions = _beside_rivals(regions, what, book, calibration)
    wanted = [r for r in regions if not _excluded(r, query, phrase, book)]
    threshold = calibration.threshold if query.threshold is None else query.threshold
    fitting = [region for region in wanted if region.score >= threshold]
    inside = (tidy(region, surface, query.region_m, limits) for region in fitting)
    if found := [region for region in inside if region is not None]:
        likely = [r for r in found if _odds(r.score) >= LEAST_ODDS * _odds(found[0].score)]
        others = [] if query.threshold is None else found[len(likely) :]
        regions = _whole(likely, others, len(surface.points))
        return TextResult(regions, found[0].score, "")
    best = _best_score(regions, surface, limits)
    if best < threshold:
        reason = f"{what!r} is not in the map: the best score is {best:.2f}, "
        return TextResult([], best, reason + f"found is {threshold:.2f} and above")
    elsewhere = _best_score(wanted, surface, limits) >= threshold
    but = "not in the region asked for" if elsewhere else "what is excluded fits it better"
    return TextResult([], best, f"{what!r} is in the map, with a score of {best:.2f}, but {but}")


def _beside_rivals(
    regions: list[Region], what: str, book: PhraseBook, calibration: Calibration
) -> list[Region]:
    """The regions, no score above what their language leaves beside the phrase's rivals."""
    rivals = calibration.rivals(what)
    if not rivals:
        return regions
    phrase, *others = book.vectors([what, *rivals])
    against, heat, start = np.stack(others), calibration.temperature, calibration.head_start
    scored = []
    for region in regions:
        score = region.score
        if region.language is not None:
            left = relevancy(region.language[None], phrase, against, heat, start)[0]
            score = min(score, float(left))
        scored.append(replace(region, score=score))
    return sorted(scored, key=lambda region: -region.score)


def _odds(score: float) -> float:
    return score / max(1 - score, 1e-6)


def _whole(likely: list[Region], others: list[Region], points: int) -> list[Region]:
    """Regions without their parts, best first.

    Of likely ones that overlap the largest stays, for a part of a thing answers as well as all of
    it; others must not overlap what is better.
    """
    order = sorted(likely, key=lambda region: -len(region.indices)) + others
    kept = suppress_overlaps([r.indices for r in order], points, LARGEST_OVERLAP)
    return sorted((order[i] for i in kept), key=lambda region: -region.score)


def _best_score(regions: Sequence[Region], surface: SurfaceCloud, limits: RegionLimits) -> float:
    """Of regions, best first, the score of the first one that is more than crumbs."""
    solid = (r.score for r in regions if tidy(r, surface, None, limits) is not None)
    return next(solid, 0.0)


def _excluded(region: Region, query: TextQuery, phrase: Floats, book: PhraseBook) -> bool:
    """Whether a phrase that must not match fits the region better than the one asked for."""
    if not query.exclude or region.language is None:
        return False
    others = book.vectors(list(query.exclude))
    margin = relevancy(region.language[None], phrase, others, temperature=1.0)[0]
    return bool(margin < 0.5)


def tidy(
    region: Region, surface: SurfaceCloud, box_m: Box | None, limits: RegionLimits
) -> Region | None:
    """The region inside the box without loose crumbs; None if nothing is left."""
    indices, scores = region.indices, region.point_scores
    if box_m is not None:
        low, high = box_m
        points = surface.points[indices]
        keep = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))
        indices, scores = indices[keep], scores[keep]
    if len(indices) < limits.min_points:
        return None
    labels = connected_components(surface.points[indices], limits.links_m(surface)[indices])
    sizes = np.bincount(labels)
    solid = (sizes >= max(limits.min_points, SMALLEST_PIECE * sizes.max()))[labels]
    if not solid.any():
        return None
    return replace(region, indices=indices[solid], point_scores=scores[solid])


def tidy_drawn(
    before: Sequence[Region],
    drawn: Sequence[Region],
    surface: SurfaceCloud,
    box_m: Box | None,
    limits: RegionLimits,
) -> list[Region]:
    """Regions that were drawn anew, tidy; as they were before where nothing would be left."""
    return [
        tidy(new, surface, box_m, limits) or old for old, new in zip(before, drawn, strict=True)
    ]
