from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from rawpipe import Frame, Noise, Pipeline, Space, StageError, bayer
from rawpipe.stages import DefectPixels
from rawpipe.stages.defect_pixels import kernels
from rawpipe.testing import check_stage, synthetic_frame

SIGMA = 0.01  # of the noise without light


def noise(shot: float = 1e-4) -> Noise:
    return Noise(torch.full((4,), shot), torch.full((4,), SIGMA), torch.zeros(4))


def flat(known: bool = True, level: float = 0.0, size: tuple[int, int] = (512, 768), seed: int = 0) -> Frame:
    """A noisy flat field that says how noisy it is, or doesn't."""
    frame = synthetic_frame(Space.MOSAIC, *size, "GRBG", level=level, noise=noise(), seed=seed)
    return frame if known else replace(frame, noise=None)


def scene(picture: Tensor, cfa: str = "RGGB") -> Frame:
    """A picture (H, W) of the neutral's colour without noise, whose frame knows how much there usually is."""
    frame = synthetic_frame(Space.MOSAIC, *picture.shape, cfa, noise=noise())
    return replace(frame, data=picture * bayer.spread(bayer.per_site(frame.neutral), cfa, *picture.shape))


def spoilt(frame: Frame, share: float, step: float, seed: int = 1) -> tuple[Frame, Tensor]:
    """Defects of one size, none close to another, and where they are."""
    at = torch.zeros(frame.data.shape, dtype=torch.bool)
    cells = at[4::8, 4::8]
    chosen = torch.rand(cells.shape, generator=torch.Generator().manual_seed(seed)) < 64 * share
    odd = torch.arange(cells.shape[1]) % 2  # so that all sites have some
    at[4::8, 4::8] = chosen & (odd == 0)
    at[3::8, 5::8] = chosen & (odd == 1)
    return replace(frame, data=torch.where(at, frame.data + step, frame.data)), at


# Detection


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("level", [0.0, 0.3])
def test_clean_noise_loses_fewer_than_one_pixel_in_a_hundred_thousand(known: bool, level: float) -> None:
    changed = 0
    for seed in range(4):
        frame = flat(known, level, seed=seed)
        changed += int((DefectPixels()(frame).data != frame.data).sum())
    assert changed <= 1e-5 * 4 * 512 * 768


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("level", [0.0, 0.3])
@pytest.mark.parametrize(("deviations", "found"), [(10, 0.85), (15, 0.985), (100, 0.995), (-15, 0.985), (-100, 0.995)])
def test_single_defects_are_found(known: bool, level: float, deviations: int, found: float) -> None:
    sigma = (SIGMA**2 + 1e-4 * level) ** 0.5
    frame, at = spoilt(flat(known, level), 2e-3, deviations * sigma)
    changed = DefectPixels()(frame).data != frame.data
    assert float(changed[at].double().mean()) >= found
    assert int((changed & ~at).sum()) <= 4


def test_what_replaces_a_defect_is_the_median_of_its_site_around_it() -> None:
    frame = flat()
    frame.data[20, 30] = 3.0
    around = torch.stack([frame.data[20 + dy, 30 + dx] for dy in (-2, 0, 2) for dx in (-2, 0, 2) if dy or dx])
    expected = around.sort().values[3:5].mean()
    assert torch.equal(DefectPixels()(frame).data[20, 30], expected)


def test_nine_in_ten_of_the_defects_are_found_where_others_are_near() -> None:
    frame = flat()
    at = torch.rand(frame.data.shape, generator=torch.Generator().manual_seed(2)) < 4e-3
    hot = replace(frame, data=torch.where(at, frame.data + 0.5, frame.data))
    assert float((DefectPixels()(hot).data != hot.data)[at].double().mean()) > 0.9


def test_a_higher_threshold_finds_less() -> None:
    frame, at = spoilt(flat(), 2e-3, 12 * SIGMA)
    found = [int((DefectPixels(threshold=t)(frame).data != frame.data)[at].sum()) for t in (5.0, 8.0, 12.0)]
    assert found[0] > found[1] > found[2]


def test_noise_that_the_frame_knows_decides_where_the_spread_would_not() -> None:
    loud = replace(flat(), noise=noise().map(lambda values: 100 * values))
    frame, _ = spoilt(loud, 2e-3, 15 * SIGMA)
    assert torch.equal(DefectPixels()(frame).data, frame.data)
    assert not torch.equal(DefectPixels()(replace(frame, noise=None)).data, frame.data)


def test_counts_that_hardly_vary_are_left_alone() -> None:
    frame = synthetic_frame(Space.SENSOR, 64, 96, level=0.0)
    frame.data[10::7, 10::9] += 2
    frame = replace(frame, data=frame.data.to(torch.uint16))
    assert torch.equal(DefectPixels()(frame).data, frame.data.float())


