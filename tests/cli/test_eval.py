from __future__ import annotations

import csv
import hashlib
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from rawpipe import CameraProfile, Quantity
from rawpipe.cli import main
from rawpipe.stages.enhance.exposure_diffusion.model import Design
from rawpipe.stages.enhance.llflow import model as llflow
from rawpipe.stages.enhance.weights import Weights

TEST = "10003"


def said(capsys: Any) -> tuple[str, str]:
    both = capsys.readouterr()
    return both.out, both.err


@pytest.fixture
def sid(datasets: Any) -> Path:
    root: Path = datasets.sid((TEST, 0.1, 10), ("10005", 0.04, 10))
    return root


def test_a_table_goes_to_the_terminal(sid: Path, capsys):
    assert main(["eval", "sid-full", str(sid), "--model", "none"]) == 0
    out, err = said(capsys)
    words = "sid-full: SID Sony test pairs, whole pictures", "as-is", "brightness-aligned", "x250", "10003_00_0.1s.dng"
    for one in words:
        assert one in out, one
    assert not err


def test_noise_is_published_and_the_kind_of_file_follows_its_ending(sid: Path, tmp_path: Path, capsys):
    target = tmp_path / "out" / "table.csv"
    options = ["--model", "classical", "--camera", "SonyA7S2", "--ratios", "100", "--aligned", "no", "-o", str(target)]
    assert main(["eval", "sid-full", str(sid), *options]) == 0
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    assert [(row["kind"], row["ratio"]) for row in rows] == [("pair", "100"), ("mean", "100"), ("mean", "")]
    assert {row["alignment"] for row in rows} == {"as-is"} and "SonyA7S2" in rows[0]["noise"]
    assert said(capsys) == (f"{target}\n", "")


def test_eld_markdown_of_the_first_pairs(datasets: Any, tmp_path: Path, capsys):
    root, target = datasets.eld(), tmp_path / "table.txt"
    options = ["--model", "none", "--limit", "2", "--format", "markdown", "-q", "-o", str(target)]
    assert main(["eval", "eld-full", str(root), "--camera", "SonyA7S2", *options]) == 0
    text = target.read_text()
    assert "- pairs: 2\n" in text and "| SonyA7S2 | x200 | 1 |" in text and "IMG0005" in text
    assert said(capsys) == ("", "")


def test_a_list_of_your_own_says_what_is_scored(sid: Path, tmp_path: Path, capsys):
    own = tmp_path / "mine.txt"
    own.write_text("10005_00_0.04s.dng 10005_00_10s.dng 250\n")
    assert main(["eval", "sid-full", str(sid), "--model", "none", "--list", str(own)]) == 0
    assert "10005_00" in (out := said(capsys)[0]) and "10003_00" not in out


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--model", "none", "--ratios", "300"], "for ratios 300; it has 100, 250"),
        (["--model", "nonesuch"], "got enhancer 'nonesuch'; expected one of"),
        (["--model", "classical", "--steps", "2"], "got --steps for classical, which has no such parameter"),
        (["--model", "none", "--steps", "2"], "got --weights or --steps with --model none"),
        (["--model", "classical", "--camera", "SonyA8"], "got published camera 'SonyA8'"),
        (["--model", "classical", "--profile", "none.json"], "none.json"),
        (["--camera", "SonyA7S2", "--profile", "none.json"], "got --camera and --profile"),
        (["--limit", "0"], "got --limit 0; expected 1 or more"),
        (["--model", "none", "-o", "."], "got the folder .; expected the name of a file"),
        (["--published"], "got --published with no weights"),
        (["--published", "--weights", "own.safetensors"], "and a checkpoint (.pt) of the authors"),
        (["--published", "--weights", "none.pt"], "got weights none.pt; there is no such file"),
        (["--published", "--model", "classical"], "got --published with --model classical"),
        (["--model", "none", "--device", "nonesuch"], "got --device nonesuch"),
        (["--weights", "none.pt"], "none.pt"),
    ],
)
def test_what_cannot_work_is_one_line(sid: Path, options: list[str], text: str, capsys):
    assert main(["eval", "sid-full", str(sid), *options]) == 1
    out, err = said(capsys)
    assert not out and err.startswith("error: ") and err.count("\n") == 1 and text in err, err


def test_a_profile_is_for_one_camera_and_a_list_for_sid(datasets: Any, tmp_path: Path, capsys):
    datasets.eld("SonyA7S2")
    root = datasets.eld("NikonD850")
    assert main(["eval", "eld-full", str(root), "--list", "x"]) == 1
    assert "got --list with eld-full" in said(capsys)[1]
    numbers = {"gain_dn_per_e": Quantity(0.4), "read_sigma_dn": Quantity(1.5), "saturation_dn": Quantity(15871.0)}
    facts: dict[str, Any] = {"size": (72, 88), "active_area": (0, 0, 72, 88), "provenance": {"kind": "measured"}}
    profile = CameraProfile(
        make="Sony", model="ILCE-7SM2", cfa="RGGB", bits=14, noise={"800": numbers}, stored={}, **facts
    )
    profile.write(tmp_path / "sony.json")
    options = ["--model", "classical", "--profile", str(tmp_path / "sony.json")]
    assert main(["eval", "eld-full", str(root), *options]) == 1
    assert "got --profile for pictures of NikonD850, SonyA7S2; expected one camera" in said(capsys)[1]
    assert main(["eval", "eld-full", str(root / "SonyA7S2"), *options, "--limit", "1"]) == 0
    assert "profile of Sony ILCE-7SM2, at each picture's ISO" in said(capsys)[0]


