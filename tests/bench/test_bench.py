"""What `rawpipe bench` writes: its lines, what each is compared with, and its place in a page. Never times."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from rawpipe.bench.measure import Line, Measured, measured
from rawpipe.bench.table import BEGIN, END, replaced, table
from rawpipe.cli import main


def rows(text: str) -> dict[str, list[str]]:
    """Cells of the table by the name of the line."""
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in text.splitlines() if row.startswith("| ")]
    return {row[0]: row[1:] for row in cells[1:]}


def test_a_quick_run_has_every_line_beside_a_copy_of_its_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--quick", "--only", "demosaic", "develop", "files"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    found = rows(said.out)
    for name in ("bilinear", "malvar2004", "menon2007"):
        assert found[f"rawpipe {name}"][3].endswith("x copy float32 to float32")
    assert {"colour-demosaicing bilinear", "colour-demosaicing Malvar2004", "colour-demosaicing Menon2007"} <= set(
        found
    )
    for name in ("rawpipe counts to sRGB", "rawpipe counts to sRGB, compiled"):
        assert found[name][3].endswith("x copy uint16 to float32")
    assert found["rawpipe counts to sRGB, uint16, compiled"][3].endswith("x copy uint16 to uint16")
    for name in ("rawpipe develop, file to file", "LibRaw AHD + tifffile, file to file"):
        assert found[name][3].endswith("x copy of both files")
    assert not {"darktable-cli", "rawtherapee-cli"} & set(found)
    assert all(len(cells) == 7 and float(cells[1]) > 0 for cells in found.values())
    head = said.out.splitlines()[0]
    for fact in ("`rawpipe bench --only demosaic develop files --quick`", "cores", "torch", "rawpy", "Medians of 1"):
        assert fact in head
    assert re.search(r"\d{4}-\d\d-\d\d", head)


def test_networks_are_held_against_their_bare_pass_and_the_matrix_peak(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Before\n{BEGIN}\nold\n{END}\nAfter\n")
    assert main(["bench", "--quick", "--only", "networks", "-o", str(page)]) == 0
    assert capsys.readouterr().out == ""
    text = page.read_text()
    assert (
        text.startswith(f"# Before\n{BEGIN}\n`rawpipe bench") and text.endswith(f"{END}\nAfter\n") and "old" not in text
    )
    found = rows(text)
    assert found["ExposureDiffusion, stage, float32"][3].endswith("x ExposureDiffusion, bare network, float32")
    for name in ("ExposureDiffusion, bare network, float32", "LLFlow, bare network, float32"):
        assert float(found[name][4]) > 0 and found[name][5].endswith("% of matrix product, float32")


def test_lines_take_turns_and_slow_ones_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawpipe.bench.measure._SLOW_S", 0.05)
    ran: list[str] = []
    lines = [
        Line("fast", lambda: ran.append("fast"), 1.0),
        Line("slow", lambda: (ran.append("slow"), time.sleep(0.06)), 1.0, "fast"),
    ]
    fast, slow = measured(lines, 3)
    assert ran == ["fast", "slow", "fast", "slow", "fast", "fast"]
    assert slow.seconds >= 0.06 > fast.seconds


def test_the_peak_is_that_of_the_line() -> None:
    small, large, outside = measured(
        [
            Line("small", lambda: bytes(1_000), 1.0),
            Line("large", lambda: b"\1" * 60_000_000, 1.0),
            Line("outside", lambda: b"\1" * 60_000_000, 1.0, outside=True),
        ],
        1,
    )
    if small.peak_mb is None or large.peak_mb is None:
        pytest.skip("this system doesn't say")
    assert small.peak_mb < 20 and 55 < large.peak_mb < 90
    assert outside.peak_mb is None


def test_a_page_without_its_place_stays(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Mine\n")
    assert not replaced(page, table([], "rawpipe bench", 1))
    assert page.read_text() == "# Mine\n"


@pytest.mark.parametrize(
    "words", [["--megapixels", "0"], ["--runs", "-1"], ["--only", "demosaic", "-o", "none.md", "--quick"]]
)
def test_wrong_words_are_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *words]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1


def test_a_line_is_held_against_the_copy_of_its_own_turns() -> None:
    def took(name: str, seconds: float, floor: str | None = None) -> Measured:
        return Measured(Line(name, lambda: None, 1.0, floor), seconds, None)

    found = rows(table([took("copy", 1.0), took("a", 2.0, "copy"), took("copy", 4.0), took("b", 2.0, "copy")], "x", 1))
    assert (found["a"][3], found["b"][3]) == ("2.00x copy", "0.50x copy")
