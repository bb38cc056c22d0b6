"""Weights of ExposureDiffusion from files: of the room, published, foreign, damaged."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rawpipe import FormatError, Frame, Pipeline, RawpipeWarning
from rawpipe.stages import Enhance
from rawpipe.stages.enhance import ExposureDiffusion
from rawpipe.stages.enhance.exposure_diffusion import load
from rawpipe.stages.enhance.exposure_diffusion.model import Design
from rawpipe.stages.enhance.weights import Weights

Scene = Callable[..., Frame]
Written = Callable[..., str]


@pytest.mark.parametrize("backbone", ["unet", "nafnet-1", "nafnet-2"])
@pytest.mark.parametrize("origin", [False, True])
def test_published_checkpoints_load_by_path(tmp_path: Path, backbone: str, origin: bool) -> None:
    window = None if backbone == "unet" else 512
    design = Design(backbone, 4, origin=origin, sigma=False, clipped=True, window=window)
    network = design.build()
    path = tmp_path / "SID_Pg.pt"
    torch.save({"netG": {f"module.{key}": value for key, value in network.state_dict().items()}, "epoch": 3}, path)
    found = load.loaded(str(path), torch.device("cpu"))
    assert found.design == design
    channels = torch.rand(1, design.inputs, 48, 32, generator=torch.Generator().manual_seed(0))
    theirs = channels.reshape(1, -1, 4, 48, 32)[:, :, [0, 1, 3, 2]].reshape(channels.shape)  # R, Gr, B, Gb
    got, expected = found.module(channels), network(theirs)
    torch.testing.assert_close(got[:, 1:5], expected[:, [1, 2, 4, 3]])
    torch.testing.assert_close(got[:, [0, 5, 6, 7, 8]], expected[:, [0, 5, 6, 8, 7]])


def test_a_published_checkpoint_runs(scene: Scene, tmp_path: Path) -> None:
    path = tmp_path / "SID_PGru.pth"
    torch.save(Design("unet", 4, sigma=False).build().state_dict(), path)
    result = Enhance(ExposureDiffusion(weights=str(path)), exposure=100)(scene(48, 40))
    assert result.data.isfinite().all()


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("code ran",))


def test_foreign_and_damaged_files_are_refused_without_running_code(
    tmp_path: Path, weights: str, capsys: pytest.CaptureFixture[str]
) -> None:
    cases: dict[str, tuple[Any, str]] = {
        "code.pt": ({"netG": Evil()}, "holds code"),
        "other.pt": ({"layer1.weight": torch.zeros(3, 3)}, "holds no UNet or NAFNet"),
        "list.pt": ([1, 2], "holds no UNet or NAFNet"),
        "channels.pt": (Design("unet", 4, sigma=True).build().state_dict(), "16 channels in"),
    }
    wide = Design("unet", 4, sigma=False).build().state_dict()
    cases["missing.pt"] = ({k: v for k, v in wide.items() if k != "conv5_1.bias"}, "don't fit")
    cases["last.pt"] = ({k: v for k, v in wide.items() if k != "conv10_1.bias"}, "first or last layer is missing")
    cases["first.pt"] = ({k: v for k, v in wide.items() if k != "conv1_1.weight"}, "first or last layer is missing")
    cases["nan.pt"] = ({k: torch.full_like(v, torch.nan) for k, v in wide.items()}, "NaN")
    for name, (content, expected) in cases.items():
        torch.save(content, tmp_path / name)
        with pytest.raises(FormatError, match=expected):
            load.loaded(str(tmp_path / name), torch.device("cpu"))
    assert "code ran" not in capsys.readouterr().out
    content = Path(weights).read_bytes()
    for name, part, expected in (
        ("cut.safetensors", content[: len(content) // 2], "damaged"),
        ("empty.safetensors", b"", "damaged"),
        ("text.pt", b"hello", "no PyTorch checkpoint|holds code"),
    ):
        (tmp_path / name).write_bytes(part)
        with pytest.raises(FormatError, match=expected):
            load.loaded(str(tmp_path / name), torch.device("cpu"))
    with pytest.raises(FormatError, match="there is no such file"):
        load.loaded(str(tmp_path / "absent.pt"), torch.device("cpu"))
    with pytest.raises(FormatError, match="name the .safetensors file in it"):
        load.loaded(str(tmp_path), torch.device("cpu"))
    foreign = Weights("exposure_diffusion", "x", {"backbone": "unet", "hats": 3}, "MIT", False, "y", {}, wide)
    foreign.write(tmp_path / "later.safetensors")
    with pytest.raises(FormatError, match="of a model that this rawpipe doesn't know"):
        load.loaded(str(tmp_path / "later.safetensors"), torch.device("cpu"))
    with pytest.raises(FormatError, match="got set of weights 'defalt'"):
        load.loaded("defalt", torch.device("cpu"))


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "l.safetensors"
    Weights("llflow", "x", {}, "MIT", False, "y", {}, {"a": torch.zeros(2)}).write(path)
    with pytest.raises(FormatError, match="holds weights of llflow"):
        load.loaded(str(path), torch.device("cpu"))


def test_research_weights_warn_at_first_use_and_only_then(scene: Scene, written: Written, tmp_path: Path) -> None:
    path = written(tmp_path, name="research", research_only=True, licence="research only", learned_from="LOL")
    with pytest.warns(RawpipeWarning, match="'research' are for research only: they learned from LOL"):
        assert Enhance(ExposureDiffusion(weights=path)).halo
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = Pipeline([Enhance(ExposureDiffusion(weights=path), exposure=2)])(scene(32, 32))
    assert "research only" in str(result.history[0].parameters["weights"])
