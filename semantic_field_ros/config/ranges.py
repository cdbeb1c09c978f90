"""What the configuration's options may be: bounds of numbers, and the words that some take.

The descriptors of the node's parameters tell the bounds too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_COUNT, _SHARE, _WEIGHT = (0, 2**31 - 1), (0.0, 1.0), (0.0, 1000.0)
_LENGTH_M, _RAYS, _STEPS = (0.0, 10.0), (1, 65536), (1, 10**6)

#: By name of the leaf, or by its last words where there are several of a kind.
_RANGES: dict[str, tuple[float, float]] = {
    "area_m2": (0.0, 1.0),
    "base_resolution": (2, 512),
    "box_m": (-1e4, 1e4),
    "budget_s": (0.0, 3600.0),
    "capacity": (5, 10000),
    "deg": (0.0, 180.0),
    "every": (1, 1000),
    "feature_dim": (2, 256),
    "features": (2, 8),
    "floor_m": (-1e4, 1e4),
    "gap_s": (0.0, 3600.0),
    "geometry_features": (1, 64),
    "growth": (1.0, 4.0),
    "hidden": (8, 512),
    "imagined_views": (0, 255),
    "keyframes_to_fix_box": (1, 1000),
    "keyframes_to_start": (1, 1000),
    "learning_rate": _SHARE,
    "levels": (1, 24),
    "link_spacings": (1.0, 100.0),
    "log2_entries": (8, 24),
    "m": _LENGTH_M,
    "majority": _SHARE,
    "max_points": (100, 10**7),
    "max_queries": (1, 65536),
    "min_points": (1, 10**5),
    "noise_per_m": _SHARE,
    "novel_views": (0, 10000),
    "occupancy_resolution": (8, 512),
    "patches": (1, 1024),
    "queue": (1, 10**5),
    "rays": _RAYS,
    "rays_per_cell": (1, 4),
    "renew_every": _SHARE,
    "enhance_from": _SHARE,
    "resolution_m": (0.005, 10.0),
    "run_steps": _STEPS,
    "samples_in_free_space": (0, 512),
    "samples_with_depth": (1, 512),
    "samples_without_depth": (1, 512),
    "scales": (1, 100),
    "settle_steps": _STEPS,
    "share": _SHARE,
    "sharpness": _SHARE,
    "similar_colour": _SHARE,
    "smallest": _SHARE,
    "largest": _SHARE,
    "largest_tile": _SHARE,
    "steps": _STEPS,
    "stride_px": (1, 64),
    "temperature": (0.001, 10.0),
    "threads": (0, 1024),
    "time_share": (0.0, 0.99),
    "translation_m": _LENGTH_M,
    "views": (1, 1024),
    "voxel_m": (0.0005, 1.0),
    "warm_up_steps": (0, 10**6),
    "weight": _WEIGHT,
    "width_px": (0, 8192),
    "window_cells": (4, 64),
}

#: By name of the leaf; all other words are names and free.
_CHOICES: dict[str, tuple[str, ...]] = {
    "backend": ("auto", "tcnn", "numba", "torch"),
    "click_features": ("cached", "rendered"),
    "override": ("none", "single_scale", "full"),
    "padding": ("surroundings", "zeros"),
    "ranking": ("none", "majority", "language"),
    "refine_with": ("object_field", "votes", "masks"),
}


def range_of(name: str) -> tuple[float, float]:
    """Least and greatest value of a number, by the name of its leaf; both are allowed.

    One that is not listed is not negative.
    """
    words = name.split("_")
    tails = ("_".join(words[start:]) for start in range(len(words)))
    return next((_RANGES[tail] for tail in tails if tail in _RANGES), _COUNT)


def check_ranges(tree: Mapping[str, Any], path: str = "") -> None:
    """Raises ValueError for a number of a nested dict that is out of its range, or a word that is
    none of those that its option takes.

    Args:
        tree: options by name.
        path: of the tree, with a dot at its end.
    """
    for name, value in tree.items():
        if isinstance(value, Mapping):
            check_ranges(value, f"{path}{name}.")
            continue
        choices = _CHOICES.get(name, (value,))
        if value not in choices:
            raise ValueError(f"{path}{name} must be one of {choices}, got {value!r}")
        least, most = range_of(name)
        for number in value if isinstance(value, tuple) else (value,):
            is_number = isinstance(number, int | float) and not isinstance(number, bool)
            if is_number and not least <= number <= most:
                raise ValueError(f"{path}{name} must be in [{least}, {most}], got {number}")
