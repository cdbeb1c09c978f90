"""The index maths of a multi-resolution hash grid, the same on every backend.

Müller et al. 2022, "Instant Neural Graphics Primitives with a Multiresolution Hash Encoding",
section 3, in the form that tiny-cuda-nn gives it (`common_device.h`: grid_scale,
grid_resolution, grid_index, pos_fract; `encodings/grid.h`: the offset table). All of it is
computed in float32, as there, so that levels round to the same sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semantic_field_ros.config import GridConfig

#: hash(i, j, k) = i·1 XOR j·2654435761 XOR k·805459861, in 32 bits.
PRIMES = (1, 2654435761, 805459861)
#: level sizes are rounded up to a multiple of this.
ALIGNMENT = 8


@dataclass(frozen=True)
class GridLayout:
    """Where each level of a grid lies in the table of entries.

    A point x in [0, 1]³ falls at level l on position x·scale[l] + 0.5; its cell is the floor of
    that, and its 8 corners are entries offset[l] + index, where index is i + j·r + k·r² (mod the
    level's size) on a dense level of resolution r, and the hash modulo the size on the others.

    Attributes:
        features: F, values per entry.
        scale: (L,) f32.
        resolution: (L,) i32 grid points per side.
        offset: (L + 1,) i32 first entry of each level; the last is the number of entries E.
        dense: (L,) bool, whether the level holds every grid point.
    """

    features: int
    scale: NDArray[np.float32]
    resolution: NDArray[np.int32]
    offset: NDArray[np.int32]
    dense: NDArray[np.bool_]

    @staticmethod
    def of(config: GridConfig) -> GridLayout:
        """The layout that tiny-cuda-nn gives the same numbers."""
        log2_growth = np.log2(np.float32(config.growth))
        levels = np.arange(config.levels, dtype=np.float32)
        scale = np.exp2(levels * log2_growth) * np.float32(config.base_resolution) - np.float32(1)
        resolution = np.ceil(scale).astype(np.int64) + 1
        aligned = -(-(resolution**3) // ALIGNMENT) * ALIGNMENT
        sizes = np.minimum(aligned, 1 << config.log2_entries)
        offset = np.concatenate([[0], np.cumsum(sizes)])
        return GridLayout(
            config.features,
            scale.astype(np.float32),
            resolution.astype(np.int32),
            offset.astype(np.int32),
            resolution**3 <= sizes,
        )

    @property
    def levels(self) -> int:
        """L."""
        return len(self.scale)

    @property
    def entries(self) -> int:
        """E, rows of the table."""
        return int(self.offset[-1])

    @property
    def output_dim(self) -> int:
        """L·F, width of the encoding; level by level."""
        return self.levels * self.features
