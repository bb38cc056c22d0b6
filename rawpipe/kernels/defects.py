"""Pixels that stand out alone, as Numba finds and replaces them: row by row in the second-level cache.

All operations are those of the reference, `rawpipe.stages.defect_pixels.stage`, in its order: the bits are the same.

All compiled code that `cleaned_band` calls stands in this file: Numba's cache looks at one file's date.
"""

from __future__ import annotations

import math

import numpy as np

from rawpipe.kernels.lines import entry, exact

COLUMNS = 4096
"""Of a tile: its rings are half a megabyte."""
HALO = 4
"""Rows above and below, and columns beside, that a pixel depends on: its neighbours' neighbours."""
_RING = 5  # rows
WORK = 5 * _RING + 2 + 10
"""Lines to work with: rings of pixels, of what `_ranked` finds, two sums, and numbers of the sites of two rows."""
_EDGE = 2  # columns beside a tile whose neighbours are looked at
_f = np.float32
_ZERO, _HALF, _EIGHTH, _NINE, _QUARTER = _f(0), _f(0.5), _f(0.125), _f(9), _f(0.25)


@exact
def _load(source, columns, line):
    """The pixels of a row that stand in `columns`, of which only the first and last few aren't neighbours."""
    last = len(line) - HALO
    inside, row = line[HALO:last], source[columns[HALO] :]
    for j in range(len(inside)):
        inside[j] = _f(row[j])
    for j in range(HALO):
        line[j], line[last + j] = _f(source[columns[j]]), _f(source[columns[last + j]])


@exact
def _finite(line):
    bad = np.int32(0)
    for j in range(len(line)):
        bad += np.int32(0) if line[j] - line[j] == _ZERO else np.int32(1)
    return bad == 0


@exact
def _ordered(one, other):
    return (one if one < other else other), (one if one > other else other)


@exact
def _ranked(above, row, below, excess, median, outside, spread):
    """Of each pixel the neighbours of its site sorted: its distance from their median, that, and how far it is out.

    Args:
        above: pixels two rows above (n + 4).
        row: the row itself, likewise.
        below: two rows below.
        excess: pixel less median (n).
        median: of the eight (n).
        outside: by how much it is above the highest or below the lowest (n).
        spread: seventh less second (n).
    """
    for j in range(len(excess)):
        a, b, c, d = above[j], above[j + 2], above[j + 4], row[j]
        e, f, g, h = row[j + 4], below[j], below[j + 2], below[j + 4]
        # Batcher's odd-even merge sort
        a, b = _ordered(a, b)
        c, d = _ordered(c, d)
        e, f = _ordered(e, f)
        g, h = _ordered(g, h)
        a, c = _ordered(a, c)
        b, d = _ordered(b, d)
        e, g = _ordered(e, g)
        f, h = _ordered(f, h)
        b, c = _ordered(b, c)
        f, g = _ordered(f, g)
        a, e = _ordered(a, e)
        b, f = _ordered(b, f)
        c, g = _ordered(c, g)
        d, h = _ordered(d, h)
        c, e = _ordered(c, e)
        d, f = _ordered(d, f)
        b, c = _ordered(b, c)
        d, e = _ordered(d, e)
        f, g = _ordered(f, g)
        middle, pixel = (d + e) * _HALF, row[j + 2]
        over, under = pixel - h, a - pixel
        excess[j] = pixel - middle
        median[j] = middle
        outside[j] = over if over > under else under
        spread[j] = g - b


@exact
def _three_rows(one, two, three, total):
    for j in range(len(total)):
        total[j] = (one[j] + two[j]) + three[j]


