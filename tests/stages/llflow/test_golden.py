"""The mathematics against reference outputs; see the README beside them. Skipped where they are absent."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rawpipe.stages.enhance.equalise import equalisation, equalised
from rawpipe.stages.enhance.llflow.inputs import color_map, logarithm, noise_map
from rawpipe.stages.enhance.llflow.model import Design, bits_per_pixel

SIZES = {"small": "small", "large": "default"}
PIXELS = 64 * 64


@pytest.fixture(scope="module")
def weights(golden_weights):
    return golden_weights.llflow


@pytest.fixture(scope="module")
def folder(golden):
    return golden / "llflow"


@pytest.fixture(scope="module", params=SIZES)
def size(request):
    return request.param


@pytest.fixture(scope="module")
def truth(folder, size):
    return np.load(folder / f"{SIZES[size]}.npz")


def network(size, folder, weights, **options):
    net = Design("rgb", size).build()
    shapes = dict(json.loads((folder / "keys.json").read_text())[SIZES[size]])
    net.load_state_dict({key: torch.from_numpy(weights(key, shapes[key], **options)) for key in net.state_dict()})
    return net.double()


@pytest.fixture(scope="module")
def net(size, folder, weights):
    return network(size, folder, weights).requires_grad_(False)


def planes(array):
    """A picture (1, 3, h, w) of (h, w, 3)."""
    return torch.from_numpy(array).movedim(-1, 0)[None]


def dark_and_bright(truth):
    return torch.from_numpy(truth["net_input"]).double(), planes(truth["gt_u8"]).double() / 255


def close(value, array, rtol, atol=0.0):
    torch.testing.assert_close(value, torch.from_numpy(array).to(value.dtype), rtol=rtol, atol=atol)


def test_inputs(truth):
    low = planes(truth["low_u8"])
    equal = equalised(low, equalisation(low[0]))
    assert torch.equal((equal * 255).round().byte(), planes(truth["histeq_u8"]))
    shown = torch.cat([logarithm(low.double() / 255), equal.double()], 1)
    close(shown, truth["net_input"], 0, 1e-6)


def test_units(folder):
    units = np.load(folder / "units.npz")
    squeezed = torch.from_numpy(units["sq_in"])
    assert torch.equal(F.pixel_unshuffle(squeezed, 2), torch.from_numpy(units["sq2_out"]))
    assert torch.equal(F.pixel_unshuffle(squeezed, 4), torch.from_numpy(units["sq4_out"]))
    close(noise_map(torch.from_numpy(units["cm"])), units["noise_map"], 0, 1e-12)
    for name in ("", "2"):
        picture = planes(units[f"eq_in{name}"])
        found = equalised(picture, equalisation(picture[0]))
        assert torch.equal((found * 255).round().byte(), planes(units[f"eq_out{name}"]))


def test_encoder(net, truth):
    levels, colors = net.conditions(dark_and_bright(truth)[0])
    close(colors, truth["enc_color_map"], 0, 1e-6)
    close(levels[2], truth["enc_fea_up0"], 1e-5, 1e-6)
    for level, name in ((levels[0], "up2"), (levels[1], "up1")):
        close(level[..., :8, :8], truth[f"enc_fea_{name}_crop"], 1e-5, 1e-6)
        close(level.mean((2, 3)), truth[f"enc_fea_{name}_chmean"], 1e-5, 1e-6)


def test_latent_and_likelihood(net, truth):
    dark, bright = dark_and_bright(truth)
    latent, log_det, colors = net(dark, bright)
    close(latent, truth["z"], 1e-6, 1e-5)
    close(log_det, truth["logdet"], 1e-8)
    close(bits_per_pixel(latent, log_det, net.design.mean(colors), PIXELS), truth["nll_encmean"], 1e-6)
    close(bits_per_pixel(latent, log_det, net.design.mean(color_map(bright)), PIXELS), truth["nll_gtmean"], 1e-6)


def test_decoded(net, truth):
    conditions = net.conditions(dark_and_bright(truth)[0])
    picture, log_det = net.decode(net.design.mean(conditions.colors), conditions)
    close(picture, truth["decoded"], 1e-6, 1e-5)
    close(log_det, truth["decode_logdet"], 1e-8)


def test_gradients(folder, weights):
    net = network("small", folder, weights)
    dark, bright = dark_and_bright(np.load(folder / "small.npz"))
    latent, log_det, colors = net(dark, bright)
    bits_per_pixel(latent, log_det, net.design.mean(colors), PIXELS).sum().backward()
    expected = json.loads((folder / "small_gradnorms.json").read_text())
    found = {name: float(parameter.grad.norm()) for name, parameter in net.named_parameters()}
    assert found == pytest.approx(expected, rel=1e-6)


def test_normalisations_follow_data(folder, weights):
    net = network("small", folder, weights, zero_actnorm=True)
    dark, bright = (torch.cat([one, one.flip(3)]) for one in dark_and_bright(np.load(folder / "small.npz")))
    net.initialise(dark, bright)
    truth, state = np.load(folder / "small_actnorm_init.npz"), net.state_dict()
    for key, total, norm in zip(truth["keys"], truth["sum"], truth["norm"], strict=True):
        assert float(state[key].sum()) == pytest.approx(total, rel=1e-6, abs=1e-6)
        assert float(state[key].norm()) == pytest.approx(norm, rel=1e-6)
        if f"full_{key}" in truth:
            close(state[key], truth[f"full_{key}"], 1e-6, 1e-6)
    latent, log_det, colors = net(dark, bright)
    close(log_det.detach(), truth["logdet"], 1e-6)
    close(bits_per_pixel(latent, log_det, net.design.mean(colors), PIXELS).detach(), truth["nll"], 1e-6)


def test_parameters_that_count(net, folder, size):
    meta = json.loads((folder / "meta.json").read_text())[SIZES[size]]
    assert sum(one.numel() for one in net.parameters()) == meta["used_params"]
    assert sum(one.numel() for one in net.RRDB.parameters()) == meta["encoder_params"] - meta["unused_encoder"]
