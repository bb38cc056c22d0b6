"""Rows of pixels, as Numba compiles them: load, change site by site, demosaic, change plane by plane, store.

A thread takes a band of rows and keeps a ring of the last mosaic rows in its cache, each split into its even and its
odd columns, so that every neighbour of a site stands at a constant distance and LLVM makes vectors of all loops.
Demosaicing does the operations of the torch reference in their order, so the bits are the same; no flag here lets the
compiler drop NaN or infinity, and only changes of pixels by themselves may be contracted to fused multiply-adds.

All compiled code that the entries call stands in this file: Numba's cache looks at one file's date.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

AFFINE, CLIP, MATRIX, CURVE, TABLE = range(5)
NONE, BILINEAR, MALVAR, MENON = range(4)
PARAMETERS = 16
"""Numbers that an operation has room for."""

_VECTOR = 16  # pixels, 64 bytes: what doesn't start at a multiple of it is moved in two parts, a third slower
_EDGE = _VECTOR  # mirrored pairs of columns on either side of a row in the ring: Menon's steps use 7
_RING = 9  # rows of the mosaic: Menon's last step is 8 behind the newest
_STEP_RING = 5  # rows of each of its steps
Array = np.ndarray[Any, np.dtype[np.float32]]
_f = np.float32
_HALF, _EIGHTH, _QUARTER, _ONE_AND_A_HALF = _f(0.5), _f(0.125), _f(0.25), _f(1.5)
_TWO, _THREE, _FOUR, _FIVE, _SIX, _FULL = _f(2), _f(3), _f(4), _f(5), _f(6), _f(65535)
_HUGE, _MAGIC = _f(1e38), _f(1.5 * 2**23)  # added to a small number, its last bits are the rounded number
_MANTISSA, _ONE, _EXPONENT = np.int32(0x7FFFFF), np.int32(0x3F800000), np.int32(23)
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
entry = njit(nogil=True, error_model="numpy", cache=True)


@intrinsic
def _bits(typing: Any, value: Any) -> Any:
    """The bits of a float32 as int32."""
    return types.int32(types.float32), lambda context, builder, _, args: builder.bitcast(
        args[0], context.get_value_type(types.int32)
    )


@intrinsic
def _float(typing: Any, value: Any) -> Any:
    """The float32 whose bits an int32 has."""
    return types.float32(types.int32), lambda context, builder, _, args: builder.bitcast(
        args[0], context.get_value_type(types.float32)
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


@exact
def load(source, halves):
    """A row of the mosaic as its even and its odd columns (2, n), with mirrored columns around."""
    even, odd = halves[0, _EDGE:], halves[1, _EDGE:]
    for i in range(len(source) // 2):
        even[i] = _f(source[2 * i])
        odd[i] = _f(source[2 * i + 1])
    for side in _edges(len(source), halves.shape[1]):
        for i in range(side[0], side[1]):
            halves[0, i] = _f(source[fold(2 * (i - _EDGE), len(source))])
            halves[1, i] = _f(source[fold(2 * (i - _EDGE) + 1, len(source))])


@contracted
def load_changed(source, halves, gain, offset, level):
    """`load`, times a gain, plus an offset, at most a level; gain and offset of the even and the odd columns (2)."""
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


@exact
def put(plane, i, even, at_color, at_green):
    """The two pixels of pair `i`: the coloured site stands first where it is in the even columns."""
    plane[2 * i] = at_color if even else at_green
    plane[2 * i + 1] = at_green if even else at_color


@exact
def malvar(a, b, c, d, e, at, own, green, other):
    """Malvar, He and Cutler (2004) for the row `c`, its neighbours `a`, `b` above and `d`, `e` below.

    `at`: whether red or blue stands in the even (0) or odd (1) columns; `own`, `green`, `other`: the row's planes,
    of the colour that stands in it, green, and the third.
    """
    n, g, p = len(green) // 2, 1 - at, _EDGE
    left, right = p - 1 + at, p - at  # from a coloured site to green, from a green site to the colour
    c_2, c0, c2 = a[at, p:], c[at, p - 1 :], e[at, p:]
    g_2, g0, g2 = a[g, p:], c[g, p - 1 :], e[g, p:]
    green_above, green_below = b[at, p:], d[at, p:]
    other_above, other_below = b[g, p:], d[g, p:]
    green_beside, own_beside = c[g, left:], c[at, right:]
    other_up, other_down = b[g, left:], d[g, left:]
    green_up, green_down = b[at, right:], d[at, right:]
    even = at == 0
    for i in range(n):
        center = c0[i + 1]
        ends = (c0[i] + c0[i + 2]) + (c_2[i] + c2[i])
        sides = (green_above[i] + green_below[i]) + (green_beside[i] + green_beside[i + 1])
        corners = ((other_up[i] + other_up[i + 1]) + other_down[i]) + other_down[i + 1]
        green_at_color = (_FOUR * center + _TWO * sides - ends) * _EIGHTH
        other_at_color = (_SIX * center + _TWO * corners - _ONE_AND_A_HALF * ends) * _EIGHTH
        middle = g0[i + 1]
        across, along = g0[i] + g0[i + 2], g_2[i] + g2[i]
        diagonal = ((green_up[i] + green_up[i + 1]) + green_down[i]) + green_down[i + 1]
        common = _FIVE * middle - diagonal
        horizontal = own_beside[i] + own_beside[i + 1]
        vertical = other_above[i] + other_below[i]
        own_at_green = (common + _FOUR * horizontal - across + along * _HALF) * _EIGHTH
        other_at_green = (common + _FOUR * vertical - along + across * _HALF) * _EIGHTH
        put(own, i, even, center, own_at_green)
        put(green, i, even, green_at_color, middle)
        put(other, i, even, other_at_color, other_at_green)


@exact
def bilinear(b, c, d, at, own, green, other):
    """The mean of the nearest neighbours for the row `c`; arguments as those of `malvar`."""
    n, g, p = len(green) // 2, 1 - at, _EDGE
    left, right = p - 1 + at, p - at
    colors, greens = c[at, p:], c[g, p:]
    green_above, green_below = b[at, p:], d[at, p:]
    other_above, other_below = b[g, p:], d[g, p:]
    green_beside, own_beside = c[g, left:], c[at, right:]
    other_up, other_down = b[g, left:], d[g, left:]
    even = at == 0
    for i in range(n):
        center, middle = colors[i], greens[i]
        green_at_color = (((green_above[i] + green_below[i]) + green_beside[i]) + green_beside[i + 1]) * _QUARTER
        corners = ((other_up[i] + other_up[i + 1]) + other_down[i]) + other_down[i + 1]
        other_at_color = corners * _QUARTER
        own_at_green = (own_beside[i] + own_beside[i + 1]) * _HALF
        other_at_green = (other_above[i] + other_below[i]) * _HALF
        put(own, i, even, center, own_at_green)
        put(green, i, even, green_at_color, middle)
        put(other, i, even, other_at_color, other_at_green)


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


@exact
def menon(ring, steps, y, at, sign, own, green, other):
    """Menon, Andriani and Calvagno (2007) for the row `y`, when row `y` + 8 is the last; arguments as of `malvar`."""
    n, g, p = len(green) // 2, 1 - at, _EDGE
    c = ring[y % _RING]
    colors, greens = c[at, p:], c[g, p:]
    d, above, below = (
        steps.refined[y % _STEP_RING, p:],
        steps.refined[(y - 1) % _STEP_RING, p:],
        steps.refined[(y + 1) % _STEP_RING, p:],
    )
    d_beside = steps.refined[y % _STEP_RING, p - at :]
    s = steps.refined_at_green[y % _STEP_RING, p - 1 + at :]
    s_above, s_below = (
        steps.refined_at_green[(y - 1) % _STEP_RING, p:],
        steps.refined_at_green[(y + 1) % _STEP_RING, p:],
    )
    along, first = steps.along_row[y % _STEP_RING, p:], steps.other[y % _STEP_RING, p:]
    even = at == 0
    for i in range(n):
        center, middle = colors[i], greens[i]
        across, down = s[i] + s[i + 1], s_above[i] + s_below[i]
        other_at_color = center - sign * ((first[i] + (across if along[i] > _f(0) else down)) / _THREE)
        green_at_color = center - d[i]
        own_at_green = middle + (d_beside[i] + d_beside[i + 1]) * _HALF
        other_at_green = middle + (above[i] + below[i]) * _HALF
        put(own, i, even, center, own_at_green)
        put(green, i, even, green_at_color, middle)
        put(other, i, even, other_at_color, other_at_green)


@contracted
def affine(line, gain, offset):
    """A line times a gain, plus an offset, rounded once, as torch's addcmul."""
    for i in range(len(line)):
        line[i] = line[i] * gain + offset


