"""`rawpipe stages`: what is installed."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from typing import Any


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--names", action="store_true", help="only names and where they come from, at once")


def run(options: argparse.Namespace) -> int:
    """Print a table: name, spaces, parameters, where it comes from."""
    from rawpipe._registry import installed, load, provider

    if options.names:  # all else is in the stages themselves, which import torch
        width = max(map(len, installed()))
        for name in installed():
            print(f"{name:{width}}  {provider(name)}")
        return 0
    rows = []
    for name in installed():
        try:
            rows.append((name, *_described(load(name)), provider(name)))
        except Exception as error:  # a plugin that is broken must not hide the others
            print(
                f"warning: {name} from {provider(name) or 'an unknown package'} can't be used: {error}", file=sys.stderr
            )
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for name, takes, gives, values, text, source in rows:
        print(f"{name:{widths[0]}}  {takes:>{widths[1]}} -> {gives:{widths[2]}}  {text}")
        print(f"{'':{widths[0]}}  {source}" + (f"; {values}" if values else ""))
    return 0


def _described(kind: Any) -> tuple[str, str, str, str]:
    """Takes, gives, parameters with their defaults, and the first line of the docstring."""
    stage = kind()
    gives = stage.gives.label if stage.gives is not None else "same"
    values = ", ".join(f"{f.name}={getattr(stage, f.name)!r}" for f in fields(kind) if f.repr)
    return stage.takes.label, gives, values, (kind.__doc__ or "").split("\n")[0]
