from __future__ import annotations

from itertools import product

import colour
import numpy as np
import pytest
import torch

from rawpipe import StageError
from rawpipe.colorimetry import (
    BRADFORD,
    CURVES,
    D50,
    D60_ACES,
    D65,
    RGB_SPACES,
    Curve,
    adaptation,
    rgb_space,
    temperature_k,
    xy,
    xyz,
)


def daylight_xy(kelvin: float) -> tuple[float, float]:
    """A black body below 4000 K, CIE daylight above."""
    locus = colour.temperature.CCT_to_xy_Kang2002 if kelvin < 4000 else colour.temperature.CCT_to_xy_CIE_D
    x, y = locus(kelvin)
    return float(x), float(y)


TITLES = {
    "srgb": "sRGB",
    "display_p3": "Display P3",
    "adobe_rgb": "Adobe RGB (1998)",
    "rec2020": "ITU-R BT.2020",
    "prophoto": "ProPhoto RGB",
    "acescg": "ACEScg",
}
NAMED_CURVES = {
    "srgb": colour.models.eotf_inverse_sRGB,
    "adobe_rgb": colour.RGB_COLOURSPACES["Adobe RGB (1998)"].cctf_encoding,
    "prophoto": colour.models.cctf_encoding_ROMMRGB,
}


@pytest.mark.parametrize("name", RGB_SPACES)
def test_the_matrix_of_an_rgb_space_is_colours(name: str) -> None:
    space = colour.RGB_COLOURSPACES[TITLES[name]]
    derived = colour.normalised_primary_matrix(space.primaries, RGB_SPACES[name].white)
    np.testing.assert_allclose(RGB_SPACES[name].to_xyz().numpy(), derived, rtol=0, atol=1e-12)
    # colour states the matrices as their standards round them; ISO 22028-2 rounds the white of ROMM too, to 0.8249.
    atol = 3e-4 if name == "prophoto" else 1e-4
    np.testing.assert_allclose(RGB_SPACES[name].to_xyz().numpy(), space.matrix_RGB_to_XYZ, rtol=0, atol=atol)
    np.testing.assert_allclose(RGB_SPACES[name].primaries, space.primaries, rtol=0, atol=1e-6)
    np.testing.assert_allclose(RGB_SPACES[name].white, space.whitepoint, rtol=0, atol=1e-4)


def test_white_is_one_in_every_rgb_space() -> None:
    for space in RGB_SPACES.values():
        torch.testing.assert_close(space.to_xyz().sum(dim=1), xyz(space.white), rtol=0, atol=1e-12)
        assert space.curve in CURVES


@pytest.mark.parametrize("name", NAMED_CURVES)
def test_a_curve_is_the_one_of_its_standard(name: str) -> None:
    linear = np.linspace(0, 1, 4097)
    # IEC 61966-2-1 rounds sRGB's knee (0.0031308, 0.04045), and the two pieces miss each other by 1e-8 there.
    ours = CURVES[name].encode(torch.from_numpy(linear)).numpy()
    np.testing.assert_allclose(ours, NAMED_CURVES[name](linear), rtol=0, atol=1e-7)


def test_rec2020_has_the_exact_constants_not_those_of_ten_or_twelve_bits() -> None:
    curve = CURVES["rec2020"]
    alpha, beta = 1.09929682680944, 0.018053968510807  # BT.2020-2, table 4: alpha and beta solved, not rounded
    assert curve.a == 1 / alpha
    # The two pieces meet in value and slope, which the rounded constants 1.099 / 0.018 and 1.0993 / 0.0181 don't.
    assert abs(4.5 * beta - (alpha * beta**0.45 - (alpha - 1))) < 1e-13
    assert abs(4.5 - alpha * 0.45 * beta ** (0.45 - 1)) < 1e-11
    linear = np.linspace(0, 1, 1001)
    ten, twelve = (colour.models.oetf_BT2020(linear, is_12_bits_system=bits) for bits in (False, True))
    ours = curve.encode(torch.from_numpy(linear)).numpy()
    assert np.abs(ours - ten).max() < 4e-4
    assert np.abs(ours - twelve).max() < 2e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CURVES)
