"""The mathematics against reference outputs; see the README beside them. Skipped where they are absent."""

import json
import zlib

import numpy as np
import pytest
import torch

from rawpipe.metrics import brightness_matched
from rawpipe.stages.enhance.exposure_diffusion.head import adaptive, plain
from rawpipe.stages.enhance.exposure_diffusion.loss import (
    StepWeights,
    exposure_loss,
    parts_loss,
    poisson_divergence,
)
from rawpipe.stages.enhance.exposure_diffusion.model import Design, Light
from rawpipe.stages.enhance.exposure_diffusion.nafnet import NAFNet
from rawpipe.stages.enhance.exposure_diffusion.process import expose, mean_field, schedule
from rawpipe.stages.enhance.exposure_diffusion.unet import UNet

VARIANTS = ("unet_pg", "unet_eld", "unet_plain", "naf_pg", "naf2_pg", "naf2_eld")
INPUTS = {"pg": 8, "eld": 12, "plain": 4}
S = 15583.0


@pytest.fixture(scope="module")
def weights(golden_weights):
    return golden_weights.exposurediffusion


@pytest.fixture(scope="module")
def folder(golden):
    return golden / "exposurediffusion"


def doubles(array):
    return torch.from_numpy(array).double()


def per_picture(*values):
    return torch.tensor(values, dtype=torch.float64).view(-1, 1, 1, 1)


def network(variant, folder, weights):
    kind, flavour = variant.split("_")
    inputs, outputs = INPUTS[flavour], 4 if flavour == "plain" else 9
    if kind == "unet":
        net = UNet(inputs, outputs)
    else:
        levels = {} if kind == "naf" else {"encoders": (2, 2, 4, 4), "middle": 12, "decoders": (2, 2, 2, 2)}
        net = NAFNet(inputs, outputs, **levels)
    shapes = json.loads((folder / "keys.json").read_text())[variant]
    net.load_state_dict({k: torch.from_numpy(weights(k, s, kind != "unet")) for k, s in shapes.items()})
    return net.double().requires_grad_(False)


@pytest.mark.parametrize("variant", VARIANTS)
def test_networks_give_the_reference_outputs_under_the_published_keys(variant, folder, weights):
    net = network(variant, folder, weights)
    with np.load(folder / ("forward_naf2_pg.npz" if variant == "naf2_pg" else "forward.npz")) as stored:
        state, flavour = doubles(stored["x"]), variant.split("_")[1]
        channels = [state]
        channels += [doubles(stored["photon"])] if flavour != "plain" else []
        channels += [doubles(stored["x_origin"])] if flavour == "eld" else []
        output = net(torch.cat(channels, 1))
        got = plain(output) if flavour == "plain" else adaptive(output, state)
        torch.testing.assert_close(got.clean, doubles(stored[f"{variant}_final"]), atol=1e-7, rtol=0)
        for part, name in ((got.mask, "mask"), (got.direct, "x0raw"), (got.residual, "xres")):
            if f"{variant}_{name}" in stored:
                torch.testing.assert_close(part, doubles(stored[f"{variant}_{name}"]), atol=1e-6, rtol=1e-6)
    parameters = json.loads((folder / "meta.json").read_text()).get(variant, {}).get("params")
    if parameters is not None:
        assert sum(p.numel() for p in net.parameters()) == parameters


def floor_poisson(mean, step):
    draw = np.random.default_rng(zlib.crc32(f"poisson{step}".encode())).random(tuple(mean.shape))
    return torch.floor(mean + torch.from_numpy(draw))


LOOPS = (
    "pg_gtcorr_meanfield_it2",
    "pg_gtcorr_floorpoisson_it2",
    "pg_nocorr_meanfield_it0",
    "pg_nocorr_meanfield_it2",
    "pg_nocorr_meanfield_it4",
    "pg_nocorr_floorpoisson_it2",
    "eld_gtcorr_meanfield_it2",
    "eld_nocorr_meanfield_it2",
)


