"""The research set for display-referred RGB: what it promises, on pictures whose truth is known."""

import pytest
import torch

from rawpipe import Color, Frame, Pipeline, Space
from rawpipe.stages.enhance import Enhance, LLFlow
from rawpipe.stages.enhance.evaluation.display import OF_TRUTH, psnr_in_8_bits
from rawpipe.stages.enhance.evaluation.display_methods import DISPLAY_METHODS, enhanced
from rawpipe.stages.enhance.llflow.domains import to_display, to_linear
from rawpipe.stages.enhance.training.lol import read_pairs
from rawpipe.stages.enhance.training.photographs import dead_leaves
from rawpipe.stages.enhance.weights import Weights

pytestmark = pytest.mark.filterwarnings("ignore:the weights 'lol' are for research only")


@pytest.fixture(scope="module")
def leaves():
    """A picture (3, 160, 192) in 0..1, and the same at a fortieth of the light, noisy, in 8 bits."""
    (truth,) = dead_leaves(1, 512, seed=20_000)
    truth = truth[:, 96:256, 96:288] / 255
    light = to_linear(truth) / 40
    noisy = light + 0.0007 * torch.randn(light.shape, generator=torch.Generator().manual_seed(0))
    return truth, (to_display(noisy) * 255).round() / 255


def test_the_set_is_for_research_only_and_the_history_says_so(leaves):
    weights = Weights.read(LLFlow.weight_sets()["lol"])
    assert weights.research_only and weights.licence == "for research only" and "LOL" in weights.learned_from
    frame = Frame.from_array(leaves[1][:, :32, :32], space=Space.RGB, color=Color("srgb", "srgb"))
    said = dict(Pipeline([Enhance(LLFlow("rgb"))])(frame).history[-1].parameters)["weights"]
    assert weights.sha256[:12] in said and "for research only" in said


def test_a_dark_picture_gets_bright_and_nearer_to_the_truth(leaves):
    truth, dark = leaves
    found = enhanced(LLFlow("rgb"), "llflow")(dark, truth)
    assert 0.25 < float(found.mean()) < 0.75 and float(dark.mean()) < 0.1
    for name in ("none", "equalised"):
        assert psnr_in_8_bits(found, truth) > psnr_in_8_bits(DISPLAY_METHODS[name](dark, truth), truth) + 2, name


def test_it_gets_the_brighter_the_more_light_is_wished_for(leaves):
    frame = Frame.from_array(leaves[1], space=Space.RGB, color=Color("srgb", "srgb"))
    lights = [
        float(to_linear(Pipeline([Enhance(LLFlow("rgb"), exposure=wish)])(frame).data).mean())
        for wish in (0.7, 0.85, None, 1.2, 1.4)
    ]
    assert lights == sorted(lights)
    for wish, light in zip((0.7, 0.85, 1.0, 1.2, 1.4), lights, strict=True):
        assert light == pytest.approx(wish * lights[2], rel=0.1)


def test_real_pictures_of_scenes_it_never_saw(data):
    folder = data / "lol_val15"
    if not folder.is_dir():
        pytest.skip("needs lol_val15")
    ours, curves = [], []
    for shots in read_pairs(folder, 256)[9:12]:
        dark, truth = shots.low / 255, shots.high / 255
        ours.append(psnr_in_8_bits(enhanced(LLFlow("rgb"), "llflow")(dark, truth), truth, OF_TRUTH))
        curves.append(max(psnr_in_8_bits(one(dark, truth), truth, OF_TRUTH) for one in DISPLAY_METHODS.values()))
    assert sum(ours) > sum(curves) + 2 * len(ours)
