"""What the subcommands share: warnings as single lines, and progress bars that stay away from short work."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

_DELAY_S = 2.0


@contextmanager
def one_line_warnings(quiet: bool) -> Iterator[None]:
    """Show warnings as `warning: ...`, each once; none at all when quiet."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if quiet else "default")
        warnings.showwarning = _show
        yield


def _show(message: object, *_: object, **__: object) -> None:
    tqdm.write(f"warning: {message}", file=sys.stderr)


def progress_bar(total: float, text: str, unit: str, quiet: bool) -> tqdm[Any]:
    """A bar on stderr that shows up after two seconds."""
    form = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}" if unit == "%" else None
    return tqdm(
        total=total,
        desc=text,
        unit=unit,
        delay=_DELAY_S,
        disable=quiet or None,
        leave=False,
        bar_format=form,
        file=sys.stderr,
    )