@exact
def clip(line, level):
    """The smaller of a line and a level."""
    for i in range(len(line)):
        line[i] = level if line[i] > level else line[i]


@contracted
def matrix(r, g, b, m):
    """Three lines mixed by the nine numbers of a matrix."""
    a00, a01, a02, a10, a11, a12, a20, a21, a22 = m[0], m[1], m[2], m[3], m[4], m[5], m[6], m[7], m[8]
    for i in range(len(r)):
        red, green, blue = r[i], g[i], b[i]
        r[i] = a00 * red + a01 * green + a02 * blue
        g[i] = a10 * red + a11 * green + a12 * blue
        b[i] = a20 * red + a21 * green + a22 * blue


@exact
def lookup(line, table):
    """Codes looked up in a table, with interpolation, the last entry for all beyond."""
    last = len(table) - 1
    for i in range(len(line)):
        code = min(max(line[i], _f(0)), _f(last))
        below = int(code)
        low, high = table[below], table[min(below + 1, last)]
        line[i] = low + (code - _f(below)) * (high - low)


@contracted
def _power(size, p):
    """`size`, positive and finite, to a power, times a factor, plus an offset: 2**e m becomes 2**(power e) m**power."""
    bits = _bits(size)
    e = _f(np.int32(np.int32(bits - _ONE) >> _EXPONENT)) * p[0]  # or Numba counts in 64 bits, half as many at once
    m = _float((bits & _MANTISSA) | _ONE)
    rounded = e + _MAGIC
    f = e - (rounded - _MAGIC)
    mantissa = ((((p[9] * m + p[8]) * m + p[7]) * m + p[6]) * m + p[5]) * m + p[4]
    fraction = ((((p[15] * f + p[14]) * f + p[13]) * f + p[12]) * f + p[11]) * f + p[10]
    return mantissa * _float(_bits(fraction) + (_bits(rounded) << _EXPONENT)) + p[3]


