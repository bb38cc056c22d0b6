"""Which shots are missing, and what each would bring, in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import pairwise

from rawpipe.calibration.capture import Group

# A line through a few levels shows nothing of its own bend, and the upper end holds most of what tells the gain.
LEVELS, LOWEST, HIGHEST = 4, 0.05, 0.8
_NEARLY_LOWEST, _NEARLY_HIGHEST = 0.075, 0.7  # near enough not to ask for more
FEW_DARKS, MORE_DARKS, EMVA = 2, 8, 16
_GAP = 4.0  # two stops: between neighbouring ISOs nearer than this, gain is interpolated safely


def advice(groups: Sequence[Group]) -> Iterator[str]:
    """One sentence for every kind of shot that is missing, with the ISOs that miss it."""
    isos = sorted({group.iso for group in groups}, key=lambda iso: (iso is None, iso))
    missing: dict[str, list[str]] = defaultdict(list)
    for iso in isos:
        same = [group for group in groups if group.iso == iso]
        for sentence in (*_flats(same), *_darks(same)):
            missing[sentence].append("unknown" if iso is None else f"{iso:g}")
    for sentence, where in missing.items():
        yield f"ISO {', '.join(where)}: {sentence}"
    known = [iso for iso in isos if iso is not None]
    for low, high in pairwise(known):
        if high / low > _GAP:
            yield (
                f"nothing between ISO {low:g} and {high:g}: what lies between is interpolated, and a change of gain "
                "there stays unseen; add darks and flats at every second stop"
            )
    yield from _of_the_sensor(groups)


def _of_the_sensor(groups: Sequence[Group]) -> Iterator[str]:
    """What is needed at one ISO only."""
    flats = [group for group in groups if group.role == "flat"]
    if flats and not any(len(group) >= EMVA and 0.35 < group.level < 0.65 for group in flats):
        yield (
            f"no {EMVA} flats at half of the range, at any ISO: non-uniformity is given from fewer captures, and not "
            "under EMVA 1288's name, PRNU"
        )
    darks = [group for group in groups if group.role == "dark"]
    if darks and len({group.exposure_s for group in darks if group.exposure_s is not None}) < 2:
        yield "darks of one exposure: dark current stays unknown; add two or more of 10 s or longer, at one ISO"


def _flats(same: Sequence[Group]) -> Iterator[str]:
    flats = [group for group in same if group.role == "flat"]
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
    clipped = [group for group in flats if not all(group.sites)]
    if not clipped and not any(group.role == "saturated" and len(group) > 1 for group in same):
        yield (
            "no saturated flats: saturation is taken from the white level that the files state; add a pair, "
            "overexposed everywhere"
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
        wanted = "record RAW files of 10 bits or more, unfiltered, with a black level above zero"
        yield f"{darks[0].doubt}; {wanted}, for read noise"
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