def lines() -> dict[str, Tensor]:
    y, x = torch.arange(64.0)[:, None], torch.arange(96.0)
    return {
        "vertical": (x == 40).expand(64, 96),
        "horizontal": (y == 31).expand(64, 96),
        "diagonal": y == x - 10,
        "one in three": y == (x / 3 + 10).round(),
        "one in ten": y == (x / 10 + 20).round(),
        "three in two": (y / 1.5).round() == x - 20,
        "with ends": ((x == 40) & (y >= 20) & (y < 30)).expand(64, 96),
        "dots of two": ((x // 2 % 6 == 0) & (y % 11 == 5)).expand(64, 96),
    }


@pytest.mark.parametrize("name", lines())
@pytest.mark.parametrize("cfa", bayer.PHASES)
@pytest.mark.parametrize("bright", [True, False])
@pytest.mark.parametrize("known", [True, False])
def test_lines_one_pixel_wide_stay(name: str, cfa: str, bright: bool, known: bool) -> None:
    frame = scene(torch.where(lines()[name] == bright, 0.8, 0.2), cfa)
    frame = frame if known else replace(frame, noise=None)
    assert torch.equal(DefectPixels()(frame).data, frame.data)


@pytest.mark.parametrize("cfa", bayer.PHASES)
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("slope", [0.0, 0.1, 0.5, 1.0, 2.7])
def test_edges_and_corners_stay(cfa: str, known: bool, slope: float) -> None:
    y, x = torch.arange(64.0)[:, None], torch.arange(96.0)
    frame = scene(torch.where((x > 40 + slope * (y - 30)) & (y > 9), 0.8, 0.1), cfa)
    frame = frame if known else replace(frame, noise=None)
    assert torch.equal(DefectPixels()(frame).data, frame.data)


def star(row: float, column: float, peak: float, width: float) -> Tensor:
    """A round star (33, 33), `width` pixels wide at half its height, integrated over the pixels."""
    edges = torch.arange(34.0) - 0.5
    rows, columns = (torch.erf((edges - at) * 1.665 / width).diff() for at in (row, column))
    spot = rows[:, None] * columns
    return peak * spot / spot.max()


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("width", [1.5, 2.0, 4.0])
def test_stars_stay(known: bool, width: float) -> None:
    places = torch.rand(50, 2, generator=torch.Generator().manual_seed(3)) * 2 + 15
    for row, column in places.tolist():
        frame = scene(star(row, column, 0.9, width))
        frame = frame if known else replace(frame, noise=None)
        assert torch.equal(DefectPixels()(frame).data, frame.data)


@pytest.mark.parametrize("known", [True, False])
def test_texture_loses_fewer_than_one_pixel_in_ten_thousand(known: bool) -> None:
    down, across = torch.fft.fftfreq(512)[:, None], torch.fft.fftfreq(512)
    phases = torch.rand(512, 512, generator=torch.Generator().manual_seed(6)) * 2 * torch.pi
    spectrum = torch.polar(1 / (down**2 + across**2).sqrt().clamp(min=1 / 512), phases)
    picture = torch.fft.ifft2(spectrum).real
    frame = scene((0.4 + 0.15 * picture / picture.std()).clamp(0, 1))
    quiet = Noise(torch.full((4,), 1e-5), torch.full((4,), 1e-3), torch.zeros(4))
    changed = DefectPixels()(replace(frame, noise=quiet if known else None)).data != frame.data
    assert float(changed.double().mean()) < 1e-4


def test_a_defect_beside_an_edge_is_found() -> None:
    x = torch.arange(96.0)
    truth = scene(torch.where(x > 40, 0.8, 0.1).expand(64, 96))
    frame = replace(truth, data=truth.data.clone())
    frame.data[20, 38], frame.data[40, 45] = 1.0, 0.0
    torch.testing.assert_close(DefectPixels()(frame).data, truth.data)


# The stage


@pytest.mark.parametrize(
    "stage",
    [
        DefectPixels(),
        DefectPixels(pixels=((6, 38), (20, 50), (20, 52), (22, 52))),
        DefectPixels(detect=False, pixels=((6, 38), (20, 50), (20, 52), (22, 52))),
        DefectPixels(detect=False),
    ],
)
def test_laws(stage: DefectPixels) -> None:
    check_stage(stage)


@pytest.mark.parametrize("dtype", [torch.uint16, torch.float32, torch.float64])
@pytest.mark.parametrize("known", [True, False])
def test_compiled_in_strips_equals_plain(dtype: torch.dtype, known: bool) -> None:
    frame = synthetic_frame(Space.SENSOR, 65, 93, "GBRG", level=0.2, noise=noise(), dtype=dtype, batch=(2,))
    hot = torch.rand(frame.data.shape, generator=torch.Generator().manual_seed(4)) < 5e-3
    frame = replace(frame, data=torch.where(hot, 15000, frame.data), noise=frame.noise if known else None)
    stage = DefectPixels(pixels=tuple((y, 2 * y) for y in range(6, 60)))
    plain = stage(frame)
    assert not torch.equal(plain.data, frame.data.to(plain.data.dtype))
    for pipeline in (Pipeline([stage], rows=8), Pipeline([stage], rows=8).compile(backend="eager")):
        assert torch.equal(pipeline(frame).data, plain.data)


@pytest.mark.parametrize("threshold", [0, -1.0, float("nan"), "5"])
def test_a_threshold_that_is_none_is_refused(threshold: Any) -> None:
    with pytest.raises(StageError, match="expected standard deviations, above 0"):
        DefectPixels(threshold=threshold)


def test_the_network_sorts() -> None:
    values = torch.rand(8, 5000, generator=torch.Generator().manual_seed(5))
    assert torch.equal(torch.stack(kernels._sorted(list(values))), values.sort(dim=0).values)
