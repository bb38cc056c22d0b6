"""Which shots are missing, and what each would bring, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from rawpipe.calibration.capture import Group

# A line through a few levels shows nothing of its own bend, and the upper end holds most of what tells the gain.
LEVELS, LOWEST, HIGHEST = 4, 0.05, 0.8
_NEARLY_LOWEST, _NEARLY_HIGHEST = 0.075, 0.7  # near enough not to ask for more
FEW_DARKS, MORE_DARKS, EMVA = 2, 8, 16
_GAP = 4.0  # two stops: between neighbouring ISOs nearer than this, gain is interpolated safely


def advice(groups: Sequence[Group]) -> Iterator[str]:
    """One sentence for every kind of shot that is missing, by ISO."""
    isos = sorted({group.iso for group in groups}, key=lambda iso: (iso is None, iso))
    for iso in isos:
        name = "ISO unknown" if iso is None else f"ISO {iso:g}"
        same = [group for group in groups if group.iso == iso]
        for sentence in (*_flats([one for one in same if one.role == "flat"]), *_darks(same)):
            yield f"{name}: {sentence}"
    known = [iso for iso in isos if iso is not None]
    for low, high in pairwise(known):
        if high / low > _GAP:
            yield (
                f"nothing between ISO {low:g} and {high:g}: what lies between is interpolated, and a change of gain "
                "there stays unseen; add darks and flats at every second stop"
            )


def _flats(flats: Sequence[Group]) -> Iterator[str]:
    if not flats:
        yield (
            f"no flats: gain, saturation in electrons and linearity stay unknown; add {LEVELS} levels or more from "
            f"{LOWEST:.0%} to {HIGHEST:.0%} of the range, two captures of each, of an even, steady light"
        )
        return
    if len(flats) < LEVELS:
        count = "one level" if len(flats) == 1 else f"{len(flats)} levels"
        yield f"flats of {count}: linearity can't be judged; add levels until there are {LEVELS}, better 8"
    lowest = min(float(group.captures[0].shares.min()) for group in flats)
    highest = max(float(group.captures[0].shares.max()) for group in flats)
    if lowest > _NEARLY_LOWEST:
        yield (
            f"the darkest flats lie at {lowest:.0%} of the range; add a pair near {LOWEST:.0%}, which ties the "
            "line to the read noise"
        )
    if highest < _NEARLY_HIGHEST:
        yield (
            f"the brightest flats lie at {highest:.0%} of the range; add a pair near {HIGHEST:.0%}, which gives "
            "the gain its precision and shows linearity up to saturation"
        )
    if not any(len(group) >= EMVA and 0.35 < group.level < 0.65 for group in flats):
        yield (
            f"fewer than {EMVA} flats at half of the range: non-uniformity is given from few captures, and not under "
            "EMVA 1288's name, PRNU"
        )


def _darks(same: Sequence[Group]) -> Iterator[str]:
    darks = [group for group in same if group.role == "dark"]
    good = [group for group in darks if group.doubt is None]
    if not darks:
        yield (
            f"no darks: black, read noise, row noise and hot pixels stay unknown; cap the lens, close the viewfinder, "
            f"and take {EMVA} at the shortest exposure"
        )
        return
    if not good:
        yield f"{darks[0].doubt}; record RAW files with a black level above zero for read noise"
        return
    most = max(len(group) for group in good)
    if most < FEW_DARKS:
        yield "one dark: row noise gets an upper bound only, fixed pattern counts as noise; add 15 of the same exposure"
    elif most < MORE_DARKS:
        yield (
            f"{most} darks: {MORE_DARKS} would halve the uncertainty of black and row noise and show dark shading, "
            f"{EMVA} give DSNU under EMVA 1288's name"
        )
    elif most < EMVA:
        yield f"{most} darks: {EMVA} would give DSNU under EMVA 1288's name"
    times = {group.exposure_s for group in darks if group.exposure_s is not None}
    if len(times) < 2:
        yield "darks of one exposure: dark current stays unknown; add two or more of 10 s or longer"
