"""The exceptions of rawpipe, one tree:

RawpipeError
├── FormatError      a file that can't be read or written
├── FrameError       a frame that contradicts itself
├── StageError       a stage that can't work on the frame it was given
├── PipelineError    stages that don't fit together, or a run that can't go on
│   └── Cancelled    a run that its host stopped
└── ProfileError     a camera profile that is missing, damaged or out of range

Every message says what was got, what was expected, and what to do.
"""

import difflib
from collections.abc import Iterable


class RawpipeError(Exception):
    """The root: `except RawpipeError` catches all that rawpipe raises on purpose."""


class FormatError(RawpipeError):
    """A file can't be read or written."""


class FrameError(RawpipeError):
    """A frame contradicts itself: shape, space, CFA or levels don't fit together."""


class StageError(RawpipeError):
    """A stage can't work on the frame it was given."""


class PipelineError(RawpipeError):
    """Stages don't fit together, or a run can't go on."""


class Cancelled(PipelineError):
    """The host set the cancel event; nothing was left behind."""


class ProfileError(RawpipeError):
    """A camera profile is missing, damaged, or asked for an ISO it can't answer."""


class RawpipeWarning(UserWarning):
    """Something was estimated, left out or clipped; the result stands, and the history says so."""


def unknown(kind: str, got: object, known: Iterable[object]) -> str:
    """The message for a name that isn't known: got, expected, and the nearest one."""
    names = {str(name).lower(): str(name) for name in known}
    near = difflib.get_close_matches(str(got).lower(), names, n=1)
    hint = f"; did you mean {names[near[0]]!r}?" if near else ""
    return f"got {kind} {got!r}; expected one of {', '.join(names.values())}{hint}"
