"""A still life rendered in linear light, and a camera that takes a dim, noisy RAW of it: the truth behind the demo."""

from __future__ import annotations

import torch
from torch import Tensor

from rawpipe import CameraColor, Frame, Space, bayer
from rawpipe.colorimetry import CURVES, D65, RGB_SPACES, adaptation, xyz

HEIGHT, WIDTH = 640, 960
# The ColorChecker's 24 patches as 8-bit sRGB (D65), row by row. Source: Pascale, D. (2006), "RGB coordinates of the
# Macbeth ColorChecker", table 3; the colours that lie outside sRGB are clipped to it.
CHECKER = (
    (115, 82, 68), (194, 150, 130), (98, 122, 157), (87, 108, 67), (133, 128, 177), (103, 189, 170),
    (214, 126, 44), (80, 91, 166), (193, 90, 99), (94, 60, 108), (157, 188, 64), (224, 163, 46),
    (56, 61, 150), (70, 148, 73), (175, 54, 60), (231, 199, 31), (187, 86, 149), (8, 133, 161),
    (243, 243, 242), (200, 200, 200), (160, 160, 160), (122, 122, 121), (85, 85, 85), (52, 52, 52),
)  # fmt: skip
_CHART = (300, 60)  # top and left of the chart, its patches and the gaps between them, in pixels
_PATCH, _GAP = 44, 8
LAMP = (120, 800, 34)  # row, column and radius
LAMP_LEVEL = 6.0  # times white

# A typical sensor under light of about 5000 K, and its noise at ISO 3200 in DN of 14 bits.
_MATRIX = ((0.646, -0.116, -0.086), (-0.383, 1.160, 0.253), (-0.042, 0.154, 0.604))
_SCENE_WHITE = (0.3457, 0.3585)
_BLACK, _WHITE = 512.0, 16383.0
_K_DN_PER_E, _READ_DN, _ROW_DN = 4.0, 9.0, 1.5
_STOPS_DOWN = 4.0


def scene() -> Tensor:
    """Linear sRGB (3, H, W), white = 1, the lamp brighter."""
    y, x = torch.meshgrid(torch.arange(HEIGHT).float(), torch.arange(WIDTH).float(), indexing="ij")
    picture = torch.stack([0.20 + 0.25 * y / HEIGHT, 0.24 + 0.16 * y / HEIGHT, 0.34 + 0.04 * y / HEIGHT])
    picture = _table(picture, y, x)
    for row, column, radius, color in (
        (470, 560, 90, (0.75, 0.12, 0.08)),
        (500, 730, 62, (0.10, 0.42, 0.16)),
        (515, 860, 46, (0.10, 0.20, 0.60)),
    ):
        picture = _ball(picture, y, x, row, column, radius, torch.tensor(color))
    picture = _star(picture, y, x, row=170, column=560, radius=110)
    picture = _chart(picture)
    ramp = torch.linspace(0.0, 1.0, WIDTH - 480)
    picture[:, 30:60, 60 : 60 + len(ramp)] = ramp
    return _lamp(picture, y, x)


