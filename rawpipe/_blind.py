"""Noise without a lab: what one photograph, or several of one camera and ISO, tell about the noise of their pixels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rawpipe import _blind_choice as choice
from rawpipe._blind_choice import Verdict
from rawpipe._blind_fit import Doubles, fit_pool
from rawpipe._blind_patches import Patches, patches_of
from rawpipe._errors import StageError
from rawpipe._frame import Frame, Space
from rawpipe._masked import MaskedBorder, masked_border
from rawpipe._quantity import Quantity
from rawpipe.noise_model import NoiseModel

_SHOWN = 0.02  # share of the picture where read noise is stronger than shot noise, for it to be measured
_PRECISE = 0.15  # relative standard error of read noise above which it isn't called reliable
_BORDER = 0.1  # how well the border's variance is that of the picture without light
_LEVELS = 1001
_STEPS = (64, 32, 16, 8, 4, 2)
_ON_THE_COMB = 0.999


@dataclass(frozen=True, eq=False, kw_only=True)
class BlindNoise:
    """Noise as photographs show it: an estimate, and how far to trust it. In DN above black; sites R, Gr, Gb, B.

    Args:
        model: the numbers to work with; where the pictures don't show read noise, what is usual at that gain.
        quantities: `gain_dn_per_e` and `read_sigma_dn` per site, `quantisation_step_dn`, `saturation_dn`; with a masked
            border `black_dn`, `row_sigma_dn` (an upper bound) and `column_fpn_dn`.
        doubts: bounds on the relative error of the gain, by what they come from.
        pictures: how many the numbers rest on.
    """

    model: NoiseModel
    quantities: Mapping[str, Quantity]
    doubts: Mapping[str, float]
    pictures: int

    @property
    def reliable(self) -> bool:
        """Whether the gain can be built on."""
        return self.quantities["gain_dn_per_e"].reliable

    @property
    def why(self) -> str | None:
        """Why the gain can't be built on; None if it can."""
        return None if self.reliable else self.quantities["gain_dn_per_e"].why


def blind_noise(frame: Frame) -> NoiseModel:
    """The noise of a photograph, from its own pixels; `source` says so, and whether it is reliable.

    Takes: SENSOR or MOSAIC, (..., H, W), before any denoising; a stack counts as pictures of one camera and ISO.

    Raises:
        StageError: it is no mosaic, too small, or clipped nearly everywhere.
    """
    return measure_blind([frame]).model


def measure_blind(frames: Iterable[Frame]) -> BlindNoise:
    """Gain and read noise from the smooth parts of photographs of one camera and ISO.

    Row noise and column patterns are left out of the read noise. Noise that a picture brought along, of a film scan for
    example, is taken for the sensor's. Defects are avoided.

    Args:
        frames: SENSOR or MOSAIC, (..., H, W), before any denoising; taken one after the other.

    Raises:
        StageError: there is none, one is no mosaic or too small, or all are clipped nearly everywhere.
    """
    return combine([seen for frame in frames for seen in look(frame)])


@dataclass(frozen=True, eq=False, kw_only=True)
class Seen:
    """What is kept of one picture.

    Args:
        frame: a corner of it.
        border: its masked border.
        step: between counts.
        verdict: what its patches say, None if all are clipped.
        range_dn: from black to where its counts end.
        saturation: where they end, per site.
        levels: of its unclipped patches, at equal shares of them.
    """

    frame: Frame
    border: MaskedBorder | None
    step: Quantity
    verdict: Verdict | None
    range_dn: float
    saturation: Quantity
    levels: Doubles


def look(frame: Frame) -> Iterator[Seen]:
    """Measure a photograph, or each of a stack. Raises as `measure_blind`."""
    if frame.cfa is None:
        raise StageError(f"got {frame.space.label}; expected a mosaic: demosaicing mixes the noise of pixels")
    border, step = masked_border(frame), count_step(frame)
    corner = replace(frame, data=frame.data[..., :2, :2].clone(), shot=replace(frame.shot, sensor=None))
    for data in frame.data.reshape(-1, frame.height, frame.width):
        patches = patches_of(replace(frame, data=data), None if border is None else np.array(_four(border.black_dn)))
        levels = patches.mean_dn[patches.usable].mean(axis=1)
        yield Seen(
            frame=corner,
            border=border,
            step=step,
            verdict=choice.judge(patches, _read2(border)),
            range_dn=float(patches.ceiling_dn.min()),
            saturation=_saturation(patches),
            levels=np.quantile(levels, np.linspace(0, 1, _LEVELS)) if len(levels) else np.zeros(0),
        )


def combine(seen: Sequence[Seen]) -> BlindNoise:
    """The estimate from what was seen of one camera at one ISO. Raises as `measure_blind`."""
    if not seen:
        raise StageError("got no picture; expected a photograph, or several of one camera and ISO")
    good = [(one, one.verdict) for one in seen if one.verdict is not None]
    if not good:
        raise StageError(
            f"got {len(seen)} picture(s) with hardly any pixels between black and white; give one that is better "
            "exposed, or a profile: `rawpipe calibrate CAPTURES`"
        )
    first = min(good, key=lambda pair: pair[1].doubt)[0]
    verdict, used = choice.together([verdict for _, verdict in good], _read2(first.border), first.range_dn)
    return _result(first, verdict, [good[i][0] for i in used])


def _read2(border: MaskedBorder | None) -> tuple[float, float] | None:
    """Variance of the border's pixels, and how well it is that of the picture without light; None: not known."""
    if border is None:
        return None
    variance = float(np.mean(np.square(_four(border.read_sigma_dn))))
    return variance, _BORDER * variance