def test_a_checkpoint_of_your_own_in_the_published_process_and_in_ours(sid: Path, tmp_path: Path, capsys):
    torch.manual_seed(0)
    path = tmp_path / "own.pt"
    torch.save(Design("nafnet-1", 16, sigma=False, clipped=True).build().state_dict(), path)
    options = ["eval", "sid-full", str(sid), "--weights", str(path), "--steps", "2", "--limit", "1"]
    assert main([*options, "--published"]) == 0
    out = said(capsys)[0]
    assert "every step's estimate is scaled by the clean picture" in out and "published: white 16383" in out
    assert main(options) == 0
    out = said(capsys)[0]
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    for words in ("model               exposure_diffusion\n", "steps               2\n", digest, "rawpipe's: black"):
        assert words in out, words


def test_lol_is_scored_as_it_is_and_with_the_brightness_of_the_truth(datasets: Any, tmp_path: Path, capsys):
    root = datasets.lol("a", "b", inner="eval15")
    assert main(["eval", "lol", str(root), "--model", "gamma"]) == 0
    out, err = said(capsys)
    for words in ("eval15", "as-is", "brightness of the truth", "an oracle", "a.png", "25.19 dB", "SSIM gray"):
        assert words in out, words
    assert not err
    target = tmp_path / "table.csv"
    options = ["--model", "none", "--aligned", "no", "--limit", "1", "-o", str(target)]
    assert main(["eval", "lol", str(root), *options]) == 0
    rows = list(csv.DictReader(io.StringIO(target.read_text())))
    assert [(row["kind"], row["alignment"]) for row in rows] == [("pair", "as-is"), ("mean", "as-is")]
    assert main(["eval", "lol", str(root), "--model", "equalised", "--format", "markdown"]) == 0
    assert "| as-is | 2 |" in said(capsys)[0]


def test_lol_is_scored_with_weights_of_a_training(datasets: Any, tmp_path: Path, capsys):
    torch.manual_seed(0)
    for domain in ("rgb", "raw"):
        network = llflow.Design(domain).build()
        stated = {"licence": "CC0", "research_only": False, "learned_from": "nothing", "training": {}}
        weights = Weights("llflow", "mine", asdict(network.design), **stated, tensors=network.state_dict())
        weights.write(tmp_path / f"{domain}.safetensors")
    options = ["eval", "lol", str(datasets.lol("a")), "--weights"]
    assert main([*options, str(tmp_path / "rgb.safetensors")]) == 0
    out = said(capsys)[0]
    assert "llflow" in out and "mine, CC0, learned from nothing" in out
    assert main([*options, str(tmp_path / "raw.safetensors")]) == 1
    assert "which are for raw; expected rgb" in said(capsys)[1]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--model", "classical"], "got model classical, which works on RAW; expected one for display-referred RGB"),
        (["--model", "nonesuch"], "got enhancer 'nonesuch'; expected one of"),
        (["--model", "none", "--weights", "x.safetensors"], "got --weights with --model none"),
        (["--model", "none", "--camera", "SonyA7S2"], "got --camera with lol; leave it out: it is about RAW"),
        (["--model", "none", "--list", "x"], "got --list with lol"),
        (["--model", "none", "--published"], "got --published with lol"),
        (["--model", "none", "--lpips", "none.npz"], "none.npz, which can't be read"),
        (["--weights", "none.safetensors"], "got weights none.safetensors; there is no such file"),
    ],
)
def test_what_cannot_work_with_lol_is_one_line(datasets: Any, options: list[str], text: str, capsys):
    assert main(["eval", "lol", str(datasets.lol("a")), *options]) == 1
    out, err = said(capsys)
    assert not out and err.startswith("error: ") and err.count("\n") == 1 and text in err, err


def test_lpips_is_measured_where_its_weights_are_named(datasets: Any, data: Path, capsys):
    path = data / "weights" / "lpips_alex_v0.1_f16.npz"
    if not path.is_file():
        pytest.skip("needs the weights of LPIPS")
    assert main(["eval", "lol", str(datasets.lol("a")), "--model", "none", "--lpips", str(path)]) == 0
    assert "LPIPS 0.1 on AlexNet" in said(capsys)[0]


def test_a_folder_of_raw_pairs_is_no_lol(sid: Path, capsys):
    assert main(["eval", "lol", str(sid), "--model", "none"]) == 1
    assert "without low beside high or normal, and without them in eval15" in said(capsys)[1]
    assert main(["eval", "sid-full", str(sid), "--lpips", "x.npz"]) == 1
    assert "got --lpips with sid-full" in said(capsys)[1]


def test_a_damaged_picture_is_named_and_no_table_is_left(sid: Path, tmp_path: Path, capsys):
    (sid / "Sony" / "long" / "10005_00_10s.dng").write_bytes(b"\xff\xd8\xff nothing")
    target = tmp_path / "table.md"
    assert main(["eval", "sid-full", str(sid), "--model", "none", "-o", str(target)]) == 1
    assert "10005_00_10s.dng is a JPEG" in said(capsys)[1] and not target.exists()
    assert not list(tmp_path.glob(".*"))
