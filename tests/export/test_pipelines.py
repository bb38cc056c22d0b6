"""Pipelines as ONNX: the same pixels as the pipeline gives, with the numbers of a photo as inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import nn

from rawpipe import FormatError, Frame, Pipeline, Space, StageError
from rawpipe.cli import main
from rawpipe.export import Graph, Port, pipeline_graph, pipeline_inputs, write_onnx
from rawpipe.stages import (
    BlackLevel,
    ClipHighlights,
    ColorTransform,
    Crop,
    Demosaic,
    Enhance,
    Exposure,
    Quantize,
    ToneCurve,
    WhiteBalance,
)
from rawpipe.testing import synthetic_frame

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")
DEVELOP = Pipeline(
    [BlackLevel(), WhiteBalance(), ClipHighlights(), Demosaic(), ColorTransform("display_p3"), Exposure(), ToneCurve()]
)


def test_one_file_serves_photos_of_any_size_level_and_light(tmp_path: Path) -> None:
    path = tmp_path / "develop.onnx"
    difference = write_onnx(pipeline_graph(DEVELOP, "GRBG"), path)
    assert difference is not None and difference < 1e-4
    session = onnxruntime.InferenceSession(str(path))
    names = ["pixels", "white", "black_level_levels", "white_balance_gains", "color_transform_matrix", "exposure_gain"]
    assert [one.name for one in session.get_inputs()] == names
    about = session.get_modelmeta().custom_metadata_map
    assert about["cfa"] == "GRBG" and Pipeline.from_recipe(about["recipe"]) == DEVELOP
    assert "display_p3" in about["output result"] and "black in DN" in about["input black_level_levels"]
    other = DEVELOP.replace("white_balance", WhiteBalance(gains=(1.5, 1.0, 2.5))).replace("exposure", Exposure(0.7))
    for pipeline, size in ((DEVELOP, (64, 90)), (other, (36, 24))):
        frame = synthetic_frame(Space.SENSOR, *size, "GRBG", seed=5)
        inputs = pipeline_inputs(pipeline, frame)
        found = session.run(None, {name: value.numpy() for name, value in inputs.items()})[0]
        torch.testing.assert_close(torch.from_numpy(found), pipeline(frame).data, rtol=0, atol=1e-5)


def test_a_mosaic_of_ones_own_starts_behind_black() -> None:
    graph = pipeline_graph(Pipeline([Demosaic("bilinear")]))
    assert [port.name for port in graph.inputs] == ["pixels"]
    assert "black 0" in graph.inputs[0].says and graph.outputs[0].shape == (3, "h", "w")
    (mosaic,) = graph.tried(20, 30)
    frame = Frame.from_array(mosaic, "RGGB", space=Space.MOSAIC)
    torch.testing.assert_close(graph.module(mosaic), Demosaic("bilinear")(frame).data)


@dataclass(frozen=True)
class InNumpy:
    """A third-party stage that leaves torch."""

    takes = Space.MOSAIC
    gives = None
    halo = 0
    grid = 1

    def __call__(self, frame: Frame, /) -> Frame:
        frame.data.numpy()
        return frame


@pytest.mark.parametrize(
    ("stage", "match"),
    [
        (Enhance(), "stage enhance can't be exported: .*leave it out"),
        (Demosaic(backend="colour-demosaicing"), "stage demosaic can't be exported: it sees the whole frame"),
        (Crop(), "stage crop can't be exported: it sees the whole frame, or changes its size"),
    ],
    ids=str,
)
def test_what_is_not_local_torch_is_refused_by_name(stage: object, match: str) -> None:
    with pytest.raises(StageError, match=match):
        pipeline_graph(Pipeline([BlackLevel(), stage]))


def test_codes_are_refused_since_a_graph_gives_floats() -> None:
    with pytest.raises(StageError, match="the stage quantize can't be exported: a graph gives float32"):
        pipeline_graph(Pipeline([ToneCurve(), Quantize()]))


def test_a_stage_that_leaves_torch_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="the stage in_numpy can't be exported"):
        write_onnx(pipeline_graph(Pipeline([BlackLevel(), InNumpy()])), tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


class Rounding(nn.Module):
    """Gives onnxruntime other numbers than torch: noise."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


def test_a_file_that_computes_something_else_is_not_written(tmp_path: Path) -> None:
    port, result = Port("x", ("h", "w"), "numbers"), Port("y", ("h", "w"), "numbers")
    with pytest.raises(FormatError, match="differ from torch's .*nothing was written"):
        write_onnx(Graph(Rounding(), (port,), (result,), "noise"), tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())


def test_the_command_exports_a_recipe(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Pipeline([BlackLevel(), WhiteBalance()]).save(tmp_path / "r.toml")
    words = ["export", str(tmp_path / "r.toml"), "--to", "onnx", "-o", str(tmp_path / "r.onnx")]
    assert main([*words, "--cfa", "BGGR"]) == 0
    said = capsys.readouterr()
    assert said.err == "" and said.out.startswith(f"{tmp_path / 'r.onnx'}\nonnxruntime's result differs")
    assert onnxruntime.InferenceSession(str(tmp_path / "r.onnx")).get_modelmeta().custom_metadata_map["cfa"] == "BGGR"


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (["classical", "--to", "onnx", "-o", "x.onnx"], "got classical, which is no network"),
        (["exposure_diffusion", "--to", "onnx", "-o", "x.json"], "ends in .onnx"),
        (["exposure_diffusion", "--to", "onnx", "-o", "x.onnx", "--cfa", "RGGB"], "leave it out"),
        (["develop", "--to", "onnx", "-o", "x.onnx", "--steps", "2"], "with the name of a model"),
        (["develop", "--to", "onnx", "-o", "x.onnx", "--cfa", "XTRANS"], "expected one of RGGB"),
        (["camera.json", "--to", "onnx", "-o", "x.onnx"], "expected a model's name, a recipe"),
        (["camera.json", "--to", "dng", "-o", "x.json", "--weights", "w"], "with --to onnx only"),
        (["develop", "--to", "onnx", "-o", "x.onnx", "--maker", "Leica"], "--to darktable only"),
        (["llfow", "--to", "onnx", "-o", "x.onnx"], "did you mean 'llflow'"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, list) else "",
)
def test_wrong_words_are_one_line(words: list[str], match: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", *words]) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and match in said


def test_the_library_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    with pytest.raises(StageError, match=r'pip install "rawpipe-isp\[onnx\]"'):
        write_onnx(pipeline_graph(Pipeline([BlackLevel()])), tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())
