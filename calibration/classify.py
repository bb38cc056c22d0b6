"""Dark, flat, saturated or other: what a capture is, from its pixels and its exposure time, never from its name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rawpipe.calibration.statistics import Array, Statistics

# A dark lies this near black: its own sigma, this share of the range, or this many DN, whichever is most. Black tags
# are wrong by that much (a Canon 550D's by 8 DN of 13,000); a flat this dim would say nothing anyway.
_NEAR_SHARE, _NEAR_DN = 0.0025, 2.0
# Within a dark, parts and sites differ by less: by dark shading, and by tags that are wrong by site.
_EVEN_SHARE = 0.0005
# Above that, only the dark current of a long exposure lifts a dark: all sites alike, and never as far as this.
LONG_S, _LIFTED_SHARE = 1.0, 0.05
# Texture: structure of 4 pixels and more with this share of the signal as its rms, in this share of the tiles. In
# differences of pairs texture cancels as long as nothing moves, so this need not be strict.
_TEXTURE, _TEXTURED_TILES = 0.02, 0.05
# A light field is smooth if nine of ten tiles lie this near a polynomial of degree 4 in both directions.
_ROUGH, _DEGREE = 0.1, 4
CLIPPED_HIGH = 0.05  # a site with more pixels at saturation isn't used: the blocks that are left are a biased choice
CLIPPED_LOW = 0.002  # clipping this share at zero moves sigma by less than 1 %
_SATURATED = 0.5


@dataclass(frozen=True)
class Verdict:
    """What a capture is.

    Args:
        role: "dark", "flat", "saturated" or "other".
        why: the reason in words.
        sites: which sites, R, Gr, Gb, B, aren't clipped.
    """

    role: str
    why: str
    sites: tuple[bool, bool, bool, bool]


def classify(statistics: Statistics, black: Array, white: Array, exposure_s: float | None) -> Verdict:
    """The role of a capture.

    Args:
        statistics: of its pixels.
        black: black per site (4) in DN, good to about 0.25 % of the range.
        white: saturation per site (4) in DN.
        exposure_s: exposure time, None if unknown.
    """
    span = white - black
    good = (statistics.high <= CLIPPED_HIGH) & (statistics.low <= CLIPPED_LOW)
    sites = (bool(good[0]), bool(good[1]), bool(good[2]), bool(good[3]))
    level = statistics.mean - black
    if (statistics.high >= _SATURATED).all() and (level > 0.25 * span).all():
        return Verdict("saturated", "saturated everywhere", sites)
    uneven = float(np.maximum(np.maximum(statistics.noise, _EVEN_SHARE * span), _NEAR_DN).max())
    if (level <= np.maximum(uneven, _NEAR_SHARE * span)).all():
        return _dark_or_lit(statistics, level, uneven, sites, "at black")
    if (exposure_s or 0) >= LONG_S and (level < _LIFTED_SHARE * span).all():
        lifted = _dark_or_lit(statistics, level, max(uneven, 0.2 * level.mean()), sites, "lifted by dark current")
        if lifted.role == "dark":
            return lifted
    return _flat_or_textured(statistics, black, span, sites)


def _dark_or_lit(
    statistics: Statistics, level: Array, uneven: float, sites: tuple[bool, bool, bool, bool], why: str
) -> Verdict:
    """A dark has no light in it: its parts are alike, and so are its sites, where light has a colour.

    Args:
        statistics: of the capture.
        level: its mean above black per site (4) in DN.
        uneven: how far sites and parts may differ, in DN.
        sites: see `Verdict`.
        why: see `Verdict`.
    """
    means = statistics.tile_mean.reshape(4, -1)
    uneven += 5 * statistics.row_noise / statistics.tile**0.5
    low, high = np.quantile(means, (0.02, 0.98), axis=1)
    brightest = float((means.max(axis=1) - np.median(means, axis=1)).max())
    if (high - low > uneven).any() or brightest > 10 * uneven:
        return Verdict("other", f"nearly black, but with light in it: one part is {brightest:.3g} DN brighter", sites)
    if np.ptp(level) > uneven:
        return Verdict(
            "other", f"nearly black, with coloured light in it: sites differ by {np.ptp(level):.3g} DN", sites
        )
    return Verdict("dark", why, sites)


def _flat_or_textured(
    statistics: Statistics, black: Array, span: Array, sites: tuple[bool, bool, bool, bool]
) -> Verdict:
    seen = [site for site in range(4) if statistics.high[site] < _SATURATED]
    if not seen:
        seen = [int(np.argmin(statistics.high))]
    textured, rough = 0.0, 0.0
    for site in seen:
        signal = np.maximum(statistics.tile_mean[site] - black[site], 0.005 * span[site])
        textured = max(textured, _textured_tiles(statistics, site, signal))
        rough = max(rough, _roughness(statistics, site, signal))
    if textured > _TEXTURED_TILES:
        return Verdict("other", f"textured: {textured:.0%} of it shows detail, so it is a picture and no flat", sites)
    if rough > _ROUGH:
        return Verdict("other", f"not evenly lit: parts differ from a smooth field by {rough:.0%}", sites)
    if not any(sites):
        end = "saturation" if (statistics.high > CLIPPED_HIGH).all() else "zero"
        share = float((statistics.high if end == "saturation" else statistics.low).min())
        return Verdict("other", f"clipped: at least {share:.0%} of every site's pixels lie at {end}", sites)
    return Verdict("flat", "smooth", sites)


def _textured_tiles(statistics: Statistics, site: int, signal: Array) -> float:
    """Share of tiles whose structure is stronger than white noise makes it, and strong beside the signal."""
    fine, coarse = statistics.fine[site], statistics.coarse[site]
    cells = (statistics.tile // 4 - 1) ** 2
    structure = np.maximum(coarse - fine, 0) / 16
    visible = coarse > (1 + 4 * np.sqrt(2 / cells)) * fine
    return float((visible & (structure > (_TEXTURE * signal) ** 2)).mean())


def _roughness(statistics: Statistics, site: int, signal: Array) -> float:
    """How far nine of ten tiles are from a smooth field at most, as a share of the signal; noise taken off."""
    down, across = signal.shape
    y, x = np.meshgrid(np.linspace(-1, 1, down), np.linspace(-1, 1, across), indexing="ij")
    degree = min(_DEGREE, down - 2, across - 2)
    powers = [y**i * x**j for i in range(degree + 1) for j in range(degree + 1 - i)]
    terms = np.stack([one.ravel() for one in powers], axis=1) if degree > 0 else np.ones((signal.size, 1))
    values, weight = signal.ravel().astype(np.float64), np.ones(signal.size)
    off = np.zeros_like(values)
    for _ in range(3):
        fit = terms @ np.linalg.lstsq(terms * weight[:, None], values * weight, rcond=None)[0]
        off = np.abs(values - fit) / np.maximum(fit, 0.1 * values.mean())
        weight = 1 / np.maximum(off, _ROUGH)
    size = statistics.tile
    noise = 3 * np.sqrt(np.median(statistics.fine[site]) / size**2 + statistics.row_noise**2 / size) / values.mean()
    return float(max(np.quantile(off, 0.9) - noise, 0.0))