@contracted
def curve(line, p):
    """A transfer curve, odd about zero; see `curves.numbers` for `p`."""
    slope, knee = p[1], p[2]
    for i in range(len(line)):
        value = line[i]
        size = abs(value)
        encoded = _power(knee if size < knee else size, p)
        encoded = encoded if value > _f(0) else -encoded
        encoded = encoded if size < _HUGE else value
        line[i] = value * slope if size < knee else encoded


@contracted
def store(line, out):
    """A line as it is, or for uint16 from 0..1 as codes from 0 to 65535, rounded and clipped."""
    if out.itemsize == 2:
        for i in range(len(out)):
            code = (line[i] if line[i] > _f(0) else _f(0)) * _FULL + _HALF
            out[i] = np.uint16(np.int32(code if code < _FULL else _FULL))
    else:
        for i in range(len(out)):
            out[i] = line[i]


@contracted
def store_encoded(line, out, p):
    """`curve` and `store` at once, for uint16. `p`: the curve's numbers, times 65535, half a code added."""
    slope, knee = p[1], p[2]
    for i in range(len(out)):
        value = line[i] if line[i] > _f(0) else _f(0)
        encoded = _power(knee if value < knee else value, p)
        code = value * slope + _HALF if value < knee else encoded
        out[i] = np.uint16(np.int32(code if code < _FULL else _FULL))


@exact
def change(lines, channels, codes, parameters, table):
    """All operations in order on lines of one row; `channels`: of each line, which per-site or per-plane number."""
    for k in range(len(codes)):
        p = parameters[k]
        if codes[k] == MATRIX:
            matrix(lines[0], lines[1], lines[2], p)
            continue
        for j in range(len(lines)):
            if codes[k] == AFFINE:
                affine(lines[j], p[channels[j]], p[4 + channels[j]])
            elif codes[k] == CLIP:
                clip(lines[j], p[0])
            elif codes[k] == CURVE:
                curve(lines[j], p)
            else:
                lookup(lines[j], table)


@exact
def store_all(lines, out, at, plane, width, encode):
    """The lines of three planes into their places, the first at `at`, the others `plane` pixels on each."""
    for k in range(3):
        target = out[k * plane + at : k * plane + at + width]
        if len(encode):
            store_encoded(lines[k], target, encode)
        else:
            store(lines[k], target)


@exact
def color_at(sites):
    """Whether red or blue stands in the even (0) or the odd (1) columns of a row with these two sites."""
    return 1 if sites[0] == 1 or sites[0] == 2 else 0


@exact
def has_red(sites):
    """Whether a row with these two sites has red."""
    return min(sites[0], sites[1]) == 0


@exact
def halo_of(method):
    """Rows above and below that a method looks at."""
    if method == NONE:
        return 0
    return 1 if method == BILINEAR else 2 if method == MALVAR else 8


@exact
def demosaic_row(ring, steps, y, sites, method, red, green, blue):
    """The three planes of row `y` from a ring that holds its neighbours; `sites`: the two of this row."""
    at, redly = color_at(sites), has_red(sites)
    own, other = (red, blue) if redly else (blue, red)
    b, c, d = ring[(y - 1) % _RING], ring[y % _RING], ring[(y + 1) % _RING]
    if method == BILINEAR:
        bilinear(b, c, d, at, own, green, other)
    elif method == MALVAR:
        malvar(ring[(y - 2) % _RING], b, c, d, ring[(y + 2) % _RING], at, own, green, other)
    else:
        menon(ring, steps, y, at, _f(1) if redly else _f(-1), own, green, other)


