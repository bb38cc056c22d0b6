"""What is learned: the likelihood, with a drawn mean; and for comparison the distance."""

from pathlib import Path

import pytest
import torch

from rawpipe import StageError
from rawpipe.stages.enhance.equalise import equalisation
from rawpipe.stages.enhance.evaluation.display import OF_TRUTH, psnr_in_8_bits
from rawpipe.stages.enhance.llflow.domains import shown_raw, to_display, to_linear
from rawpipe.stages.enhance.llflow.inputs import color_map, logarithm
from rawpipe.stages.enhance.llflow.learn import TABLES, Flowing, Objective, pair, recipe
from rawpipe.stages.enhance.llflow.model import Design, bits_per_pixel
from rawpipe.stages.enhance.training.batch import Synthetic
from rawpipe.stages.enhance.training.config import Config, Data, Stated, Training
from rawpipe.stages.enhance.training.data import Opened
from rawpipe.stages.enhance.training.lol import Files, Lit, LolPatches, Shots, middles
from rawpipe.stages.enhance.training.loop import Settings, train
from rawpipe.stages.enhance.training.photographs import Photographs, dead_leaves
from rawpipe.stages.enhance.training.run import configured, recipes


@pytest.fixture(scope="module")
def batches():
    return Synthetic(Photographs(dead_leaves(2, 128)), 2, 32, (20.0, 20.0))


def flowing(batches, **objective):
    return Flowing(Design("raw"), Objective(**objective), batches, {"x20": batches[10**6]})


@pytest.mark.parametrize("true_colors", [0.0, 1.0])
def test_the_loss_is_the_likelihood_around_either_mean(batches, true_colors):
    torch.manual_seed(0)
    recipe = flowing(batches, true_colors=true_colors, noise=0.0)
    network = recipe.build()
    dark, bright = pair(batches[0])
    latent, log_det, colors = network(dark, bright)
    mean = recipe.design.mean(color_map(bright) if true_colors else colors)
    expected = bits_per_pixel(latent, log_det, mean, 32 * 32).mean()
    torch.testing.assert_close(recipe.loss(network, batches[0], 0), expected)


def test_means_and_noise_follow_from_the_number_of_the_batch(batches):
    torch.manual_seed(0)
    recipe = flowing(batches, true_colors=0.5, noise=0.1)
    network = recipe.build()
    with torch.no_grad():
        losses = [float(recipe.loss(network, batches[0], index)) for index in (*range(6), *range(6))]
    assert losses[:6] == losses[6:] and len(set(losses)) == 6


def test_the_distance_is_that_of_the_likeliest_picture(batches):
    torch.manual_seed(0)
    recipe = flowing(batches, loss="l1")
    network = recipe.build()
    dark, bright = pair(batches[0])
    expected = (network.estimate(dark) - bright).abs().mean()
    torch.testing.assert_close(recipe.loss(network, batches[0], 0), expected)


@pytest.mark.parametrize("loss", ["nll", "l1"])
def test_a_training_gets_better(batches, tmp_path, loss):
    pytest.importorskip("lightning_fabric")
    figures = []
    settings = Settings(
        40, rate=2e-3, warmup=1, average=0.8, precision="32-true", accelerator="cpu", judge_every=1, checkpoint_every=40
    )
    train(
        flowing(batches, loss=loss),
        batches,
        settings,
        tmp_path,
        "me",
        validated=lambda step, found: figures.append(found["x20"]),
    )
    assert figures[-1] > figures[0] + 1 and (tmp_path / "validation.png").is_file()


@pytest.fixture(scope="module")
def lit():
    """Textures, and the same at an eighth of their brightness."""
    high = torch.stack([picture[:, :32, :48] for picture in dead_leaves(2, 64)]) / 255
    return Lit((high / 8 * 255).round() / 255, high.flip(3), high)


def test_of_a_lit_pair_the_logarithm_and_the_equalised_picture_are_shown(lit):
    dark, bright = pair(lit)
    assert torch.equal(dark, torch.cat([logarithm(lit.low), lit.equal], 1)) and bright is lit.high
    assert dark.shape[1] == Design("rgb").inputs


def test_lit_pairs_are_judged_as_they_are_and_with_the_brightness_of_the_truth(lit):
    torch.manual_seed(0)
    rgb = Flowing(Design("rgb"), Objective(), [lit], {"lol": lit})
    network = rgb.build()
    with torch.no_grad():
        judged = rgb.judge(network, torch.device("cpu"))
        found = network.estimate(pair(lit)[0])
    for name, alignment in (("lol", "as-is"), ("lol, brightness of the truth", OF_TRUTH)):
        each = [psnr_in_8_bits(*two, alignment) for two in zip(found, lit.high, strict=True)]
        assert judged.figures[name] == pytest.approx(sum(each) / 2, abs=1e-4)
    assert judged.picture.shape == (3, 32, 3 * 2 * 48)
    assert torch.equal(judged.picture[:, :, -96:], torch.cat(list(lit.high), 2))


