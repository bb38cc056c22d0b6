"""The `rawpipe` command: one file per subcommand, each imported when it is called, torch only when it is needed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

COMMANDS = {
    "develop": "turn RAW files into DNG or TIFF",
    "info": "say what a RAW file holds",
    "stages": "list the stages that are installed",
    "demo": "make a noisy RAW from a rendered scene and develop it, stage by stage",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand; the answer is the exit status: 0 fine, 1 something failed, 2 wrong usage."""
    words = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="rawpipe", description="Composable camera-pipeline stages over RAW Bayer data."
    )
    parser.add_argument("--version", action="store_true", help="print the version and stop")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    called = next((word for word in words if word in COMMANDS), None)
    for name, text in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        if name == called:
            import_module(f"rawpipe.cli.{name}").arguments(subparser)
    options = parser.parse_args(words)
    if options.version:
        from rawpipe import __version__

        print(f"rawpipe {__version__}")
        return 0
    if options.command is None:
        parser.print_help()
        return 2
    try:
        return int(import_module(f"rawpipe.cli.{options.command}").run(options))
    except KeyboardInterrupt:
        print("stopped; no half-written file was left behind", file=sys.stderr)
        return 130
    except Exception as error:
        from rawpipe._errors import RawpipeError

        if not isinstance(error, RawpipeError):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1
