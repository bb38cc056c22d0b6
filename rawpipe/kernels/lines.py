"""Rows of pixels, as Numba compiles them: load, change site by site, demosaic, change plane by plane, store.

A thread takes a band of rows and keeps a ring of the last mosaic rows in its cache, each split into its even and its
odd columns, so that every neighbour of a site stands at a constant distance. Sixteen pairs of pixels at a time are then
demosaiced, changed and stored without leaving the registers. Demosaicing does the operations of the torch reference in
their order, so the bits are the same; no flag here lets the compiler drop NaN or infinity.

All compiled code that the entries call stands in this file: Numba's cache looks at one file's date.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from rawpipe.kernels.vectors import (
    LANES,
    PICKS,
    exponent,
    fused,
    least,
    load,
    load_pairs,
    mantissa,
    most,
    picked,
    shifted,
    signed,
    size_of,
    store,
    store_pairs,
    where_less,
)

AFFINE, CLIP, MATRIX, CURVE, TABLE = range(5)
NONE, BILINEAR, MALVAR, MENON = range(4)
PARAMETERS = 16
"""Numbers that an operation has room for."""

_EDGE = LANES  # mirrored pairs of columns on either side of a row in the ring: Menon's steps use 7
_RING = 9  # rows of the mosaic: Menon's last step is 8 behind the newest
_STEP_RING = 5  # rows of each of its steps
Array = np.ndarray[Any, np.dtype[np.float32]]
_f = np.float32
_HALF, _EIGHTH, _QUARTER, _ONE_AND_A_HALF = _f(0.5), _f(0.125), _f(0.25), _f(1.5)
_TWO, _THREE, _FOUR, _FIVE, _SIX, _FULL = _f(2), _f(3), _f(4), _f(5), _f(6), _f(65535)
_HUGE, _MAGIC = _f(1e38), _f(1.5 * 2**23)  # added to a small number, its last bits are the rounded number
_BELOW_ONE = np.nextafter(_f(1), _f(0))
_SIGNLESS, _INFINITE = np.int32(0x7FFFFFFF), np.int32(0x7F800000)


class Steps(NamedTuple):
    """Rings of lines that Menon's steps hand on, (rows, n) each: an array for each, or LLVM takes them for entangled.

    Args:
        row: colour minus green, interpolated along the row.
        column: the same along the column.
        row_change: how much `row` changes towards the next site.
        column_change: how much `column` changes towards the next site.
        along_row: 1 where the row was chosen, or 0.
        chosen: the difference along the chosen direction.
        at_green: red minus blue at the green sites.
        refined: `chosen` again, smoothed along the direction.
        other: red minus blue at the coloured sites.
        refined_at_green: `at_green` again, from `refined`.
    """

    row: Array
    column: Array
    row_change: Array
    column_change: Array
    along_row: Array
    chosen: Array
    at_green: Array
    refined: Array
    other: Array
    refined_at_green: Array


# `_nrt` would count references to every slice, by atomic steps: a tenth of a row's time. Owners outlive these calls.
_options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}
exact = njit(**_options)
contracted = njit(**_options, fastmath={"contract"})
inlined = njit(**_options, forceinline=True)  # what has vectors in it, or they would go through memory
entry = njit(nogil=True, error_model="numpy", cache=True)


@intrinsic
def _bits(typing: Any, value: Any) -> Any:
    """The bits of a float32 as int32."""
    return types.int32(types.float32), lambda context, builder, _, args: builder.bitcast(
        args[0], context.get_value_type(types.int32)
    )


@exact
def fold(index, length):
    """An index outside 0..length-1 mirrored in, without repeating the ends."""
    period, index = max(2 * (length - 1), 1), abs(index)
    if index >= period:  # a division for every edge pixel would be felt
        index %= period
    return min(index, period - index)


@exact
def _edges(width, length):
    """First and last of the pairs left of a row of `width` pixels, and right of it, in halves of `length`."""
    return (0, _EDGE), (_EDGE + width // 2, length)


@contracted
def split(source, halves, gain, offset, level):
    """A row of the mosaic as its even and its odd columns (2, n), with mirrored columns around.

    Times a gain, plus an offset, at most a level; gain and offset of the even and the odd columns (2).
    """
    even, odd = halves[0, _EDGE:], halves[1, _EDGE:]
    even_gain, odd_gain, even_offset, odd_offset = gain[0], gain[1], offset[0], offset[1]
    for i in range(len(source) // 2):
        value = _f(source[2 * i]) * even_gain + even_offset
        even[i] = level if value > level else value
        value = _f(source[2 * i + 1]) * odd_gain + odd_offset
        odd[i] = level if value > level else value
    for side in _edges(len(source), halves.shape[1]):
        for i in range(side[0], side[1]):
            value = _f(source[fold(2 * (i - _EDGE), len(source))]) * even_gain + even_offset
            halves[0, i] = level if value > level else value
            value = _f(source[fold(2 * (i - _EDGE) + 1, len(source))]) * odd_gain + odd_offset
            halves[1, i] = level if value > level else value


@exact
def finite(row):
    """Whether all floating pixels of a row are finite."""
    worst = np.int32(0)
    for i in range(len(row)):
        size = _bits(row[i]) & _SIGNLESS
        worst = size if size > worst else worst
    return worst < _INFINITE


@inlined
def malvar(a, b, c, d, e, at, i):
    """Malvar, He and Cutler (2004) for the row `c`, its neighbours `a`, `b` above and `d`, `e` below.

    `at`: whether red or blue stands in the even (0) or odd (1) columns; `i`: the first of sixteen pairs of columns.
    The row's own colour, green and the third colour at the coloured sites, then at the green ones.

    Factors that are powers of two are fused with what follows, which changes no bit.
    """
    g, i = 1 - at, i + _EDGE
    left, right = i - 1 + at, i - at  # from a coloured site to green, from a green site to the colour
    c0, g0 = c[at], c[g]
    center, middle = load(c0, i), load(g0, i)
    ends = (load(c0, i - 1) + load(c0, i + 1)) + (load(a[at], i) + load(e[at], i))
    sides = (load(b[at], i) + load(d[at], i)) + (load(g0, left) + load(g0, left + 1))
    corners = ((load(b[g], left) + load(b[g], left + 1)) + load(d[g], left)) + load(d[g], left + 1)
    green_at_color = (fused(center, _FOUR, sides * _TWO) - ends) * _EIGHTH
    other_at_color = (fused(corners, _TWO, center * _SIX) - ends * _ONE_AND_A_HALF) * _EIGHTH
    across, along = load(g0, i - 1) + load(g0, i + 1), load(a[g], i) + load(e[g], i)
    diagonal = ((load(b[at], right) + load(b[at], right + 1)) + load(d[at], right)) + load(d[at], right + 1)
    common = middle * _FIVE - diagonal
    horizontal = load(c0, right) + load(c0, right + 1)
    vertical = load(b[g], i) + load(d[g], i)
    own_at_green = fused(along, _HALF, fused(horizontal, _FOUR, common) - across) * _EIGHTH
    other_at_green = fused(across, _HALF, fused(vertical, _FOUR, common) - along) * _EIGHTH
    return center, green_at_color, other_at_color, own_at_green, middle, other_at_green


@inlined
def bilinear(b, c, d, at, i):
    """The mean of the nearest neighbours for the row `c`; arguments and results as those of `malvar`."""
    g, i = 1 - at, i + _EDGE
    left, right = i - 1 + at, i - at
    center, middle = load(c[at], i), load(c[g], i)
    sides = ((load(b[at], i) + load(d[at], i)) + load(c[g], left)) + load(c[g], left + 1)
    corners = ((load(b[g], left) + load(b[g], left + 1)) + load(d[g], left)) + load(d[g], left + 1)
    own_at_green = (load(c[at], right) + load(c[at], right + 1)) * _HALF
    other_at_green = (load(b[g], i) + load(d[g], i)) * _HALF
    return center, sides * _QUARTER, corners * _QUARTER, own_at_green, middle, other_at_green


@exact
def menon_differences(ring, steps, y, at):
    """Colour minus green in row `y`, by the five-tap filter along the row and the column, and how much both change.

    Section II-A and the terms of II-C. `at` as in `malvar`; `steps`: the rings of all steps, by name.
    """
    n, g = steps.row.shape[1] - 2, 1 - at
    c = ring[y % _RING]
    center, before, behind = c[at, 1:], c[at], c[at, 2:]
    left, right = c[g, at:], c[g, 1 + at :]
    two_above, above = ring[(y - 2) % _RING, at, 1:], ring[(y - 1) % _RING, at, 1:]
    below, two_below = ring[(y + 1) % _RING, at, 1:], ring[(y + 2) % _RING, at, 1:]
    row, column = steps.row[y % _STEP_RING, 1:], steps.column[y % _STEP_RING, 1:]
    column_above, change = steps.column[(y - 2) % _STEP_RING, 1:], steps.column_change[(y - 2) % _STEP_RING, 1:]
    for i in range(n):
        own = (_TWO * center[i] - before[i]) - behind[i]
        row[i] = center[i] - ((left[i] + right[i]) * _HALF + own * _QUARTER)
        own = (_TWO * center[i] - two_above[i]) - two_below[i]
        column[i] = center[i] - ((above[i] + below[i]) * _HALF + own * _QUARTER)
        change[i] = abs(column_above[i] - column[i])
    row_change = steps.row_change[y % _STEP_RING, 1:]
    for i in range(n - 1):
        row_change[i] = abs(row[i] - row[i + 1])


@exact
def menon_decision(steps, y, at):
    """The difference of row `y` along the direction in which differences change less (section II-C)."""
    n, p = steps.row.shape[1] - 4, 2
    h, h_above, h_below = (
        steps.row_change[y % _STEP_RING, p - 1 :],
        steps.row_change[(y - 2) % _STEP_RING, p - 1 :],
        steps.row_change[(y + 2) % _STEP_RING, p - 1 :],
    )
    v, v_above = steps.column_change[y % _STEP_RING, p - 1 :], steps.column_change[(y - 2) % _STEP_RING, p - 1 :]
    corner = p - 1 + at  # in the rows between, which hold the other colour
    h_up, h_down = steps.row_change[(y - 1) % _STEP_RING, corner:], steps.row_change[(y + 1) % _STEP_RING, corner:]
    v_beside = steps.column_change[(y - 1) % _STEP_RING, corner:]
    row, column = steps.row[y % _STEP_RING, p:], steps.column[y % _STEP_RING, p:]
    along, chosen = steps.along_row[y % _STEP_RING, p:], steps.chosen[y % _STEP_RING, p:]
    for i in range(n):
        sides = ((h_above[i] + h_above[i + 1]) + h_below[i]) + h_below[i + 1]
        across = (_THREE * (h[i + 1] + h[i]) + sides) + (h_up[i] + h_down[i])
        sides = ((v_above[i] + v[i]) + v_above[i + 2]) + v[i + 2]
        down = (_THREE * (v[i + 1] + v_above[i + 1]) + sides) + (v_beside[i] + v_beside[i + 1])
        along_row, by_row, by_column = down >= across, row[i], column[i]
        along[i] = _f(1) if along_row else _f(0)
        chosen[i] = by_row if along_row else by_column


@exact
def menon_at_green(source, target, y, at, sign):
    """Red minus blue at the green sites of row `y`, from the differences `source` of the rows around.

    `sign`: 1 in rows with red, -1 in rows with blue.
    """
    n, p = source.shape[1] - 2, 1
    own, result = source[y % _STEP_RING, p - at :], target[y % _STEP_RING, p:]
    above, below = source[(y - 1) % _STEP_RING, p:], source[(y + 1) % _STEP_RING, p:]
    for i in range(n):
        result[i] = sign * ((own[i] + own[i + 1]) * _HALF - (above[i] + below[i]) * _HALF)


@exact
def menon_refined(steps, y, at):
    """The differences of row `y` again, as means of three sites along the direction; first red minus blue there."""
    n, p = steps.row.shape[1] - 4, 2
    d, above, below = (
        steps.chosen[y % _STEP_RING, p - 1 :],
        steps.chosen[(y - 2) % _STEP_RING, p:],
        steps.chosen[(y + 2) % _STEP_RING, p:],
    )
    s = steps.at_green[y % _STEP_RING, p - 1 + at :]
    s_above, s_below = steps.at_green[(y - 1) % _STEP_RING, p:], steps.at_green[(y + 1) % _STEP_RING, p:]
    along, refined, other = (
        steps.along_row[y % _STEP_RING, p:],
        steps.refined[y % _STEP_RING, p:],
        steps.other[y % _STEP_RING, p:],
    )
    for i in range(n):
        across = (d[i] + d[i + 1]) * _HALF + (d[i + 1] + d[i + 2]) * _HALF
        down = (above[i] + d[i + 1]) * _HALF + (d[i + 1] + below[i]) * _HALF
        refined[i] = (d[i + 1] + (across if along[i] > _f(0) else down)) / _THREE
        across, down = s[i] + s[i + 1], s_above[i] + s_below[i]
        other[i] = (across if along[i] > _f(0) else down) * _HALF


@exact
def menon_ahead(ring, steps, y, sites):
    """All steps as far as they go when row `y` is the last in the ring."""
    at = color_at(sites[0]), color_at(sites[1])
    sign = _f(1) if has_red(sites[0]) else _f(-1), _f(1) if has_red(sites[1]) else _f(-1)
    even, odd = y % 2, (y + 1) % 2
    menon_differences(ring, steps, y - 2, at[even])
    menon_decision(steps, y - 4, at[even])
    menon_at_green(steps.chosen, steps.at_green, y - 5, at[odd], sign[odd])
    menon_refined(steps, y - 6, at[even])
    menon_at_green(steps.refined, steps.refined_at_green, y - 7, at[odd], sign[odd])


@inlined
def menon(ring, steps, y, at, sign, i):
    """Menon, Andriani and Calvagno (2007) for the row `y`, when row `y` + 8 is the last; see `malvar`."""
    here, above, below, p = y % _STEP_RING, (y - 1) % _STEP_RING, (y + 1) % _STEP_RING, i + _EDGE
    center, middle = load(ring[y % _RING, at], p), load(ring[y % _RING, 1 - at], p)
    d, s = steps.refined[here], steps.refined_at_green[here]
    across = load(s, p - 1 + at) + load(s, p + at)
    down = load(steps.refined_at_green[above], p) + load(steps.refined_at_green[below], p)
    chosen = where_less(_f(0), load(steps.along_row[here], p), across, down)
    other_at_color = center - ((load(steps.other[here], p) + chosen) / _THREE) * sign
    own_at_green = middle + (load(d, p - at) + load(d, p - at + 1)) * _HALF
    other_at_green = middle + (load(steps.refined[above], p) + load(steps.refined[below], p)) * _HALF
    return center, center - load(d, p), other_at_color, own_at_green, middle, other_at_green


@exact
def lookup(line, table):
    """Codes looked up in a table, with interpolation, the last entry for all beyond."""
    last = len(table) - 1
    for i in range(len(line)):
        code = min(max(line[i], _f(0)), _f(last))
        below = int(code)
        low, high = table[below], table[min(below + 1, last)]
        line[i] = low + (code - _f(below)) * (high - low)


@inlined
def quintic(p, first, x):
    """A polynomial whose six numbers begin at the `first`."""
    high = fused(fused(fused(x, p[first + 5], p[first + 4]), x, p[first + 3]), x, p[first + 2])
    return fused(fused(high, x, p[first + 1]), x, p[first])


@inlined
def curved(value, p):
    """A transfer curve, odd about zero; see `curves.numbers` for `p`: 2**e m becomes 2**(power e) m**power."""
    slope, knee, size = p[1], p[2], size_of(value)
    above = most(size, knee)
    e = exponent(above) * p[0]
    whole = e + _MAGIC
    fraction = quintic(p, 10, e - (whole - _MAGIC))
    bent = signed(fused(quintic(p, 4, mantissa(above)), shifted(fraction, whole), p[3]), value)
    return where_less(size, knee, value * slope, where_less(size, _HUGE, bent, value))


@inlined
def encoded(value, p):
    """Codes of a transfer curve from -1 to 65536, half a code added; see `curves.code_numbers` for `p`.

    The straight part takes what lies below its end, the power what lies above. There are few powers of two between it
    and 1: their powers are picked from a table, or all come from one polynomial.
    """
    above = most(least(value, _BELOW_ONE), p[1])
    straight = most(least(value, p[1]), _f(0))
    if PICKS:
        scale = picked(p, 9, above)
    else:
        e = exponent(above)
        scale = fused(fused(quintic(p, 11, e), e, p[10]), e, p[9])
    return fused(straight, p[0], fused(quintic(p, 3, mantissa(above)), scale, p[2]))


@inlined
def changed(value, code, p, channel):
    """Sixteen pixels after an operation with the numbers `p`; `channel`: which per-site or per-plane one is theirs."""
    if code == AFFINE:
        return fused(value, p[channel], p[4 + channel])  # rounded once, as torch's addcmul
    if code == CLIP:
        return least(p[0], value)
    return curved(value, p)


@exact
def change(halves, sites, codes, parameters, table):
    """All operations in order on a row of the mosaic as `split` has it; `sites`: of its two halves."""
    for k in range(len(codes)):
        for j in range(2):
            line = halves[j]
            if codes[k] == TABLE:
                lookup(line, table)
                continue
            for i in range(0, len(line), LANES):
                store(line, i, changed(load(line, i), codes[k], parameters[k], sites[j]))


@inlined
def change_planes(r, g, b, codes, parameters):
    """Sixteen pixels of three planes after all operations."""
    for k in range(len(codes)):
        p = parameters[k]
        if codes[k] == MATRIX:
            red, green = fused(b, p[2], fused(g, p[1], r * p[0])), fused(b, p[5], fused(g, p[4], r * p[3]))
            r, g, b = red, green, fused(b, p[8], fused(g, p[7], r * p[6]))
        else:
            r, g, b = changed(r, codes[k], p, 0), changed(g, codes[k], p, 1), changed(b, codes[k], p, 2)
    return r, g, b


@inlined
def rounded(value):
    """Codes of 0..1 from 0 to 65535, half a code added, clipped."""
    return least(fused(most(value, _f(0)), _FULL, _HALF), _FULL)


@inlined
def put(even, odd, out, at, rest, spare):
    """Pairs of pixels from `at` on, where a row has `rest` more; `spare`: room for what stands beyond its end."""
    if rest >= 2 * LANES:
        store_pairs(out, at, even, odd)
    else:
        store_pairs(spare, 0, even, odd)
        for i in range(rest):
            out[at + i] = spare[i]


@inlined
def finish(even, odd, ops, encode, out, place, i, spare):
    """Change and store sixteen pairs of pixels, the `i`-th and following ones of a row; for uint16 as codes.

    `even`, `odd`: three planes each; `place`: of the row in `out`, of the next plane behind it, and the row's width;
    `spare`: see `put`.
    """
    r0, g0, b0 = change_planes(even[0], even[1], even[2], ops[0], ops[1])
    r1, g1, b1 = change_planes(odd[0], odd[1], odd[2], ops[0], ops[1])
    if out.itemsize == 2:
        if len(encode):  # all ahead of the first store, behind which LLVM would load the numbers again
            r0, g0, b0 = encoded(r0, encode), encoded(g0, encode), encoded(b0, encode)
            r1, g1, b1 = encoded(r1, encode), encoded(g1, encode), encoded(b1, encode)
        else:
            r0, g0, b0 = rounded(r0), rounded(g0), rounded(b0)
            r1, g1, b1 = rounded(r1), rounded(g1), rounded(b1)
    (row, plane, width), x = place, 2 * i
    put(r0, r1, out, row + x, width - x, spare)
    put(g0, g1, out, row + plane + x, width - x, spare)
    put(b0, b1, out, row + 2 * plane + x, width - x, spare)


@inlined
def finish_mosaic(halves, out, at, width, spare):
    """Store a row of the mosaic as `split` has it."""
    for i in range(0, (width + 1) // 2, LANES):
        even, odd = load(halves[0], _EDGE + i), load(halves[1], _EDGE + i)
        if out.itemsize == 2:
            even, odd = rounded(even), rounded(odd)
        put(even, odd, out, at + 2 * i, width - 2 * i, spare)


@exact
def color_at(sites):
    """Whether red or blue stands in the even (0) or the odd (1) columns of a row with these two sites."""
    return 1 if sites[0] == 1 or sites[0] == 2 else 0


@exact
def has_red(sites):
    """Whether a row with these two sites has red."""
    return min(sites[0], sites[1]) == 0


@njit(nogil=True, error_model="numpy")
def aligned(rows, n):
    """Zeros (rows, n), n rounded up to whole vectors, each of which lies in one line of the cache."""
    n = -(-n // LANES) * LANES
    memory = np.zeros(rows * n + LANES, np.float32)
    start = -(memory.ctypes.data // 4) % LANES
    return memory[start : start + rows * n].reshape(rows, n)


@njit(nogil=True, error_model="numpy")
def rings(width, method):
    """Empty rings for rows of this width: of the mosaic, and of Menon's steps."""
    length, rows = (width + 1) // 2 + 2 * _EDGE, _STEP_RING if method == MENON else 0
    ring = aligned(_RING * 2, length)
    return ring.reshape(_RING, 2, ring.shape[1]), Steps(
        aligned(rows, length),
        aligned(rows, length),
        aligned(rows, length),
        aligned(rows, length),
        aligned(rows, length),
        aligned(rows, length),
        aligned(rows, length),
        aligned(rows, length),
        aligned(rows, length),
        aligned(rows, length),
    )