def shots(picture, low, high):
    """A pair whose pictures are a texture times `low` and `high`."""
    dark, lit = ((picture * share).to(torch.uint8) for share in (low, high))
    return Shots(Files(Path("low/a.png"), Path("high/a.png")), dark, lit, equalisation(dark))


def test_the_light_that_likeliest_pictures_lack_goes_with_the_weights():
    pairs = [shots(picture, 1 / 8, 1.0) for picture in dead_leaves(3, 72)]
    rgb = Flowing(Design("rgb"), Objective(), LolPatches(pairs, 2, 32))
    torch.manual_seed(0)
    network = rgb.build()
    with torch.no_grad():
        whole = [pair(middles([one], 72)) for one in pairs]
        found = sum(float(to_linear(network.estimate(dark)).mean()) for dark, _ in whole)
        wanted = sum(float(to_linear(bright).mean()) for _, bright in whole)
    settled = rgb.settled(network.state_dict())
    assert settled.light == pytest.approx(wanted / found, rel=1e-4) and abs(settled.light - 1) > 0.01
    assert settled == Design("rgb", light=settled.light)


def test_no_light_is_measured_where_there_is_none_or_where_it_is_known(batches):
    pairs = [shots(picture, 1 / 8, 0.0) for picture in dead_leaves(2, 72)]
    torch.manual_seed(0)
    black = Flowing(Design("rgb"), Objective(), LolPatches(pairs, 2, 32))
    assert black.settled(black.build().state_dict()) == Design("rgb")
    assert flowing(batches).settled({}) == Design("raw")


def test_a_network_learns_from_data_of_its_domain_alone(tmp_path):
    for domain, data in (("raw", Data(lol=(tmp_path,))), ("rgb", Data(dead_leaves=1))):
        own = {"model": Design(domain), "objective": Objective()}
        config = Config(own, data, Training(1), Stated("a", "b", "c"))
        with pytest.raises(StageError, match=f"got domain '{domain}' to learn from .*; expected '(rgb|raw)': set"):
            recipe(config, Opened([], {}, ""))


def test_the_normalisations_follow_the_first_batch_that_is_learned(batches):
    networks = []
    for first, kept in ((0, 1), (0, 2), (1, 1)):
        torch.manual_seed(0)
        networks.append(Flowing(Design("raw"), Objective(), [batches[first]], {"x20": batches[kept]}).build())
    own, other, another = ([value for key, value in n.state_dict().items() if "actnorm" in key] for n in networks)
    assert own and all(map(torch.equal, own, other)) and not any(map(torch.equal, own, another))


def test_what_the_network_is_shown():
    planes = torch.tensor([-0.2, 0.25, 1.0, 9.0]).view(1, 4, 1, 1).expand(2, 4, 8, 8)
    shot, read = torch.full((2, 4, 1, 1), 0.04), torch.full((2, 4, 1, 1), 0.1)
    shown = shown_raw(planes, shot, read, torch.tensor([1.0, 300.0]).view(2, 1, 1, 1))
    assert shown.shape == (2, Design("raw").inputs, 8, 8)
    top = 1 + 5 * 0.05**0.5
    torch.testing.assert_close(shown[0, 4:8, 0, 0], torch.tensor([-0.2, 0.25, 1.0, top]))
    torch.testing.assert_close(shown[0, 8:11, 0, 0], torch.tensor([0.01, 0.02, 0.05]).sqrt())
    assert shown[:, 12, 3, 3].tolist() == [0.0, 1.0]


def test_pictures_are_learned_behind_a_curve():
    planes = torch.linspace(0, 1, 11)
    torch.testing.assert_close(to_linear(to_display(planes)), planes)
    assert float(to_display(torch.tensor(0.2))) == pytest.approx(0.4845, abs=1e-4)  # sRGB
    assert to_linear(torch.tensor([-1.0, 2.0])).tolist() == [0.0, 1.0]


def test_recipes_are_right():
    for name in recipes("llflow"):
        config = configured("llflow", name)
        assert set(config.own) == set(TABLES) and config.weights.learned_from


@pytest.mark.parametrize("wrong", [{"loss": "l2"}, {"true_colors": 1.5}, {"noise": -1.0}])
def test_wrong_objectives(wrong):
    with pytest.raises(StageError, match="expected"):
        Objective(**wrong)
