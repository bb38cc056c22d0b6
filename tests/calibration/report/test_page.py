"""The report as a file: complete, self-contained, escaped, and honest about what it doesn't know."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from rawpipe import FormatError, Quantity
from rawpipe.calibration.calibrate import Calibration
from rawpipe.calibration.report import write_report
from rawpipe.calibration.report.page import html

_VOID = {"meta", "img", "br", "path"}


class Reader(HTMLParser):
    """Checks that every element that is opened is closed, and gathers what a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href", "srcset", "data")]
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if tag not in _VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    return reader


def test_the_report_shows_every_picture_and_says_so_in_words(calibration: Calibration, tmp_path: Path) -> None:
    write_report(calibration, tmp_path / "report.html")
    page = read((tmp_path / "report.html").read_text(encoding="utf-8"))
    for title in (
        "Photon transfer",
        "Levels held out of the fit",
        "Gain of every level",
        "Linearity",
        "Profile of the rows in the dark",
        "Profile of the columns in the dark",
        "Distribution of the read noise",
        "Dark shading",
    ):
        assert page.text.count(title) == 3, title
    for title in ("Gain", "Read noise and row noise", "Read noise in electrons", "Noise against gain", "Flat field"):
        assert title in page.text
    assert "Noise of Acme One <&> Only" in page.text
    assert "serial number 7" in page.text


def test_every_number_of_the_profile_is_in_the_report(calibration: Calibration) -> None:
    page = read(html(calibration))
    for numbers in (calibration.profile.sensor, *calibration.profile.noise.values()):
        for name, quantity in numbers.items():
            assert name in page.text
            assert (quantity.why or "").removeprefix("upper bound: ") in page.text


def test_it_needs_nothing_but_itself(calibration: Calibration) -> None:
    text = html(calibration)
    assert all(one.startswith(("data:image/png;base64,", "#")) for one in read(text).fetched)
    assert not re.search(r"https?://|<script|@import|url\(|\son[a-z]+=", text)


def test_text_from_files_is_escaped(calibration: Calibration) -> None:
    bad = '<script>alert("x")</script>'
    noise = {"black_dn": Quantity((1.0,) * 4, None, 1, False, bad), f"new_{bad}": Quantity(1.0)}
    isos = [replace(one, numbers={**one.numbers, **noise}) for one in calibration.isos]
    profile = replace(
        calibration.profile,
        model=bad,
        serial=bad,
        across_iso={**calibration.profile.across_iso, "dual_gain": bad},
        provenance={"kind": bad, "date": bad, "rawpipe": bad, "files": [{"name": bad, "sha256": bad, "role": bad}]},
    )
    text = html(Calibration(profile=profile, isos=isos), [bad], [bad], [(bad, bad)])
    assert "<script" not in text
    assert read(text).text.count("<script>") > 12


def test_captures_notes_advice_and_files_left_out_are_told(calibration: Calibration) -> None:
    page = read(html(calibration, ["the light drifts"], ["ISO 100: add darks"], [("a.jpg", "a rendered picture")]))
    for words in ("the light drifts", "ISO 100: add darks", "a.jpg", "a rendered picture", "One file not used"):
        assert words in page.text


def test_what_is_missing_is_said_and_nothing_breaks(poor: Calibration) -> None:
    text = html(poor)
    page = read(text)
    assert "No ISO is reliable yet" in page.text
    assert "add 16 of them" in page.text
    assert "add two captures of an even, steady light" in page.text
    assert not re.search(r"\bnan\b|\binf\b|None", text)


def test_one_iso_alone_has_nothing_to_compare(calibration: Calibration) -> None:
    alone = Calibration(profile=calibration.profile, isos=calibration.isos[:1])
    assert "Across ISOs" not in read(html(alone)).text


def test_a_folder_that_is_not_there_is_an_error_and_the_old_report_stays(
    calibration: Calibration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(FormatError, match="make the folder"):
        write_report(calibration, tmp_path / "missing" / "report.html")
    (tmp_path / "report.html").write_text("old")

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(FormatError, match="No space left"):
        write_report(calibration, tmp_path / "report.html")
    assert [one.name for one in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_bytes() == b"old"
