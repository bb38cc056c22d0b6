"""Models as ONNX: the same planes as the model of Enhance gives, at sizes and noise that weren't traced."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from rawpipe import Noise, StageError
from rawpipe.export import write_onnx
from rawpipe.stages.enhance import ExposureDiffusion, Given, LLFlow
from rawpipe.stages.enhance.enhancer import Shown
from rawpipe.stages.enhance.equalise import equalisation, in_8_bits
from rawpipe.stages.enhance.exposure_diffusion.model import Design
from rawpipe.stages.enhance.llflow import model as llflow
from rawpipe.stages.enhance.llflow.domains import equalised
from rawpipe.stages.enhance.llflow.inputs import logarithm
from rawpipe.stages.enhance.weights import Weights

pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")
STATED = {"licence": "Apache-2.0", "research_only": False, "learned_from": "nothing", "training": {}}
PLACE = torch.zeros(2, dtype=torch.int64)


def run(path: Path, **inputs: torch.Tensor) -> torch.Tensor:
    session = onnxruntime.InferenceSession(str(path))
    return torch.from_numpy(session.run(None, {name: value.numpy() for name, value in inputs.items()})[0])


def exposing(folder: Path, design: Design) -> str:
    torch.manual_seed(0)
    tensors = {key: value.clone() for key, value in design.build().state_dict().items()}
    path = folder / "ed.safetensors"
    Weights("exposure_diffusion", "random", asdict(design), **STATED, tensors=tensors).write(path)
    return str(path)


def flowing(folder: Path, domain: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A flow so small that torch follows it in seconds, none of whose layers is the identity."""
    monkeypatch.setitem(llflow._SIZES, "small", (8, 1, 1, ()))
    torch.manual_seed(0)
    design = llflow.Design(domain)
    network = design.build()
    with torch.no_grad():
        for name, one in network.named_parameters():
            if name.endswith((".4.weight", ".4.bias", ".4.logs")):
                one.add_(0.005 * torch.randn_like(one))
    dark = logarithm(0.1 * torch.rand(2, design.inputs, 64, 64))
    network.initialise(dark, 0.5 + 0.1 * torch.randn(2, design.channels, 64, 64))
    path = folder / f"{domain}.safetensors"
    Weights("llflow", domain, asdict(design), **STATED, tensors=network.state_dict()).write(path)
    return str(path)


def compared(model: ExposureDiffusion | LLFlow, path: Path, height: int, width: int) -> None:
    """The file against the model of Enhance, with different noise in every site."""
    shot, read = torch.tensor([1e-3, 2e-3, 3e-3, 4e-3]), torch.tensor([4e-3, 3e-3, 2e-3, 1e-3])
    planes = torch.rand(1, 4, height, width, generator=torch.Generator().manual_seed(7)) - 0.1
    wanted = model.prepared(Given(Noise(shot, read, torch.zeros(4)), 37.0, 0))(planes, PLACE)
    found = run(path, planes=planes, shot=shot, read=read, ratio=torch.tensor(37.0))
    assert wanted.std() > 0.01
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_exposure_diffusion_is_the_model_of_enhance_without_its_guard(tmp_path: Path) -> None:
    weights = exposing(tmp_path, Design("unet", 4))
    model = ExposureDiffusion(steps=2, weights=weights, guard=0, precision="float32")
    difference = write_onnx(model.graph(), tmp_path / "ed.onnx")
    assert difference is not None and difference < 1e-5
    for size in ((32, 16), (80, 112)):
        compared(model, tmp_path / "ed.onnx", *size)
    facts(tmp_path / "ed.onnx")


def facts(path: Path) -> None:
    """What a host reads in the file; nothing of the machine that made it."""
    told = onnxruntime.InferenceSession(str(path)).get_modelmeta()
    assert told.producer_name == "rawpipe" and "ExposureDiffusion" in told.description
    about = told.custom_metadata_map
    assert about["h and w"] == "multiples of 16, 16 or more" and about["steps"] == "2"
    assert "random, Apache-2.0" in about["weights"]
    assert "R, Gr, Gb, B" in about["input planes"] and "multiplied by the ratio" in about["input planes"]
    assert {"input shot", "input read", "input ratio", "output clean", "tolerance", "outside"} <= about.keys()
    content = path.read_bytes()
    assert (
        str(Path(torch.__file__).parent).encode() not in content
        and str(Path(__file__).parents[2]).encode() not in content
    )


def test_a_network_that_pools_is_exported_for_its_window(tmp_path: Path) -> None:
    weights = exposing(tmp_path, Design("nafnet-1", 4, window=16))
    model = ExposureDiffusion(steps=1, weights=weights, guard=0, precision="float32")
    graph = model.graph()
    assert graph.inputs[0].shape == (1, 4, 16, 16)
    assert "windows of 16 x 16, 12 apart" in graph.says["windows"]
    difference = write_onnx(graph, tmp_path / "naf.onnx")
    assert difference is not None and difference < 1e-5


def test_llflow_on_raw_is_the_model_of_enhance_without_its_guard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = LLFlow(weights=flowing(tmp_path, "raw", monkeypatch), guard=0)
    write_onnx(model.graph(), tmp_path / "raw.onnx")
    compared(model, tmp_path / "raw.onnx", 24, 104)


def test_llflow_on_rgb_is_the_model_of_enhance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = LLFlow("rgb", weights=flowing(tmp_path, "rgb", monkeypatch))
    write_onnx(model.graph(), tmp_path / "rgb.onnx")
    picture = 0.3 * torch.rand(3, 40, 24, generator=torch.Generator().manual_seed(3))
    wanted = model.shown(Shown(picture, 1.0, 0))(picture, PLACE)
    equal = equalised(in_8_bits(picture), equalisation(in_8_bits(picture)))
    found = run(tmp_path / "rgb.onnx", picture=picture[None], equalised=equal[None])[0]
    assert wanted.std() > 0.01
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "model", [ExposureDiffusion(mirrored=True), ExposureDiffusion(photons="drawn"), LLFlow(temperature=0.5)], ids=str
)
def test_what_a_graph_would_not_do_is_refused(model: ExposureDiffusion | LLFlow) -> None:
    with pytest.raises(StageError, match="leave"):
        model.graph()