def _result(first: Seen, verdict: Verdict, used: Sequence[Seen]) -> BlindNoise:
    shot, border = first.frame.shot, first.border
    step = float(first.step.value) if isinstance(first.step.value, float) else 1.0
    gain = _gain(verdict)
    read = _read(verdict, step, first, used)
    quantities = {
        "gain_dn_per_e": gain,
        "read_sigma_dn": read,
        "quantisation_step_dn": first.step,
        "saturation_dn": first.saturation,
    }
    pedestal = first.frame.pedestal.double().cpu().numpy()
    error, row = np.zeros(4), 0.0
    if border is not None:
        row = float(np.max(border.row_sigma_dn.value or 0.0))
        error = np.array(_four(border.black_dn)) - pedestal
        quantities |= {"black_dn": border.black_dn, "row_sigma_dn": border.row_sigma_dn}
        quantities["column_fpn_dn"] = border.column_fpn_dn
    source = "blind estimate from this picture" if len(used) == 1 else f"blind estimate from {len(used)} pictures"
    model = NoiseModel(
        gain_dn_per_e=_four(gain),
        read_sigma_dn=_four(read),
        row_sigma_dn=row,
        quantisation_step_dn=step,
        black_error_dn=error.tolist(),
        saturation_dn=_four(first.saturation),
        iso=shot.iso,
        camera=f"{shot.make} {shot.model}".strip(),
        source=source if verdict.reliable else f"{source}, unreliable: {verdict.why}",
    )
    return BlindNoise(model=model, quantities=quantities, doubts=verdict.doubts, pictures=len(used))


def _shrunk(ratio: Doubles, error: Doubles) -> Doubles:
    """Noise of each site against that of all, as far as their difference is more than scatter."""
    noise = float((error**2).mean())
    apart = max(float(ratio.var(ddof=1)) - noise, 0.0)
    return 1 + (ratio - 1) * apart / (apart + noise)


def _gain(verdict: Verdict) -> Quantity:
    fit = verdict.fit
    value = fit.gain * _shrunk(*fit.sites)
    scatter, doubt = 1.96 * fit.gain_error, min(verdict.doubt, 10.0)
    # What is left of the picture makes the gain too high, so the doubt reaches further down.
    low = value / (1 + max(scatter, 2 * doubt)) if verdict.reliable else 0 * value
    ends = tuple(zip(low.tolist(), (value * (1 + max(scatter, 0.7 * doubt))).tolist(), strict=True))
    why = None
    if not verdict.reliable:
        why = (
            f"the picture hides the noise, which is at most this: {verdict.why}; add pictures, or take darks and flats"
        )
    return Quantity(tuple(value.tolist()), ends, len(fit.pool), verdict.reliable, why)


def _read(verdict: Verdict, step: float, first: Seen, used: Sequence[Seen]) -> Quantity:
    """Read noise from the border, from dark parts of the pictures, or what it can be at most."""
    if first.border is not None:
        found = first.border.read_sigma_dn
        return replace(found, value=tuple(_without_step(sigma**2, step) for sigma in _four(found)))
    fit, n = verdict.fit, len(verdict.fit.pool)
    free = fit_pool(fit.pool, fit.parameters, (0.0, math.inf), first.range_dn)
    read2, error = float(free.parameters[1]), math.sqrt(max(float(free.covariance[1, 1]), 0.0))
    levels = np.concatenate([one.levels for one in used])
    share = float((fit.gain * levels < fit.parameters[1]).mean())
    low, high = _without_step(read2 - 1.96 * error, step), _without_step(read2 + 1.96 * error, step)
    if share >= _SHOWN and low > 0:
        why = verdict.why
        if why is None and error > 2 * _PRECISE * read2:
            why = f"known to no better than {_PRECISE:.0%}: few dark patches show it"
        return Quantity((_without_step(read2, step),) * 4, ((low, high),) * 4, n, why is None, why)
    usual = min(_without_step(float(fit.parameters[1]), step), high)
    why = (
        f"upper bound: it is stronger than shot noise in {share:.1%} of the picture, {_SHOWN:.0%} are needed; "
        "the value is what cameras of such a gain have. Take dark frames"
    )
    return Quantity((usual,) * 4, ((0.0, high),) * 4, n, False, why)


def _without_step(variance: float, step: float) -> float:
    """Standard deviation without that of rounding."""
    return math.sqrt(max(variance - step**2 / 12, 0.0))


def _four(quantity: Quantity) -> tuple[float, ...]:
    assert isinstance(quantity.value, tuple)
    return quantity.value


def _saturation(patches: Patches) -> Quantity:
    """Where counts end, above black: seen if pixels pile up there."""
    seen = bool(patches.clipped.all())
    why = None if seen else "not all sites clip: taken from the white level that the file states where they don't"
    return Quantity(tuple(patches.ceiling_dn.tolist()), None, 1, seen, why)


def count_step(frame: Frame) -> Quantity:
    """The step between counts, from the comb in their histogram: a 12-bit signal in a 14-bit file has step 4."""
    if frame.space is not Space.SENSOR:
        return Quantity(1.0, None, 0, False, "the pixels are no counts any more: one step is assumed")
    middle = max(frame.height // 2 - 64, 0)
    counts = np.rint(frame.data[..., middle : middle + 128, :].cpu().numpy()).astype(np.int64).ravel()
    if len(np.unique(counts)) < 8:
        return Quantity(1.0, None, counts.size, False, "fewer than eight counts occur: a step can't be seen")
    for step in _STEPS:
        if np.bincount(counts % step, minlength=step).max() >= _ON_THE_COMB * counts.size:
            return Quantity(float(step), None, counts.size)
    return Quantity(1.0, None, counts.size)