@pytest.mark.parametrize("loop", LOOPS)
def test_the_process_gives_the_reference_pictures_at_every_step(loop, folder, weights):
    flavour, corrector, photons, steps = loop.split("_")
    net = network(f"unet_{flavour}", folder, weights)
    with np.load(folder / "loop.npz") as stored:
        ratio, gain, target = float(stored["ratio"]), float(stored["K"]), doubles(stored["target"])
        multipliers = schedule(ratio, int(steps[2:]) + 1)
        if f"lambda_{steps}" in stored:
            np.testing.assert_allclose(multipliers, stored[f"lambda_{steps}"])
        design = Design(origin=flavour == "eld", sigma=False)
        dim, shot = doubles(stored["input"]), per_picture(ratio * gain / S)
        light = Light(shot, torch.zeros_like(shot))
        seen = []

        def estimated(state, multiplier):
            seen.append(design.channels(state, multiplier, dim, light))
            return adaptive(net(seen[-1]), state)

        got = expose(
            estimated,
            dim,
            shot,
            multipliers,
            mean_field if photons == "meanfield" else floor_poisson,
            corrected=(lambda y: brightness_matched(y, target)) if corrector == "gtcorr" else None,
        )
        torch.testing.assert_close(
            torch.cat([one.clean for one in got]), doubles(stored[f"{loop}_outs"]), atol=1e-6, rtol=0
        )
        if f"{loop}_netin" in stored:
            torch.testing.assert_close(torch.cat(seen), doubles(stored[f"{loop}_netin"]), atol=1e-6, rtol=1e-6)


BATCHES = {
    "bs1": ((250,), (4.0,), ((1,), (30,), (60,), (250,))),
    "bs2": ((250, 220), (4.0, 2.5), ((1, 1), (30, 25), (60, 80), (250, 220))),
}


@pytest.mark.parametrize("batch", BATCHES)
def test_the_loss_and_its_gradients_are_the_reference_ones(batch, folder, weights):
    ratios, gains, multipliers = BATCHES[batch]
    net = network("unet_pg", folder, weights).requires_grad_(True)
    with np.load(folder / "loop.npz") as stored:
        dim, clean = doubles(stored["input"]), doubles(stored["target"])
    if batch == "bs2":
        dim, clean = torch.cat([dim, dim.flip(2)]), torch.cat([clean, clean.flip(2)])
    step_weights = StepWeights(3).double()
    design, ratio = Design(origin=False, sigma=False), per_picture(*ratios)
    shot = ratio * per_picture(*gains) / S
    light = Light(shot, torch.zeros_like(shot))
    got = expose(
        lambda state, multiplier: adaptive(net(design.channels(state, multiplier, dim, light)), state),
        dim,
        shot,
        [per_picture(*one) for one in multipliers],
        corrected=lambda y: brightness_matched(y, clean),
    )
    loss = exposure_loss(got, clean, step_weights())
    loss.backward()
    with np.load(folder / "train.npz") as stored:
        assert loss.item() == pytest.approx(float(stored[f"{batch}_loss"]), rel=1e-7)
        np.testing.assert_allclose(step_weights.free.grad, stored[f"{batch}_weight_grad"], rtol=1e-6, atol=1e-8)
        steps = [((one.clean - clean).abs().mean().item(), parts_loss(one, clean).item()) for one in got]
        np.testing.assert_allclose(steps, stored[f"{batch}_per_step_l1_aux"], rtol=1e-6)
        np.testing.assert_allclose(net.conv10_1.bias.grad, stored[f"{batch}_grad_conv10_1.bias"], rtol=1e-5, atol=1e-8)
        for name, parameter in net.named_parameters():
            if f"{batch}_gradnorm_{name}" in stored:
                norm = float(stored[f"{batch}_gradnorm_{name}"])
                assert parameter.grad.norm().item() == pytest.approx(norm, rel=1e-6), name


def test_divergence_and_brightness_match_are_the_reference_ones(folder):
    with np.load(folder / "train.npz") as stored:
        got = poisson_divergence(doubles(stored["kl_pred"]), doubles(stored["kl_gt"]))
        assert got.item() == pytest.approx(float(stored["kl_loss"]), rel=1e-7)
        matched = brightness_matched(doubles(stored["corr_pred"]), doubles(stored["corr_src"]))
        np.testing.assert_allclose(matched, stored["corr_out"], atol=1e-12)
