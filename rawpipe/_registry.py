"""Stages and enhancers by name, ours and third-party ones alike, found through entry points and imported when used."""

from __future__ import annotations

from functools import cache
from importlib.metadata import Distribution, EntryPoint, entry_points
from typing import Any

from rawpipe._errors import PipelineError, unknown

STAGES = "rawpipe.stages"
ENHANCERS = "rawpipe.enhancers"


@cache
def installed(group: str = STAGES) -> dict[str, EntryPoint]:
    """Entry points of a group by name, sorted; nothing is imported."""
    return {point.name: point for point in sorted(entry_points(group=group), key=lambda point: point.name)}


def load(name: str, group: str = STAGES) -> Any:
    """The class registered under a name.

    Raises:
        PipelineError: nothing has that name, or two packages do, or its module can't be imported.
    """
    points, kind = installed(group), group.rpartition(".")[2].removesuffix("s")
    if name not in points:
        raise PipelineError(unknown(kind, name, points) + f"; one of your own needs an entry point in {group}")
    claims = dict.fromkeys(point.value for point in entry_points(group=group) if point.name == name)
    if len(claims) > 1:
        raise PipelineError(f"got two {kind}s named {name!r}: {' and '.join(claims)}; uninstall or rename one")
    try:
        return points[name].load()
    except Exception as error:  # a plugin may raise whatever it likes while it is imported
        raise PipelineError(
            f"{kind} {name!r} is registered as {points[name].value}, which can't be imported: {error}"
        ) from error


def provider(name: str, group: str = STAGES) -> str:
    """Distribution and version that a name comes from, e.g. "rawpipe-isp 0.1.0"; "" if it isn't registered."""
    point = installed(group).get(name)
    return _said(point.dist) if point is not None and point.dist is not None else ""


@cache
def _said(distribution: Distribution) -> str:
    """Name and version; both parse the whole metadata, which takes longer than a small picture."""
    return f"{distribution.name} {distribution.version}"
