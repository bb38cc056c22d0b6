"""How stages come to the camera profile that they are told to use, or find by themselves."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from typing import TypeVar

from rawpipe._errors import ProfileError, RawpipeWarning, StageError
from rawpipe._frame import Frame
from rawpipe._profile import CameraProfile, camera_name

NONE = "none"
"""What "auto" becomes where there is no profile: a replay doesn't look again."""

T = TypeVar("T")


class Lacking(ProfileError):
    """A profile that is in order, but holds no such thing."""


def checked(profile: object) -> CameraProfile | str:
    """A stage's `profile`: "auto", "none", a `CameraProfile`, or the path of one as text.

    Raises:
        StageError: it is something else.
    """
    if isinstance(profile, CameraProfile):
        return profile
    if isinstance(profile, str | os.PathLike) and os.fspath(profile):
        return str(os.fspath(profile))
    raise StageError(f'got profile {profile!r}; expected "auto", the path of a profile, or a CameraProfile')


def use(
    profile: CameraProfile | str, frame: Frame, make: Callable[[CameraProfile], tuple[T, str]]
) -> tuple[T | None, CameraProfile | str, str]:
    """What `make` takes from a profile; the profile to note in the history; and a text on what it was.

    With "auto" there may be none, or one that lacks it: then nothing is taken, and the text says why. One that is
    damaged or doesn't fit the frame is also warned about.

    Args:
        profile: as `checked` gives it.
        frame: the frame, whose camera "auto" looks for.
        make: takes what is wanted, and says what it was; raises ProfileError where it isn't there.

    Raises:
        ProfileError: a profile that was named can't be used.
    """
    if profile == NONE:
        return None, NONE, ""
    found = profile
    if profile == "auto":
        shot = frame.shot
        search = CameraProfile.search(shot.make, shot.model, shot.serial) if shot.model else None
        if search is None:
            return None, NONE, f"nothing: there is no profile of {camera_name(shot.make, shot.model) or 'the camera'}"
        found = search
    elif isinstance(profile, str):
        found = CameraProfile.read(profile)
    assert isinstance(found, CameraProfile)
    try:
        taken, text = make(found)
    except ProfileError as error:
        if profile != "auto":
            raise
        if not isinstance(error, Lacking):
            warnings.warn(f"the profile isn't used: {error}", RawpipeWarning, 4)
        return None, NONE, f"nothing: {error}"
    return taken, str(found.path) if found.path is not None else found, text


def same_as_before(before: str, now: str) -> None:
    """See that a replay uses what the history says.

    Raises:
        ProfileError: it doesn't: the profile has changed since.
    """
    if before and before != now:
        raise ProfileError(
            f"got {now}; the history says {before}: the profile has changed since, calibrate or run anew"
        )
