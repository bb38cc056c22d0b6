"""The `rawpipe` command: one file per subcommand, each imported when it is called, torch only when it is needed."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module

COMMANDS = {
    "develop": "turn RAW files into DNG or TIFF",
    "info": "say what a RAW file holds, or which weights are installed",
    "calibrate": "measure a camera's noise from darks and flats, or estimate it from photographs",
    "eval": "score a model on real pairs of a dark and a well-lit picture",
    "export": "write a camera profile for another program, or a model or a pipeline as ONNX",
    "bench": "measure speed and memory of this machine, beside copies of the same bytes and what others do",
    "train": "train a model on photographs, RAW files or pairs of exposures",
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
        with _interruptible():
            status = int(import_module(f"rawpipe.cli.{options.command}").run(options))
            sys.stdout.flush()
            return status
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # then whoever read our output has seen enough
            print(f"error: {error}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:  # or Python tries again at its end, and says so
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print("stopped; no half-written file was left behind", file=sys.stderr)
        return 130
    except Exception as error:
        from rawpipe._errors import RawpipeError

        if not isinstance(error, RawpipeError):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1


@contextmanager
def _interruptible() -> Iterator[None]:
    """Take a request to end (SIGTERM) as Ctrl-C, so that temporary files are cleaned away."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