def _table(picture: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """A checked cloth in perspective, from row 400 down."""
    depth = (y - 400).clamp(min=1)
    tile = (((x - WIDTH / 2) * 60 / depth / 24 + 0.5).floor() + (4000 / depth / 6).floor()) % 2
    cloth = torch.where(tile > 0.5, 0.62, 0.40) * torch.tensor([1.0, 0.94, 0.82])[:, None, None]
    return torch.where(y > 400, cloth * (0.55 + 0.45 * (y - 400) / (HEIGHT - 400)), picture)


def _ball(picture: Tensor, y: Tensor, x: Tensor, row: int, column: int, radius: int, color: Tensor) -> Tensor:
    """A ball lit from the lamp's side, with a highlight and a shadow on the cloth."""
    dy, dx = (y - row) / radius, (x - column) / radius
    shadow = torch.exp(
        -(((x - column + 0.5 * radius) / (1.2 * radius)) ** 2 + ((y - row - 0.95 * radius) / (0.3 * radius)) ** 2)
    )
    picture = picture * (1 - 0.6 * shadow * (y > row))
    height = (1 - dy**2 - dx**2).clamp(min=0).sqrt()
    light = (0.45 * dx - 0.55 * dy + 0.70 * height).clamp(min=0)
    shade = (0.08 + 0.92 * light) * color[:, None, None] + 0.9 * light**40
    return torch.where(dy**2 + dx**2 < 1, shade, picture)


def _star(picture: Tensor, y: Tensor, x: Tensor, row: int, column: int, radius: int) -> Tensor:
    """A Siemens star of 36 spokes on a white disc: what interpolation makes of fine detail shows here."""
    angle, distance = torch.atan2(y - row, x - column), ((y - row) ** 2 + (x - column) ** 2).sqrt()
    blade = (torch.sin(36 * angle) * distance / 36 * 2).clamp(-0.5, 0.5) + 0.5  # edges one pixel soft
    edge = (radius - distance).clamp(0, 1)
    return picture * (1 - edge) + edge * (0.04 + 0.86 * blade)


def _chart(picture: Tensor) -> Tensor:
    top, left = _CHART
    size = _PATCH + _GAP
    picture[:, top - _GAP : top + 4 * size, left - _GAP : left + 6 * size] = 0.03
    for index, color in enumerate(checker_linear().T):
        y, x = top + index // 6 * size, left + index % 6 * size
        picture[:, y : y + _PATCH, x : x + _PATCH] = color[:, None, None]
    return picture


def checker_linear() -> Tensor:
    """The 24 patches in linear sRGB (3, 24)."""
    return CURVES["srgb"].decode(torch.tensor(CHECKER, dtype=torch.float32).T / 255)


def checker_means(picture: Tensor) -> Tensor:
    """Mean colour (3, 24) of the inner part of each patch in a picture (3, H, W) of the scene."""
    (top, left), size, inset = _CHART, _PATCH + _GAP, _PATCH // 5
    means = []
    for index in range(24):
        y, x = top + index // 6 * size + inset, left + index % 6 * size + inset
        means.append(picture[:, y : y + _PATCH - 2 * inset, x : x + _PATCH - 2 * inset].mean(dim=(-2, -1)))
    return torch.stack(means, dim=1)


def _lamp(picture: Tensor, y: Tensor, x: Tensor) -> Tensor:
    row, column, radius = LAMP
    distance = ((y - row) ** 2 + (x - column) ** 2).sqrt()
    glow = 0.5 * torch.exp(-((distance - radius).clamp(min=0)) / 40)
    warm = torch.tensor([1.0, 0.93, 0.78])[:, None, None]
    inside = torch.sigmoid((radius - distance) / 2)  # an edge a few pixels soft, as a lens makes it
    return inside * LAMP_LEVEL * warm + (1 - inside) * (picture + glow * warm)


def take(picture: Tensor, seed: int = 0) -> Frame:
    """Photograph the scene: white balance and colours undone, mosaicked, four stops underexposed, noisy, 14 bits."""
    color = CameraColor.of(_MATRIX)
    generator = torch.Generator().manual_seed(seed)
    to_xyz = adaptation(xyz(D65), xyz(_SCENE_WHITE)) @ RGB_SPACES["srgb"].to_xyz()
    neutral = color.neutral_of(_SCENE_WHITE)
    to_camera = color.xyz_to_camera(_SCENE_WHITE) @ to_xyz
    to_camera = to_camera / (to_camera @ torch.ones(3, dtype=torch.float64))[1]
    camera = torch.einsum("ij,jhw->ihw", to_camera.float(), picture)
    cfa = "RGGB"
    mosaic = torch.empty(HEIGHT, WIDTH)
    for site, plane in enumerate((0, 1, 1, 2)):
        bayer.view(mosaic, cfa, site).copy_(bayer.view(camera[plane], cfa, site))
    electrons = mosaic.clamp(min=0) * 2**-_STOPS_DOWN * (_WHITE - _BLACK) / _K_DN_PER_E
    counts = _K_DN_PER_E * torch.poisson(electrons, generator=generator)
    counts += _READ_DN * torch.randn(counts.shape, generator=generator)
    counts += _ROW_DN * torch.randn((HEIGHT, 1), generator=generator)
    stored = (counts + _BLACK).round().clamp(0, _WHITE).to(torch.int32).numpy().astype("uint16")
    return Frame.from_array(
        stored,
        cfa,
        space=Space.SENSOR,
        black=_BLACK,
        white=_WHITE,
        bits=14,
        neutral=neutral,
        matrix=color,
        noise=(_K_DN_PER_E, _READ_DN, _ROW_DN),
        iso=3200,
        exposure_s=1 / 60,
        make="Rawpipe",
        model="Rawpipe Demo",
        source="demo",
    )