def _developing(method: int) -> Any:
    """`develop_band` for a method: each is compiled when it is first used, without the others."""
    halo = {NONE: 0, BILINEAR: 1, MALVAR: 2, MENON: 8}[method]

    @entry
    def develop_band(source, stride, size, band, sites, first, site_ops, table, plane_ops, encode, out):
        (height, width), (top, bottom) = size, band
        ring, steps = rings(width, method)
        spare = np.empty(2 * LANES, out.dtype)
        gain, offset = np.empty((2, 2), np.float32), np.empty((2, 2), np.float32)
        for i in range(2):
            for j in range(2):
                gain[i, j], offset[i, j] = first[0][0, sites[i, j]], first[0][1, sites[i, j]]
        bad = 0
        for ahead in range(top - halo, bottom + halo):
            y = fold(ahead, height)
            row, halves = source[y * stride : y * stride + width], ring[ahead % _RING]
            if source.itemsize == 4 and out.itemsize == 2:
                bad += 0 if finite(row) else 1
            split(row, halves, gain[y % 2], offset[y % 2], first[1])
            change(halves, sites[y % 2], site_ops[0], site_ops[1], table)
            if method == MENON:
                menon_ahead(ring, steps, ahead, sites)
            y = ahead - halo
            if y < top:
                continue
            at = y * width
            if method == NONE:
                finish_mosaic(halves, out, at, width, spare)
                continue
            place = at, height * width, width
            column, redly = color_at(sites[y % 2]), has_red(sites[y % 2])
            b, c, d = ring[(y - 1) % _RING], ring[y % _RING], ring[(y + 1) % _RING]
            for i in range(0, (width + 1) // 2, LANES):
                if method == MALVAR:
                    six = malvar(ring[(y - 2) % _RING], b, c, d, ring[(y + 2) % _RING], column, i)
                elif method == BILINEAR:
                    six = bilinear(b, c, d, column, i)
                else:
                    six = menon(ring, steps, y, column, _f(1) if redly else _f(-1), i)
                at_color = (six[0], six[1], six[2]) if redly else (six[2], six[1], six[0])
                at_green = (six[3], six[4], six[5]) if redly else (six[5], six[4], six[3])
                even, odd = (at_color, at_green) if column == 0 else (at_green, at_color)
                finish(even, odd, plane_ops, encode, out, place, i, spare)
        return bad

    return develop_band


develop_band = {method: _developing(method) for method in (NONE, BILINEAR, MALVAR, MENON)}
"""Develop the rows `band` of a mosaic into planes, or with method NONE into a mosaic; how many rows aren't finite.

Args:
    source: pixels from the first to the last of the picture, one after another, rows `stride` apart.
    stride: see there.
    size: height and width.
    band: first row, and the one behind the last.
    sites: the site in each place of the 2x2 cell, 0 R, 1 Gr, 2 Gb, 3 B (2, 2).
    first: gain and offset per site (2, 4), and the level to clip at: what is done first.
    site_ops: more operations on the mosaic: their codes (n) and numbers (n, PARAMETERS).
    table: of the TABLE among them.
    plane_ops: operations on the planes, likewise.
    encode: numbers of a curve that is put on while storing 16 bits; empty for none.
    out: float32 or uint16 pixels, plane by plane, without gaps.
"""


@entry
def change_band(source, strides, size, band, ops, encode, out):
    """Change the rows `band` of three planes; how many of their rows aren't finite.

    Arguments as those of `develop_band`; `ops`: the planes'; `strides`: from plane to plane, and from row to row.
    """
    (height, width), (top, bottom) = size, band
    lines = aligned(3, -(-width // (2 * LANES)) * 2 * LANES)
    spare = np.empty(2 * LANES, out.dtype)
    bad = 0
    for y in range(top, bottom):
        for k in range(3):
            at = k * strides[0] + y * strides[1]
            line, row = lines[k], source[at : at + width]
            for x in range(width):
                line[x] = _f(row[x])
            if out.itemsize == 2:
                bad += 0 if finite(line) else 1
        place = y * width, height * width, width
        for i in range(0, (width + 1) // 2, LANES):
            red, green, blue = load_pairs(lines[0], 2 * i), load_pairs(lines[1], 2 * i), load_pairs(lines[2], 2 * i)
            even, odd = (red[0], green[0], blue[0]), (red[1], green[1], blue[1])
            finish(even, odd, ops, encode, out, place, i, spare)
    return bad
