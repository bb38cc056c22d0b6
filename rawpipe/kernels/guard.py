"""The guard, as Numba compiles it: changes held to what noise explains, tile by tile in the second-level cache.

The order of all sums is that of the reference, `rawpipe.stages.enhance.limits`: neighbours two by two, and so on, so
that a result doesn't depend on the tile that it is computed in.

All compiled code that `guard_band` calls stands in this file: Numba's cache looks at one file's date.
"""

from __future__ import annotations

import math

import numpy as np

from rawpipe.kernels.lines import entry, exact

_ROWS, _COLUMNS = 128, 256  # of a tile: with what lies around it, four buffers are 1 MB
_f = np.float32
_ZERO = _f(0)


@exact
def _add(line, other):
    for j in range(len(line)):
        line[j] += other[j]


@exact
def _sum_down(lines, radius, count, width):
    """In place the sums of 2 x radius lines from each of the first `count` lines on."""
    step, length = 1, count + 2 * radius - 1
    while step <= radius:
        length -= step
        for i in range(length):
            _add(lines[i, :width], lines[i + step, :width])
        step *= 2


@exact
def _sum_pairs(source, target, ahead):
    for j in range(len(target)):
        target[j] = source[j] + ahead[j]


@exact
def _sum_along(line, first, second, radius, sums):
    """The sums of 2 x radius + 1 pixels from each on; two lines to work with."""
    step, length = 1, len(sums) + 2 * radius - 1
    source, target, spare = line, first, second
    while step <= radius:
        length -= step
        _sum_pairs(source, target[:length], source[step:])
        source, target, spare = target, spare, target
        step *= 2
    _sum_pairs(source, sums, line[2 * radius :])


@exact
def _differences(plane, result, change, light):
    for j in range(len(plane)):
        change[j] = plane[j] - result[j]
        light[j] = result[j] if result[j] > _ZERO else _ZERO


@exact
def _complete(sums, plane, result, light, weight):
    """The last line of a sum downwards, and the line's weight: of changes, and of light with the weight squared."""
    squared = weight * weight
    for j in range(len(sums)):
        sums[j] = (sums[j] + (plane[j] - result[j])) * weight
        last = result[j] if result[j] > _ZERO else _ZERO
        light[j] = (light[j] + last) * squared


@exact
def _hold(result, change, variance, columns, row, noise, sigmas):
    """Give back what a mean changed beyond its limit."""
    shot, read, of_rows = noise[0], noise[1], noise[2]
    for j in range(len(result)):
        mean, share = change[j] * columns[j], columns[j]
        limit = sigmas * _f(math.sqrt(variance[j] * (shot * (share * share)) + row * (read * share + of_rows)))
        held = limit if mean > limit else mean
        held = -limit if held < -limit else held
        result[j] += mean - held


@exact
def _hold_pixels(plane, result, out, noise, sigmas):
    """Give back what pixels changed beyond theirs."""
    shot, rest = noise[0], noise[1] + noise[2]
    for j in range(len(out)):
        change = plane[j] - result[j]
        light = result[j] if result[j] > _ZERO else _ZERO
        limit = sigmas * _f(math.sqrt(shot * light + rest))
        held = limit if change > limit else change
        held = -limit if held < -limit else held
        out[j] = result[j] + (change - held)


@exact
def _shares(start, radius, length, shares):
    """One over the number of pixels within the radius, inside 0..length-1, of each pixel from `start` on."""
    for j in range(len(shares)):
        at = start + j
        shares[j] = _f(1) / _f(min(at + radius, length - 1) - max(at - radius, 0) + 1)


