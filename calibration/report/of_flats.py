"""The pictures of the flats of one ISO: photon transfer, levels held out, gain of every level, linearity."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rawpipe.calibration.levels import Blocks
from rawpipe.calibration.one_iso import IsoResult
from rawpipe.calibration.photon_transfer import Level, PhotonTransfer
from rawpipe.calibration.report.plot import CLASSES, SITES, Axis, Plot, key
from rawpipe.calibration.report.words import digits, mean

Doubles = NDArray[np.float64]

SITE_KEYS = "".join(key(css, name) for css, name in zip(CLASSES, SITES, strict=True))
_SHIFTS = (-6.0, -2.0, 2.0, 6.0)
_BLOCKS = 60  # blocks shown of each level and site


@dataclass(frozen=True)
class Picture:
    """A picture with its heading, legend and caption; `body` and `keys` are HTML, the others plain text."""

    title: str
    body: str
    keys: str
    caption: str
    wide: bool = False


def pictures(result: IsoResult) -> list[Picture]:
    """All pictures that the flats of one ISO allow."""
    out = []
    if result.transfer is not None and _seen(result.transfer.levels):
        out.append(photon_transfer(result, result.transfer))
        if any(np.isfinite(level.held_out).any() for level in result.transfer.levels):
            out.append(held_out(result.transfer.levels))
        if any(np.isfinite(level.gain).any() for level in result.transfer.levels):
            out.append(by_level(result.transfer))
        if (straight := linearity(result.levels)) is not None:
            out.append(straight)
    return out


def _seen(levels: Sequence[Level]) -> bool:
    return any(np.isfinite(level.mean_dn).any() for level in levels)


def photon_transfer(result: IsoResult, transfer: PhotonTransfer) -> Picture:
    """Noise against signal on logarithmic axes."""
    gain, floor2 = _numbers(transfer)
    signal = np.array([level.mean_dn for level in transfer.levels])
    variance, error = (
        np.array([getattr(level, name) for level in transfer.levels]) for name in ("variance_dn2", "error_dn2")
    )
    saturation, _ = mean(result.numbers.get("saturation_dn"))
    k, floor = _finite_mean(gain), math.sqrt(max(_finite_mean(floor2), 0.0))
    lowest = math.sqrt(max(float(np.nanmin(floor2)), floor**2 / 4)) if floor > 0 else 0.0
    right = saturation if math.isfinite(saturation) else float(np.nanmax(signal))
    left = min(float(np.nanmin(signal)) / 1.5, max(0.15 * floor**2 / k, 1e-4 * right) if k > 0 else right)
    x = Axis(max(left, 1e-3), right * 1.6, "signal above black, DN", True)
    y_low = lowest or math.sqrt(float(np.nanmin(variance)))
    top = math.sqrt(max(float(np.nanmax(variance)), k * right))
    plot = Plot(
        x,
        Axis(y_low / 1.9, top * 1.5, "noise σ, DN", True),
        f"Photon-transfer curve of ISO {result.iso:g}: noise against signal",
        height=372,
    )
    ramp = np.geomspace(x.low, right, 200)
    keys = SITE_KEYS
    if floor > 0:
        plot.across(floor, "floor")
        keys += key("floor", "without light")
        plot.say(x.low, lowest, f"read noise and rounding {digits(floor, 3)} DN", 8, 15)
    plot.upright(right, "edge")
    plot.say(right, plot.y.low, f"saturation {digits(right)} DN", -7, -9, "end")
    if k > 0:
        plot.line(ramp, np.sqrt(k * ramp), "shot")
        keys += key("shot", "√(K · signal)")
        plot.say(x.low, plot.y.high, f"K = {digits(k, 4)} DN/e⁻, the sites' mean", 12, 22)
    for s, css in enumerate(CLASSES):
        for blocks in result.levels:
            some = np.linspace(0, len(blocks.mean_dn[s]) - 1, min(_BLOCKS, len(blocks.mean_dn[s]))).astype(int)
            plot.dots(blocks.mean_dn[s][some], np.sqrt(blocks.variance_dn2[s][some]), css)
    for s, css in enumerate(CLASSES):
        plot.line(ramp, np.sqrt(np.maximum(floor2[s] + gain[s] * ramp, 0)), css)
    for s, css in enumerate(CLASSES):
        reach = 1.96 * error[:, s]
        sigma = np.sqrt(variance[:, s])
        ends = np.sqrt(np.maximum(variance[:, s] - reach, 0)), np.sqrt(variance[:, s] + reach)
        texts = [
            f"{SITES[s]} at {digits(a)} DN: σ {digits(b)} DN, variance {digits(b * b)} ± {digits(r, 2)} DN²"
            for a, b, r in zip(signal[:, s], sigma, reach, strict=True)
        ]
        plot.points(signal[:, s], sigma, css, ends, texts, hollow=(np.array(_weights(transfer, s)) < 0.5).tolist())
    return Picture(
        "Photon transfer",
        plot.svg(),
        keys,
        "Points: light levels with 95 % intervals, often smaller than the point; hollow where the robust fit gave a "
        "level less than half its weight. Dots: single blocks. Lines: the fit, K · signal + variance without light.",
    )


def _finite_mean(values: Doubles) -> float:
    """The mean of the finite values, 0 if there are none."""
    return float(values[np.isfinite(values)].mean()) if np.isfinite(values).any() else 0.0


def _numbers(transfer: PhotonTransfer) -> tuple[Doubles, Doubles]:
    """Gain and variance without light per site; NaN where unknown."""
    value = transfer.gain_dn_per_e.value
    gain = np.asarray(value, np.float64) if value is not None else np.full(4, math.nan)
    if value is None:  # each level alone still says something
        own = np.array([level.gain for level in transfer.levels])
        gain = np.array([np.median(c[np.isfinite(c)]) if np.isfinite(c).any() else math.nan for c in own.T])
    return gain, np.asarray(transfer.dark_variance_dn2, np.float64)


def _weights(transfer: PhotonTransfer, s: int) -> list[float]:
    return [float(level.weight[s]) if np.isfinite(level.weight[s]) else 1.0 for level in transfer.levels]


def held_out(levels: Sequence[Level]) -> Picture:
    """Variance of every level, divided by what the fit to the others predicts."""
    signal, ratio, error = (
        np.array([getattr(level, name) for level in levels]) for name in ("mean_dn", "held_out", "held_out_se")
    )
    reach = 1.96 * error
    x = Axis.around(signal, "signal above black, DN", True)
    spread = float(np.nanmax(np.abs(ratio - 1) + reach, initial=0.01))
    plot = Plot(
        x, Axis(1 - 1.15 * spread, 1 + 1.15 * spread, "found / predicted variance"), "Held-out ratios", height=372
    )
    plot.across(1.0)
    for s, css in enumerate(CLASSES):
        texts = [
            f"{SITES[s]} at {digits(a)} DN: {r:.4f} ± {e:.4f}"
            for a, r, e in zip(signal[:, s], ratio[:, s], reach[:, s], strict=True)
        ]
        ends = ratio[:, s] - reach[:, s], ratio[:, s] + reach[:, s]
        plot.points(signal[:, s], ratio[:, s], css, ends, texts, shift=_SHIFTS[s])
    return Picture(
        "Levels held out of the fit",
        plot.svg(),
        SITE_KEYS,
        "Every level's variance, divided by what a fit to all the other levels predicts there, with 95 % intervals: "
        "one in twenty misses 1 by chance. A trend means nonlinearity, clipping or unsteady light.",
    )


def by_level(transfer: PhotonTransfer) -> Picture:
    """The gain that every level alone gives, beside the fit."""
    gain, _ = _numbers(transfer)
    signal, own, error = (
        np.array([getattr(level, name) for level in transfer.levels]) for name in ("mean_dn", "gain", "gain_se")
    )
    off, reach = 100 * (own / gain - 1), 196 * error / gain
    ends = (np.abs(off) + reach)[np.isfinite(off)]
    # A dim level's interval may be a hundred times as long as the others': it is cut off.
    top = 1.1 * max(min(float(ends.max()), 3 * float(np.median(ends))), float(np.nanmax(np.abs(off))), 0.2)
    x = Axis.around(signal, "signal above black, DN", True)
    plot = Plot(x, Axis(-top, top, "gain beside the fit, %"), "Gain of every level", height=372)
    plot.across(0.0)
    for s, css in enumerate(CLASSES):
        texts = [
            f"{SITES[s]} at {digits(a)} DN: K {digits(k)} DN/e⁻, {o:+.2f} % ± {r:.2f} %"
            for a, k, o, r in zip(signal[:, s], own[:, s], off[:, s], reach[:, s], strict=True)
        ]
        faint = (np.array(_weights(transfer, s)) < 0.5).tolist()
        bars = off[:, s] - reach[:, s], off[:, s] + reach[:, s]
        plot.points(signal[:, s], off[:, s], css, bars, texts, faint, _SHIFTS[s])
    return Picture(
        "Gain of every level",
        plot.svg(),
        SITE_KEYS,
        "K from one level and the dark level alone, beside the fit to all, with 95 % intervals. Dim levels say little. "
        "A slow fall towards saturation is charge that neighbours share; a sudden one is clipping.",
    )


def linearity(levels: Sequence[Blocks]) -> Picture | None:
    """How far signal is from proportional to exposure time; None unless three times are known."""
    known = [one for one in levels if one.exposure_s and all(len(m) for m in one.mean_dn)]
    time_s = np.array([one.exposure_s for one in known], np.float64)
    if len(set(time_s.tolist())) < 3:
        return None
    signal = np.array([[m.mean() / r.max() for m, r in zip(one.mean_dn, one.response, strict=True)] for one in known])
    slope = (time_s[:, None] / signal).sum(axis=0) / np.square(time_s[:, None] / signal).sum(axis=0)
    percent = 100 * (signal / (slope * time_s[:, None]) - 1)
    reach = 1.15 * max(float(np.abs(percent).max()), 0.1)
    x = Axis.around(time_s, "exposure time, s", True)
    plot = Plot(x, Axis(-reach, reach, "signal beside the line, %"), "Linearity", height=372)
    plot.across(0.0)
    for s, css in enumerate(CLASSES):
        order = np.argsort(time_s)
        plot.line(time_s[order], percent[order, s], f"{css} thin")
        texts = [f"{SITES[s]} at {digits(t)} s: {p:+.2f} %" for t, p in zip(time_s, percent[:, s], strict=True)]
        plot.points(time_s, percent[:, s], css, texts=texts)
    return Picture(
        "Linearity",
        plot.svg(),
        SITE_KEYS,
        "Mean signal against a line through zero over exposure time. It shows the sensor only if light and aperture "
        "stayed the same; an error of the black level bends the left end.",
    )
