"""Outlines of answers, moved to where the surface changes its colour.

Masks of views end a pixel too early or too late, and surface that no view looked at has no vote. A
conditional random field over the points of the surface (Krähenbühl and Koltun 2011, mean field,
but with the nearest points as neighbours) settles both: what looks alike and lies side by side
belongs together, unless the votes say otherwise.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import expit, logit

from semantic_field_ros.semantics.base import MEMBER, Region
from semantic_field_ros.types import SurfaceCloud

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

#: membership of a point about which nobody says anything: it follows its neighbours.
UNKNOWN = 0.35
NEIGHBOURS = 12
#: neighbours lie within this many of a point's spacings.
REACH_SPACINGS = 3.0
#: log odds that neighbours of a point's own colour give it when all of them agree.
PULL = 20.0
#: length of a difference of RGB colours, of 255, across which neighbours say 0.6 as much.
COLOUR_STEP = 40.0
#: of a member, as logarithm.
LEAST_ODDS = logit(np.float32(MEMBER))
ROUNDS = 8
#: log odds against floor, walls and ceiling: what stands before them is seldom a part of them,
#: and where it has their colour, masks leak into them.
RARELY = np.float32(1.0)
#: votes nearer to 0 or 1 say no more.
SUREST = 0.02


def members_along_edges(surface: SurfaceCloud, scores: Floats) -> Ints:
    """Indices of the points that belong to a thing, ascending.

    Args:
        surface: of the map.
        scores: (N,) membership in [0, 1] by votes, `UNKNOWN` where there are none.
    """
    core = np.flatnonzero(scores > UNKNOWN)
    if len(core) == 0:
        return core
    near = _box_around(surface, core)
    tree = cKDTree(surface.points[near])
    undecided, distance_m, neighbour = _with_ring(tree, np.searchsorted(near, core))
    weight = _links(surface, near, undecided, distance_m, neighbour)
    evidence = logit(np.clip(scores[near], SUREST, 1 - SUREST)) - LEAST_ODDS
    if surface.enclosing is not None:
        evidence -= RARELY * surface.enclosing[near]
    belief = expit(evidence)
    for _ in range(ROUNDS):
        pull = (weight * (2 * belief[neighbour] - 1)).sum(axis=1)
        belief[undecided] = expit(evidence[undecided] + pull)
    return near[np.sort(undecided[belief[undecided] > 0.5])]


def outlined(surface: SurfaceCloud, region: Region) -> Region:
    """The region that the members of one, each with its membership, make with their neighbours.

    One of scattered points, which would lose all of them, stays as it is.
    """
    scores = np.full(len(surface.points), UNKNOWN, np.float32)
    scores[region.indices] = region.point_scores
    members = members_along_edges(surface, scores)
    if len(members) == 0:
        return region
    return replace(region, indices=members, point_scores=member_scores(scores, members))


def member_scores(scores: Floats, members: Ints) -> Floats:
    """(M,) membership of (M,) members; one that only its neighbours vouch for is just a member."""
    return np.maximum(scores[members], np.float32(MEMBER))


def _box_around(surface: SurfaceCloud, core: Ints) -> Ints:
    """Points in the box around some of them, and a little more; ascending."""
    margin_m = REACH_SPACINGS * surface.spacing_m[core].max()
    low, high = surface.points[core].min(axis=0), surface.points[core].max(axis=0)
    inside = (surface.points >= low - margin_m) & (surface.points <= high + margin_m)
    return np.flatnonzero(inside.all(axis=1))


def _neighbours(tree: cKDTree, rows: Ints) -> tuple[Floats, Ints]:
    """(M, K) distances to and rows of the neighbours of some of a tree's points.

    Where there are fewer, the last point stands in, infinitely far away.
    """
    ranks = np.arange(2, NEIGHBOURS + 2)  # the nearest one is the point itself
    distance_m, nearest = tree.query(tree.data[rows], k=ranks)
    return distance_m.astype(np.float32), np.minimum(nearest, tree.n - 1)


def _with_ring(tree: cKDTree, rows: Ints) -> tuple[Ints, Floats, Ints]:
    """(M,) some of a tree's points and, after them, all their neighbours; and `_neighbours` of
    both, for which every point is looked up once: a floor has a hundred thousand of them."""
    distance_m, neighbour = _neighbours(tree, rows)
    beside = np.zeros(tree.n, np.bool_)
    beside[neighbour] = True
    beside[rows] = False
    ring = np.flatnonzero(beside)
    further_m, further = _neighbours(tree, ring)
    return (
        np.concatenate([rows, ring]),
        np.concatenate([distance_m, further_m]),
        np.concatenate([neighbour, further]),
    )


def _links(
    surface: SurfaceCloud, near: Ints, rows: Ints, distance_m: Floats, neighbour: Ints
) -> Floats:
    """(M, K) log odds that neighbours give, from what `_with_ring` returns for points `near`."""
    reached = distance_m < REACH_SPACINGS * surface.spacing_m[near[rows], None]
    colour = surface.rgb[near].astype(np.float32)
    step = np.linalg.norm(colour[neighbour] - colour[rows, None], axis=2) / COLOUR_STEP
    return np.float32(PULL / NEIGHBOURS) * reached * np.exp(-(step**2) / 2)
