"""Compiled loops of the hash grid: indices, gather, scatter, slope, and a sparse Adam.

Points are taken in blocks that stay in the first-level cache. Within a block and a level,
`_corners` is a loop over points that the compiler turns into vector instructions; gather and
scatter then move whole entries of 4 (or 2) features. Every kernel releases the GIL.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from semantic_field_ros.backends import numba_threading_layer
from semantic_field_ros.field.grid_layout import PRIMES

numba_threading_layer()

BLOCK = 256
_PRIME_Y, _PRIME_Z = np.uint32(PRIMES[1]), np.uint32(PRIMES[2])
_HALF, _ONE = np.float32(0.5), np.float32(1)
_PARALLEL: dict[str, Any] = {
    "parallel": True,
    "nogil": True,
    "fastmath": True,
    "cache": True,
    "error_model": "numpy",
}
_INLINE: dict[str, Any] = {"fastmath": True, "error_model": "numpy"}


@numba.njit(**_INLINE)
def _load(positions, first, count, xyz):  # type: ignore[no-untyped-def]
    """(count, 3) rows from `first` into columns (3, BLOCK)."""
    for i in range(count):
        xyz[0, i] = positions[first + i, 0]
        xyz[1, i] = positions[first + i, 1]
        xyz[2, i] = positions[first + i, 2]


@numba.njit(**_INLINE)
def _corners(xyz, count, scale, side, first, size, dense, index, fraction):  # type: ignore[no-untyped-def]
    """Entries (8, BLOCK) and fractions (3, BLOCK) of `count` points on one level."""
    one = np.uint32(1)
    for i in range(count):
        px = xyz[0, i] * scale + _HALF
        py = xyz[1, i] * scale + _HALF
        pz = xyz[2, i] * scale + _HALF
        gx, gy, gz = np.floor(px), np.floor(py), np.floor(pz)
        fraction[0, i], fraction[1, i], fraction[2, i] = px - gx, py - gy, pz - gz
        x0, y0, z0 = np.uint32(np.int32(gx)), np.uint32(np.int32(gy)), np.uint32(np.int32(gz))
        if dense:
            row = np.uint32(side)
            plane = row * row
            y0, z0 = y0 * row, z0 * plane
            x1, y1, z1 = x0 + one, y0 + row, z0 + plane
            for c in range(8):
                at = (x1 if c & 1 else x0) + (y1 if c & 2 else y0) + (z1 if c & 4 else z0)
                # A corner past the last grid point wraps; it is less than one size beyond.
                at = at - np.uint32(size) if at >= np.uint32(size) else at
                index[c, i] = np.int32(at) + first
        else:
            y0, z0 = y0 * _PRIME_Y, z0 * _PRIME_Z
            x1, y1, z1 = x0 + one, y0 + _PRIME_Y, z0 + _PRIME_Z
            mask = np.uint32(size - 1)
            for c in range(8):
                at = (x1 if c & 1 else x0) ^ (y1 if c & 2 else y0) ^ (z1 if c & 4 else z0)
                index[c, i] = np.int32(at & mask) + first


@numba.njit(**_INLINE)
def _weights(fraction, count, weight):  # type: ignore[no-untyped-def]
    """Trilinear weights (8, BLOCK)."""
    for i in range(count):
        fx, fy, fz = fraction[0, i], fraction[1, i], fraction[2, i]
        near_x, near_y, near_z = _ONE - fx, _ONE - fy, _ONE - fz
        nn, fn, nf, ff = near_y * near_z, fy * near_z, near_y * fz, fy * fz
        weight[0, i], weight[1, i] = near_x * nn, fx * nn
        weight[2, i], weight[3, i] = near_x * fn, fx * fn
        weight[4, i], weight[5, i] = near_x * nf, fx * nf
        weight[6, i], weight[7, i] = near_x * ff, fx * ff


@numba.njit(**_PARALLEL)
def gather(positions, table, scale, side, offset, dense, out):  # type: ignore[no-untyped-def]
    """out (N, L·F) = interpolated entries at positions (N, 3) in [0, 1]."""
    width = table.shape[1]
    for block in numba.prange((len(positions) + BLOCK - 1) // BLOCK):
        xyz = np.empty((3, BLOCK), np.float32)
        index = np.empty((8, BLOCK), np.int32)
        weight = np.empty((8, BLOCK), np.float32)
        start = block * BLOCK
        count = min(BLOCK, len(positions) - start)
        fraction = np.empty((3, BLOCK), np.float32)
        _load(positions, start, count, xyz)
        for level in range(len(scale)):
            size = np.int32(offset[level + 1] - offset[level])
            _corners(
                xyz, count, scale[level], side[level], offset[level], size, dense[level],
                index, fraction,
            )  # fmt: skip
            _weights(fraction, count, weight)
            if width % 4 == 0:
                for f in range(0, width, 4):
                    to = level * width + f
                    for i in range(count):
                        a = b = c = d = np.float32(0)
                        for k in range(8):
                            row, w = index[k, i], weight[k, i]
                            a += w * table[row, f]
                            b += w * table[row, f + 1]
                            c += w * table[row, f + 2]
                            d += w * table[row, f + 3]
                        out[start + i, to] = a
                        out[start + i, to + 1] = b
                        out[start + i, to + 2] = c
                        out[start + i, to + 3] = d
            else:
                for i in range(count):
                    a = b = np.float32(0)
                    for k in range(8):
                        row, w = index[k, i], weight[k, i]
                        a += w * table[row, 0]
                        b += w * table[row, 1]
                    out[start + i, level * 2] = a
                    out[start + i, level * 2 + 1] = b


@numba.njit(**_PARALLEL)
def scatter(positions, grad, scale, side, offset, dense, workers, grad_table):  # type: ignore[no-untyped-def]
    """grad_table (E, F) += the gradient of `gather` for grad (N, L·F).

    Workers share out the levels, so no two of them write one entry; dealing them in turn balances
    cheap coarse levels with costly fine ones.
    """
    width = grad_table.shape[1]
    for worker in numba.prange(workers):
        xyz = np.empty((3, BLOCK), np.float32)
        index = np.empty((8, BLOCK), np.int32)
        weight = np.empty((8, BLOCK), np.float32)
        fraction = np.empty((3, BLOCK), np.float32)
        for level in range(worker, len(scale), workers):
            size = np.int32(offset[level + 1] - offset[level])
            for start in range(0, len(positions), BLOCK):
                count = min(BLOCK, len(positions) - start)
                _load(positions, start, count, xyz)
                _corners(
                    xyz, count, scale[level], side[level], offset[level], size, dense[level],
                    index, fraction,
                )  # fmt: skip
                _weights(fraction, count, weight)
                if width % 4 == 0:
                    for f in range(0, width, 4):
                        source = level * width + f
                        for i in range(count):
                            a, b = grad[start + i, source], grad[start + i, source + 1]
                            c, d = grad[start + i, source + 2], grad[start + i, source + 3]
                            for k in range(8):
                                row, w = index[k, i], weight[k, i]
                                grad_table[row, f] += w * a
                                grad_table[row, f + 1] += w * b
                                grad_table[row, f + 2] += w * c
                                grad_table[row, f + 3] += w * d
                else:
                    for i in range(count):
                        a, b = grad[start + i, level * 2], grad[start + i, level * 2 + 1]
                        for k in range(8):
                            row, w = index[k, i], weight[k, i]
                            grad_table[row, 0] += w * a
                            grad_table[row, 1] += w * b


@numba.njit(**_PARALLEL)
def slope(positions, table, grad, scale, side, offset, dense, out):  # type: ignore[no-untyped-def]
    """out (N, 3) = the gradient of `gather` in the positions for grad (N, L·F)."""
    width = table.shape[1]
    for block in numba.prange((len(positions) + BLOCK - 1) // BLOCK):
        xyz = np.empty((3, BLOCK), np.float32)
        index = np.empty((8, BLOCK), np.int32)
        fraction = np.empty((3, BLOCK), np.float32)
        start = block * BLOCK
        count = min(BLOCK, len(positions) - start)
        _load(positions, start, count, xyz)
        out[start : start + count] = 0
        for level in range(len(scale)):
            size = np.int32(offset[level + 1] - offset[level])
            _corners(
                xyz, count, scale[level], side[level], offset[level], size, dense[level],
                index, fraction,
            )  # fmt: skip
            for i in range(count):
                fx, fy, fz = fraction[0, i], fraction[1, i], fraction[2, i]
                for k in range(8):
                    dot = np.float32(0)
                    for f in range(width):
                        dot += table[index[k, i], f] * grad[start + i, level * width + f]
                    wx = fx if k & 1 else _ONE - fx
                    wy = fy if k & 2 else _ONE - fy
                    wz = fz if k & 4 else _ONE - fz
                    dot *= scale[level]
                    out[start + i, 0] += (dot if k & 1 else -dot) * wy * wz
                    out[start + i, 1] += (dot if k & 2 else -dot) * wx * wz
                    out[start + i, 2] += (dot if k & 4 else -dot) * wx * wy


@numba.njit(**_PARALLEL)
def sparse_adam(table, grad, mean, square, rate, correction, beta1, beta2, epsilon):  # type: ignore[no-untyped-def]
    """One Adam step on the rows whose gradient is not zero, which is then cleared.

    Args:
        table, grad, mean, square: (E, F) f32.
        rate: learning rate divided by 1 - beta1^t.
        correction: 1 / sqrt(1 - beta2^t).
        beta1, beta2, epsilon: as in Kingma and Ba 2015.
    """
    one = np.float32(1)
    for row in numba.prange(len(table)):
        touched = False
        for f in range(table.shape[1]):
            touched |= grad[row, f] != 0
        if touched:
            for f in range(table.shape[1]):
                g = grad[row, f]
                m = beta1 * mean[row, f] + (one - beta1) * g
                v = beta2 * square[row, f] + (one - beta2) * g * g
                table[row, f] -= rate * m / (np.sqrt(v) * correction + epsilon)
                mean[row, f] = m
                square[row, f] = v
                grad[row, f] = 0
