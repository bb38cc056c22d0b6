"""Laws of the flow, with random weights."""

import math

import pytest
import torch

from rawpipe import StageError
from rawpipe.stages.enhance.equalise import equalisation, equalised
from rawpipe.stages.enhance.llflow.encoder import Conditions
from rawpipe.stages.enhance.llflow.flow import ActNorm, Flow
from rawpipe.stages.enhance.llflow.inputs import color_map, logarithm, noise_map
from rawpipe.stages.enhance.llflow.model import Design, bits_per_pixel


def shaken(design, dtype=torch.float32, seed=0):
    """A network that follows its data and none of whose layers is the identity, and a batch for it."""
    torch.manual_seed(seed)
    net = design.build()
    with torch.no_grad():
        for name, one in net.named_parameters():
            if name.endswith((".4.weight", ".4.bias", ".4.logs")):
                one.add_(0.02 * torch.randn_like(one))
    dark = logarithm(torch.rand(2, design.inputs, 32, 48)).to(dtype)
    picture = torch.rand(2, design.channels, 32, 48, dtype=dtype)
    net.to(dtype).initialise(dark, picture)
    return net, dark, picture


@pytest.mark.parametrize("design", [Design("rgb"), Design("raw"), Design("rgb", "large")], ids=str)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-9)])
def test_decoding_undoes_encoding(design, dtype, tolerance):
    net, dark, picture = shaken(design, dtype)
    with torch.no_grad():
        latent, log_det, _ = net(dark, picture)
        back, back_det = net.decode(latent, net.conditions(dark))
    assert (latent - net.design.mean(picture)).abs().max() > 0.1  # it does do something
    assert (back - picture).abs().max() <= tolerance * picture.abs().max()
    torch.testing.assert_close(back_det, -log_det, rtol=1e-5, atol=1e-2)


def test_log_det_is_that_of_the_derivative():
    torch.manual_seed(0)
    flow = Flow(1, 2, 1).double()
    with torch.no_grad():
        for one in flow.parameters():
            one.add_(0.1 * torch.randn_like(one))
    levels = [torch.randn(1, 2, size, size, dtype=torch.float64) for size in (4, 2, 1)]
    picture = torch.rand(1, 1, 8, 8, dtype=torch.float64)
    derivative = torch.autograd.functional.jacobian(lambda x: flow(x, levels).value.flatten(), picture)
    expected = torch.linalg.slogdet(derivative.reshape(64, 64))[1]
    torch.testing.assert_close(flow(picture, levels).log_det[0], expected)


def test_bits_of_a_normal_number():
    latent = torch.tensor([0.0, 2.0]).view(2, 1, 1, 1)
    found = bits_per_pixel(latent, torch.tensor([0.0, 1.0]), torch.ones(1, 1, 1, 1), 1)
    density = math.exp(-0.5) / math.sqrt(2 * math.pi)
    assert found.tolist() == pytest.approx([-math.log2(density), -math.log2(density * math.e)])


def test_half_precision_runs_inside_the_subnets_alone():
    net, dark, picture = shaken(Design("raw"))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        latent, log_det, colors = net(dark, picture)
        back = net.decode(latent, net.conditions(dark)).value
    assert {latent.dtype, log_det.dtype, colors.dtype, back.dtype} == {torch.float32}
    assert (back - picture).abs().max() < 0.05  # rounding to 8 bits meets other neighbours on the way back


def test_normalisations_follow_the_data_once():
    norm = ActNorm(3)
    data = torch.randn(4, 3, 8, 8) * torch.tensor([0.1, 1.0, 10.0]).view(3, 1, 1) + 5
    net = Design("raw").build()
    net.initialise(logarithm(torch.rand(2, net.design.inputs, 16, 16)), torch.rand(2, 4, 16, 16))
    assert all(one.logs.abs().sum() > 0 for one in net.modules() if isinstance(one, ActNorm))
    assert not any(one.follows_data for one in net.modules() if isinstance(one, ActNorm))
    norm.follows_data = True
    found = norm(data)
    torch.testing.assert_close(found.mean((0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-4)
    torch.testing.assert_close(found.var((0, 2, 3), unbiased=False), torch.ones(3), rtol=0, atol=1e-4)
    torch.testing.assert_close(norm.inverse(found), data)


def test_a_prior_without_colors_is_zero():
    colors = torch.rand(1, 4, 16, 24)
    assert Design("raw").mean(colors).shape == (1, 256, 2, 3)
    assert not Design("raw", prior=False).mean(colors).any()


def test_a_small_network_has_conditions_at_three_sizes():
    net = Design("raw").build()
    found = net.conditions(logarithm(torch.rand(1, net.design.inputs, 24, 40)))
    assert isinstance(found, Conditions)
    assert [tuple(one.shape[-2:]) for one in found.levels] == [(12, 20), (6, 10), (3, 5)]
    assert found.colors.shape == (1, 4, 24, 40)


def test_brightness_leaves_colors_alone():
    picture = torch.rand(1, 3, 8, 8) * 0.5 + 0.25
    torch.testing.assert_close(color_map(picture), color_map(0.5 * picture), rtol=1e-3, atol=0)
    assert not noise_map(torch.full((1, 3, 5, 5), 0.3))[..., 1:-1, 1:-1].any()


def test_the_logarithm_of_what_is_below_black_is_that_of_black():
    assert logarithm(torch.tensor([-1.0, 0.0])).tolist() == pytest.approx([math.log(1e-3)] * 2)


def test_equalisation():
    ramp = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    torch.testing.assert_close(equalised(ramp, equalisation(ramp)), ramp / 255)
    plain = torch.full((3, 4, 4), 7, dtype=torch.uint8)
    torch.testing.assert_close(equalised(plain, equalisation(plain)), plain / 255)
    two = torch.tensor([3, 9], dtype=torch.uint8).repeat(8).view(1, 4, 4)
    assert set(equalised(two, equalisation(two)).flatten().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("wrong", [{"domain": "hsv"}, {"size": "huge"}])
def test_unknown_words(wrong):
    with pytest.raises(StageError, match="expected"):
        Design(**wrong)
