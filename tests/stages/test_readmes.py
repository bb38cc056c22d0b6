"""The READMEs of the rooms are short, say the same things in the same order, and their examples run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from rawpipe import Frame
from rawpipe._registry import installed, load
from rawpipe.testing import synthetic_frame

STAGES = Path(__file__).parents[2] / "stages"
READMES = sorted(STAGES.glob("**/README.md"))

readmes = pytest.mark.parametrize("readme", READMES, ids=lambda path: path.parent.name)


@readmes
@pytest.mark.filterwarnings("ignore:the weights 'lol' are for research only")
def test_the_first_example_runs(readme: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    example = re.search(r"```python\n(.*?)```", readme.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert example is not None
    (tmp_path / "my-camera.txt").write_text("10 50\n")  # a defect map
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Frame, "read", lambda path, **options: synthetic_frame(dtype=torch.uint16))
    exec(compile(example[1], str(readme), "exec"), {})


@readmes
def test_links_lead_somewhere(readme: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", readme.read_text(encoding="utf-8")):
        assert link.startswith("https://") or (readme.parent / link).exists(), link


def test_the_index_says_what_the_stages_say() -> None:
    """Name, takes and gives of the table, against the classes; where parameters decide, that is left to the reader."""
    index = (STAGES / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[(\w+)\]\([^|]*\| `(\w+)` \| ([^|]+) \| ([^|]+) \|", index, re.MULTILINE)
    assert {name for _, name, *_ in rows} >= set(installed())
    for title, name, takes, gives in rows:
        kind = load(name)
        assert kind.__name__ == title
        if not isinstance(kind.takes, property):
            spaces = set(re.findall(r"[A-Z]{3,}", takes)) or {"SENSOR", "MOSAIC", "CAMERA", "RGB"}
            assert spaces == {space.name for space in kind.takes}, title
        assert gives.startswith("same" if kind.gives is None else kind.gives.name), title