@exact
def _mean_held(plane, result, work, extent, edge, place, size, radius, noise, sigmas):
    """One of the two means.

    Args:
        plane: the input, 0 outside the picture.
        result: changed in place, but for its outer edge + radius lines and columns.
        work: buffers of the same size for changes and light, and five lines.
        extent: lines and columns of the buffers that are used.
        edge: outer ones of these that aren't looked at any more.
        place: row and column in the picture of the first pixel that is.
        size: height and width of the picture.
        radius: of the mean.
        noise: variances: per signal, without light, of rows.
        sigmas: limit.
    """
    change, light, first, second, mean, variance, shares = work
    height, width = extent[0] - 2 * edge, extent[1] - 2 * edge
    count, columns = height - 2 * radius, width - 2 * radius
    begin, end = edge, edge + width
    for i in range(height):
        _differences(plane[edge + i, begin:end], result[edge + i, begin:end], change[i, :width], light[i, :width])
    _sum_down(change, radius, count, width)
    _sum_down(light, radius, count, width)
    left = place[1] + radius
    start, stop = max(-left, 0), min(size[1] - left, columns)  # what lies in the picture
    _shares(left, radius, size[1], shares[:columns])
    for i in range(count):
        y = place[0] + radius + i
        if not 0 <= y < size[0]:
            continue
        row = _f(1) / _f(min(y + radius, size[0] - 1) - max(y - radius, 0) + 1)
        last = edge + i + 2 * radius
        _complete(change[i, :width], plane[last, begin:end], result[last, begin:end], light[i, :width], row)
        _sum_along(change[i, :width], first, second, radius, mean[:columns])
        _sum_along(light[i, :width], first, second, radius, variance[:columns])
        target = result[edge + radius + i, edge + radius :]
        _hold(target[start:stop], mean[start:stop], variance[start:stop], shares[start:stop], row, noise, sigmas)


@exact
def _copy(source, target):
    for j in range(len(target)):
        target[j] = source[j]


@exact
def _fetch(source, stride, place, size, extent, target):
    """A part of the picture, 0 outside it."""
    start, stop = max(-place[1], 0), min(size[1] - place[1], extent[1])
    for i in range(extent[0]):
        y, line = place[0] + i, target[i, : extent[1]]
        for j in range(len(line)):
            line[j] = _ZERO
        if 0 <= y < size[0]:
            _copy(source[y * stride + place[1] + start :], line[start:stop])


@entry
def guard_band(planes, results, strides, size, band, radii, noise, sigmas, out):
    """Hold the rows `band` of a plane to the limits.

    Args:
        planes: pixels of the input from the first to the last, rows `strides[0]` apart.
        results: of the model, likewise, `strides[1]`.
        strides: see there.
        size: height and width.
        band: first row, and the one behind the last.
        radii: of the two means, powers of two.
        noise: variances: per signal, without light, of rows (3).
        sigmas: limits of the two means and of a pixel (3).
        out: float32 pixels of the result, without gaps.
    """
    halo = radii[0] + radii[1]
    shape = (_ROWS + 2 * halo, _COLUMNS + 2 * halo)
    plane, result = np.empty(shape, np.float32), np.empty(shape, np.float32)
    change, light, lines = np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty((5, shape[1]), np.float32)
    work = change, light, lines[0], lines[1], lines[2], lines[3], lines[4]
    for top in range(band[0], band[1], _ROWS):
        for left in range(0, size[1], _COLUMNS):
            rows, columns = min(_ROWS, band[1] - top), min(_COLUMNS, size[1] - left)
            extent = rows + 2 * halo, columns + 2 * halo
            y, x, inner = top - halo, left - halo, radii[0]
            _fetch(planes, strides[0], (y, x), size, extent, plane)
            _fetch(results, strides[1], (y, x), size, extent, result)
            _mean_held(plane, result, work, extent, 0, (y, x), size, radii[0], noise, sigmas[0])
            _mean_held(plane, result, work, extent, inner, (y + inner, x + inner), size, radii[1], noise, sigmas[1])
            for i in range(rows):
                at = (top + i) * size[1] + left
                known, held = plane[halo + i, halo:], result[halo + i, halo:]
                _hold_pixels(known, held, out[at : at + columns], noise, sigmas[2])
