"""From relevancy per surface point to regions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.semantics.base import Region
from semantic_field_ros.semantics.components import connected_components
from semantic_field_ros.types import SurfaceCloud

Floats = NDArray[np.float32]

#: points this share as relevant as the most relevant ones belong to what is meant.
MEMBER_SHARE = 0.7
#: points this many of their spacings apart hang together.
LINK_SPACINGS = 2.5
#: smaller parts are noise.
LEAST_POINTS = 12
#: a part is as relevant as this share of its points is not; the very best may be a stray one.
SCORE_QUANTILE = 0.9


def relevant_parts(surface: SurfaceCloud, scores: Floats, language: Floats) -> list[Region]:
    """Connected parts of the relevant surface, best first.

    Args:
        surface: N points.
        scores: (N,) relevancy in [0, 1].
        language: (N, D) unit vectors.
    """
    if not len(scores):
        return []
    top = float(np.quantile(scores, 1 - min(1.0, LEAST_POINTS / len(scores))))
    member = np.flatnonzero(scores >= MEMBER_SHARE * top)
    label = connected_components(
        surface.points[member], np.float32(LINK_SPACINGS) * surface.spacing_m[member]
    )
    regions = []
    for part in np.split(member[np.argsort(label, kind="stable")], _ends(label)):
        if len(part) >= LEAST_POINTS:
            mean = language[part].mean(axis=0)
            regions.append(
                Region(
                    np.sort(part),
                    scores[np.sort(part)],
                    float(np.quantile(scores[part], SCORE_QUANTILE)),
                    mean / max(float(np.linalg.norm(mean)), 1e-6),
                )
            )
    return sorted(regions, key=lambda region: -region.score)


def _ends(label: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.cumsum(np.bincount(label))[:-1]