@exact
def _replaced(row, excess, median, outside, spreads, around, known, noise, shares, out):
    """The pixels, or the medians of their neighbours.

    Args:
        row: pixels (n).
        excess: see `_ranked`, likewise the next two (n).
        median: see there.
        outside: see there.
        spreads: sums of three rows two apart (n + 4).
        around: of `excess`, sums of three neighbouring rows (n + 2).
        known: whether the noise is.
        noise: of each column: variance per signal, without light, of rows; black, and a code's step (5, n).
        shares: threshold, spread of normal numbers, share of texture, least and most of an excess that is shared (5).
        out: result (n).
    """
    shot, read, of_rows, black, code = noise[0], noise[1], noise[2], noise[3], noise[4]
    threshold, normal, texture, least, most = shares[0], shares[1], shares[2], shares[3], shares[4]
    for j in range(len(out)):
        middle, own = median[j], excess[j]
        sigma = (((spreads[j] + spreads[j + 2]) + spreads[j + 4]) / _NINE) / normal
        if known:
            light = middle - black[j]
            light = light if light > _ZERO else _ZERO
            sure = _f(math.sqrt((shot[j] * light + read[j]) + of_rows[j]))
            sigma = texture * sigma
            sigma = sure if sure > sigma else sigma
        sigma = code[j] if code[j] > sigma else sigma
        limit = threshold * sigma
        size = abs(own)
        sign = _f(1) if own > _ZERO else _f(-1) if own < _ZERO else _ZERO
        shared = (_NINE * (((around[j] + around[j + 1]) + around[j + 2]) / _NINE) - own) * _EIGHTH * sign
        enough, low, high = limit * _QUARTER, size * least, size * most
        enough = enough if enough > low else low
        enough = enough if enough < high else high
        out[j] = middle if (outside[j] > limit) & (shared < enough) else row[j]


@entry
def cleaned_band(source, stride, rows, columns, band, known, noise, shares, work, out):
    """Replace what stands out alone in the rows `band` of a mosaic; how many rows that were looked at aren't finite.

    Args:
        source: pixels from the first to the last of the picture, rows `stride` apart.
        stride: see there.
        rows: which row stands in each place from `HALO` above the picture to `HALO` below it: outside, mirrored ones.
        columns: likewise.
        band: first row, and the one behind the last.
        known: whether the noise is.
        noise: of each place in the 2x2 cell what `_replaced` needs (2, 2, 5).
        shares: see `_replaced`.
        work: `WORK` lines of at least the picture's or a tile's columns and 2 x `HALO` more, float32.
        out: float32 pixels of the result, without gaps.
    """
    width, (top, bottom) = len(columns) - 2 * HALO, band
    ring, sums, sites = work[:_RING], work[5 * _RING : 5 * _RING + 2], work[5 * _RING + 2 :]
    excesses, medians = work[_RING : 2 * _RING], work[2 * _RING : 3 * _RING]
    outsides, spreads = work[3 * _RING : 4 * _RING], work[4 * _RING : 5 * _RING]
    bad = 0
    for left in range(0, width, COLUMNS):
        n = min(COLUMNS, width - left)
        m = n + 2 * _EDGE
        for i in range(2):
            for k in range(5):
                for j in range(n):
                    sites[5 * i + k, j] = noise[i, (left + j) % 2, k]
        for ahead in range(top - HALO, bottom + HALO):  # the last row that is loaded
            start = rows[ahead + HALO] * stride
            line = ring[ahead % _RING, : n + 2 * HALO]
            _load(source[start:], columns[left : left + n + 2 * HALO], line)
            bad += 0 if _finite(line) else 1
            at = ahead - 2
            if at < top - 2:
                continue
            i = at % _RING
            above, row, below = ring[(at - 2) % _RING], ring[i], ring[ahead % _RING]
            _ranked(above, row, below, excesses[i, :m], medians[i, :m], outsides[i, :m], spreads[i, :m])
            y = ahead - HALO
            if y < top:
                continue
            i, before, behind = y % _RING, (y - 2) % _RING, (y + 2) % _RING
            _three_rows(spreads[before, :m], spreads[i, :m], spreads[behind, :m], sums[0, :m])
            before, behind = (y - 1) % _RING, (y + 1) % _RING
            _three_rows(excesses[before, 1:], excesses[i, 1:], excesses[behind, 1:], sums[1, : n + 2])
            _replaced(
                ring[i, HALO:],
                excesses[i, _EDGE:],
                medians[i, _EDGE:],
                outsides[i, _EDGE:],
                sums[0],
                sums[1],
                known,
                sites[5 * (y % 2) : 5 * (y % 2) + 5],
                shares,
                out[y * width + left : y * width + left + n],
            )
    return bad
