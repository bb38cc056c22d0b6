"""What `rawpipe bench` writes: its lines, what each is compared with, and its place in a page. Never times."""

from __future__ import annotations

import itertools
import re
import time
from pathlib import Path

import pytest

from rawpipe.bench.measure import Line, Measured, measured
from rawpipe.bench.networks import networks
from rawpipe.bench.table import markers, replaced, table
from rawpipe.cli import main


def rows(text: str) -> dict[str, list[str]]:
    """Cells of the tables by the name of the line, without those of growth."""
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in text.splitlines() if row.startswith("| ")]
    return {row[0]: row[1:] for row in cells if row[0] and len(row) == 9}


def test_a_quick_run_has_every_line_beside_a_copy_of_its_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--quick", "--only", "demosaic", "kernels", "develop", "files"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    found = rows(said.out)
    for name in ("bilinear", "malvar2004", "menon2007"):
        assert found[f"rawpipe {name}"][4].endswith("x copy float32 to float32")
    assert {"colour-demosaicing bilinear", "colour-demosaicing Malvar2004", "colour-demosaicing Menon2007"} <= set(
        found
    )
    for name in ("rawpipe counts to sRGB", "rawpipe counts to sRGB, compiled"):
        assert found[name][4].endswith("x copy uint16 to float32")
    assert found["rawpipe counts to sRGB, uint16, compiled"][4].endswith("x copy uint16 to uint16")
    assert found["the same with DefectPixels ahead"][4].endswith("x copy uint16 to uint16")
    for name in ("bilinear, stage alone", "menon2007, torch in strips"):
        assert found[name][4].endswith("x copy float32 to float32")
    assert found["rawpy.postprocess (AHD) + tifffile"][4].endswith("x copy of all files")
    for name in ("rawpipe develop", "rawpipe develop, file by file", "rawpipe develop --compression zstd"):
        assert found[name][4].endswith("x rawpy.postprocess (AHD) + tifffile")
    assert not {"darktable-cli", "rawtherapee-cli"} & set(found)
    assert all(float(cells[1]) > 0 and float(cells[2]) > 0 for cells in found.values())
    heads = [line for line in said.out.splitlines() if line.startswith("`")]
    assert [head.split("`")[1] for head in heads] == [
        f"rawpipe bench --only {group} --quick" for group in ("demosaic", "kernels", "develop", "files")
    ]
    head = heads[0]
    for fact in ("cores", "torch", "rawpy", "Medians of 1"):
        assert fact in head
    assert re.search(r"\d{4}-\d\d-\d\d", head)


def test_networks_are_held_against_their_bare_pass_and_the_matrix_peak(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    (opening, closing), (other, _) = markers("networks"), markers("files")
    page.write_text(f"# Before\n{other}\nfiles\n{opening}\nold\n{closing}\nAfter\n")
    assert main(["bench", "--quick", "--only", "networks", "-o", str(page)]) == 0
    assert capsys.readouterr().out == ""
    text = page.read_text()
    assert text.startswith(f"# Before\n{other}\nfiles\n{opening}\n`rawpipe bench --only networks")
    assert text.endswith(f"{closing}\nAfter\n") and "old" not in text
    found = rows(text)
    assert found["ExposureDiffusion, stage, float32"][4].endswith("x ExposureDiffusion, bare network, float32")
    for name, kind in itertools.product(("ExposureDiffusion", "LLFlow"), ("bare network", "stage")):
        cells = found[f"{name}, {kind}, float32"]
        assert float(cells[5]) > 0 and cells[6].endswith("% of matrix product, float32")


def test_bare_networks_and_flows_stay_within_memory_and_patience() -> None:
    names = {size: [line.name for line in networks(size, 8)] for size in (1.0, 26.0)}
    assert "LLFlow, stage, float32" in names[1.0] and "ExposureDiffusion, bare network, float32" in names[1.0]
    assert not any("LLFlow" in name or "bare" in name for name in names[26.0])
    assert "ExposureDiffusion, stage, float32" in names[26.0]


def test_lines_take_turns_and_slow_ones_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rawpipe.bench.measure._ENOUGH_S", 0.05)
    ran: list[str] = []
    lines = [
        Line("fast", lambda: ran.append("fast"), 1.0),
        Line("slow", lambda: (ran.append("slow"), time.sleep(0.06)), 1.0, "fast"),
    ]
    fast, slow = measured(lines, 3)
    assert ran == ["fast", "slow", "fast", "fast", "fast"]
    assert slow.seconds >= 0.06 > fast.seconds


def test_the_first_turn_only_warms_up_and_times_are_of_one_frame() -> None:
    left = [0.2, 0.04, 0.04]
    (found,) = measured([Line("folder", lambda: time.sleep(left.pop(0)), 1.0, frames=4)], 2)
    assert 0.01 <= found.seconds < 0.04
    assert found.cpu_seconds is not None and found.cpu_seconds < found.seconds


def test_several_sizes_show_how_the_cost_of_a_pixel_grows() -> None:
    found = [
        Measured(Line(name, lambda: None, size), seconds, None, None)
        for name, size, seconds in (("a", 6.0, 0.006), ("b", 6.0, 0.012), ("a", 24.0, 0.048))
    ]
    text = table(found, "rawpipe bench", 1)
    assert text.endswith("\n\n| ns per pixel | 6 MP | 24 MP |\n|---|---|---|\n| a | 1.0 | 2.0 |\n| b | 2.0 |  |\n")
    assert "| ns per pixel | 6" not in table(found[:2], "rawpipe bench", 1)


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
    assert not replaced(page, "files", table([], "rawpipe bench", 1))
    assert page.read_text() == "# Mine\n"


@pytest.mark.parametrize(
    "words",
    [
        ["--megapixels", "0"],
        ["--runs", "-1"],
        ["--only", "demosaic", "-o", "none.md", "--quick"],
        ["--device", "none"],
        ["--device", "cuda", "--only", "files"],
    ],
)
def test_wrong_words_are_one_line(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *words]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
