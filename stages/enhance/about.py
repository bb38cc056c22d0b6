"""What files of weights say of themselves, and where those that come with rawpipe are: without torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, deserialize

from rawpipe import FormatError

FORMAT = 1
KEY = "rawpipe"
FACTS = ("enhancer", "name", "model", "licence", "research_only", "learned_from", "training")


@cache
def bundled(enhancer: str) -> Mapping[str, Path]:
    """The sets of weights that come with rawpipe for an enhancer, by name."""
    folder = Path(str(files("rawpipe.stages.enhance"))) / enhancer / "weights"
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


def described(path: Path) -> tuple[dict[str, Any], bytes]:
    """The facts that stand in a file of weights and its sha256, by name; and the file.

    Raises:
        FormatError: there is no such file, or it is something else, damaged, or of a later format.
    """
    try:
        content = Path(path).read_bytes()
        deserialize(content)  # type: ignore[no-untyped-call]
        length = int.from_bytes(content[:8], "little")
        facts = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][KEY])
        version = facts.pop("format")
    except OSError as error:
        raise FormatError(f"got {path}, which can't be read: {error.strerror}") from error
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise FormatError(
            f"got {path}, which holds no weights of rawpipe or is damaged; expected a .safetensors file that "
            "`rawpipe train` wrote"
        ) from error
    if version != FORMAT or set(facts) != set(FACTS):
        raise FormatError(f"got {path} of format {version}; expected {FORMAT}: upgrade rawpipe")
    return facts | {"sha256": hashlib.sha256(content).hexdigest()}, content
