"""`rawpipe stages`: what is installed."""

from __future__ import annotations

import argparse
from dataclasses import fields


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options: there are none."""


def run(options: argparse.Namespace) -> int:
    """Print a table: name, spaces, parameters, where it comes from."""
    from rawpipe._registry import installed, load, provider

    rows = []
    for name in installed():
        kind = load(name)
        stage = kind()
        gives = stage.gives.label if stage.gives is not None else "same"
        values = ", ".join(f"{f.name}={getattr(stage, f.name)!r}" for f in fields(kind) if f.repr)
        rows.append((name, stage.takes.label, gives, values, provider(name), (kind.__doc__ or "").split("\n")[0]))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for name, takes, gives, values, source, text in rows:
        print(f"{name:{widths[0]}}  {takes:>{widths[1]}} -> {gives:{widths[2]}}  {text}")
        print(f"{'':{widths[0]}}  {source}" + (f"; {values}" if values else ""))
    return 0