def test_decoding_undoes_encoding_below_zero_and_above_one_too(name: str, dtype: torch.dtype) -> None:
    linear = torch.linspace(-2, 8, 20001, dtype=dtype)
    again = CURVES[name].decode(CURVES[name].encode(linear))
    # sRGB's rounded knee leaves a gap of 1e-8 that no value can round-trip through.
    torch.testing.assert_close(again, linear, rtol=2e-6 if dtype is torch.float32 else 1e-9, atol=3e-8)


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_is_odd_and_rises_everywhere(name: str) -> None:
    linear = torch.linspace(0, 4, 100_001, dtype=torch.float64)
    encoded = CURVES[name].encode(linear)
    assert CURVES[name].encode(-linear).equal(-encoded)
    assert (encoded.diff() > 0).all()
    assert abs(float(CURVES[name].encode(torch.ones((), dtype=torch.float64))) - 1) < 1e-12
    assert abs(float(encoded[0])) < 1e-12


@pytest.mark.parametrize(("name", "dtype"), list(product(CURVES, [torch.float32, torch.float64])))
def test_gradients_are_finite_at_zero(name: str, dtype: torch.dtype) -> None:
    for direction in (CURVES[name].encode, CURVES[name].decode):
        values = torch.tensor([-1.0, -1e-20, -0.0, 0.0, 1e-20, 1e-3, 1.0], dtype=dtype, requires_grad=True)
        (gradient,) = torch.autograd.grad(direction(values).sum(), values)
        assert gradient.isfinite().all()


def test_gradients_are_those_of_the_curve() -> None:
    values = torch.tensor([-0.7, -1e-3, 1e-3, 0.2, 0.9, 2.5], dtype=torch.float64, requires_grad=True)
    for curve in CURVES.values():
        assert torch.autograd.gradcheck(curve.encode, values)
        assert torch.autograd.gradcheck(curve.decode, values)


def test_a_plain_power_is_a_curve() -> None:
    torch.testing.assert_close(Curve(2.0).decode(torch.tensor([-3.0, 0.5])), torch.tensor([-9.0, 0.25]))


# Between 2000 and 10000 K, on the daylight and Planckian loci and a little beside them.
WHITES = [
    (x + dx, y + dy)
    for kelvin in (2000, 2500, 2856, 3500, 4500, 5000, 5500, 6504, 7500, 10000)
    for x, y in [daylight_xy(kelvin)]
    for dx, dy in [(0, 0), (0.01, 0.005), (-0.004, -0.012)]
]


@pytest.mark.parametrize("white", [*WHITES, D50, D65, D60_ACES, (1 / 3, 1 / 3)])
def test_the_temperature_is_robertsons(white: tuple[float, float]) -> None:
    uv = colour.UCS_to_uv(colour.XYZ_to_UCS(colour.xy_to_XYZ(white)))
    expected = colour.temperature.uv_to_CCT_Robertson1968(uv)[0]
    assert temperature_k(white) == pytest.approx(expected, rel=1e-9)


def test_the_temperature_stays_finite_off_the_table() -> None:
    assert 1666 < temperature_k((0.65, 0.35)) < 1668
    assert temperature_k((0.24, 0.24)) > 1e4
    assert temperature_k(xy(torch.tensor([0.9, 1.0, 1.8]))) > 10_000


def test_adaptation_is_bradfords_and_takes_white_to_white() -> None:
    np.testing.assert_array_equal(BRADFORD, colour.CHROMATIC_ADAPTATION_TRANSFORMS["Bradford"])
    for source, target in ((D65, D50), (D50, D65), ((0.4476, 0.4074), D50)):
        ours = adaptation(xyz(source), xyz(target))
        expected = colour.adaptation.matrix_chromatic_adaptation_VonKries(
            colour.xy_to_XYZ(source), colour.xy_to_XYZ(target), "Bradford"
        )
        np.testing.assert_allclose(ours.numpy(), expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(ours @ xyz(source), xyz(target))


def test_xy_and_xyz_undo_each_other() -> None:
    assert xy(xyz((0.31, 0.33)) * 7) == pytest.approx((0.31, 0.33), abs=1e-15)


def test_an_unknown_space_gets_a_suggestion() -> None:
    with pytest.raises(StageError, match=r"got color space 'sRGB'; expected one of srgb.*did you mean 'srgb'"):
        rgb_space("sRGB")