@njit(nogil=True, error_model="numpy")
def aligned(rows, n):
    """Zeros (rows, n), n rounded up to whole vectors, each of which lies in one line of the cache."""
    n = -(-n // _VECTOR) * _VECTOR
    memory = np.zeros(rows * n + _VECTOR, np.float32)
    start = -(memory.ctypes.data // 4) % _VECTOR
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


@entry
def demosaic_band(source, stride, size, band, sites, method, out):
    """Demosaic the rows `band` of a mosaic.

    Args:
        source: pixels from the first to the last of the picture, one after another, rows `stride` apart.
        stride: see there.
        size: height and width.
        band: first row, and the one behind the last.
        sites: the site in each place of the 2x2 cell, 0 R, 1 Gr, 2 Gb, 3 B (2, 2).
        method: BILINEAR, MALVAR or MENON.
        out: float32 pixels of the result, plane by plane, without gaps.
    """
    (height, width), (top, bottom) = size, band
    plane = height * width
    ring, steps = rings(width, method)
    lines = aligned(3, width)
    halo = halo_of(method)
    for ahead in range(top - halo, bottom + halo):
        y = fold(ahead, height)
        load(source[y * stride : y * stride + width], ring[ahead % _RING])
        if method == MENON:
            menon_ahead(ring, steps, ahead, sites)
        y = ahead - halo
        if y < top:
            continue
        r = y * width
        g, b = r + plane, r + 2 * plane
        if width % 2 == 0:
            planes = out[r : r + width], out[g : g + width], out[b : b + width]
            demosaic_row(ring, steps, y, sites[y % 2], method, planes[0], planes[1], planes[2])
        else:
            demosaic_row(ring, steps, y, sites[y % 2], method, lines[0], lines[1], lines[2])
            store(lines[0], out[r : r + width])
            store(lines[1], out[g : g + width])
            store(lines[2], out[b : b + width])


@entry
def develop_band(source, stride, size, band, sites, method, first, site_ops, table, plane_ops, encode, out):
    """Develop the rows `band` of a mosaic into planes, or with method NONE into a mosaic; how many rows aren't finite.

    Arguments as those of `demosaic_band`, and:
        first: gain and offset per site (2, 4), and the level to clip at: what is done while loading.
        site_ops: more operations on the mosaic: their codes (n) and numbers (n, PARAMETERS).
        table: of the TABLE among them.
        plane_ops: operations on the planes, likewise.
        encode: numbers of a curve that is put on while storing 16 bits; empty for none.
        out: float32 or uint16 pixels.
    """
    (height, width), (top, bottom) = size, band
    plane = height * width
    ring, steps = rings(width, method)
    lines = aligned(3, width)
    planes = np.array([0, 1, 2])
    halo = halo_of(method)
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
        load_changed(row, halves, gain[y % 2], offset[y % 2], first[1])
        change(halves, sites[y % 2], site_ops[0], site_ops[1], table)
        if method == MENON:
            menon_ahead(ring, steps, ahead, sites)
        y = ahead - halo
        if y < top:
            continue
        at = y * width
        if method == NONE:
            for i in range(width // 2 + width % 2):
                lines[0, 2 * i] = halves[0, _EDGE + i]
                lines[0, 2 * i + 1] = halves[1, _EDGE + i]
            store(lines[0], out[at : at + width])
            continue
        demosaic_row(ring, steps, y, sites[y % 2], method, lines[0], lines[1], lines[2])
        change(lines, planes, plane_ops[0], plane_ops[1], table)
        store_all(lines, out, at, plane, width, encode)
    return bad


@entry
def change_band(source, strides, size, band, ops, table, encode, out):
    """Change the rows `band` of three planes; how many of their rows aren't finite.

    Arguments as those of `develop_band`; `strides`: from plane to plane, and from row to row.
    """
    (height, width), (top, bottom) = size, band
    lines = aligned(3, width)
    planes = np.array([0, 1, 2])
    bad = 0
    for y in range(top, bottom):
        for k in range(3):
            at = k * strides[0] + y * strides[1]
            line, row = lines[k], source[at : at + width]
            for x in range(width):
                line[x] = _f(row[x])
            line[width:] = 0  # or it would grow from row to row
            if out.itemsize == 2:
                bad += 0 if finite(line) else 1
        change(lines, planes, ops[0], ops[1], table)
        store_all(lines, out, y * width, height * width, width, encode)
    return bad
