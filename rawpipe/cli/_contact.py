"""A contact sheet: one picture of the frame behind every stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from rawpipe._frame import Frame, Space, Step
from rawpipe.bayer import as_float, view
from rawpipe.colorimetry import CURVES
from rawpipe.io.atomic import replacing

_CELL, _COLUMNS, _LABEL, _GAP = 300, 3, 40, 10


def contact_sheet(frames: Mapping[str, Frame], history: Sequence[Step], path: Path) -> None:
    """Write a PNG with every frame, its name, its space, and the time that its stage took.

    Linear frames are shown with an sRGB curve; a mosaic as the camera's own colours, without balance; dark ones are
    brightened, and the label says by how much.
    """
    seconds = {step.name: step.seconds for step in history}
    cells = [_cell(name, frame, seconds.get(name)) for name, frame in frames.items()]
    width = _COLUMNS * (_CELL + _GAP) + _GAP
    height = max(cell.height for cell in cells)
    sheet = Image.new("RGB", (width, -(-len(cells) // _COLUMNS) * (height + _GAP) + _GAP), (24, 24, 24))
    for index, cell in enumerate(cells):
        sheet.paste(cell, (_GAP + index % _COLUMNS * (_CELL + _GAP), _GAP + index // _COLUMNS * (height + _GAP)))
    with replacing(path) as temporary:
        sheet.save(temporary, "PNG")


def _cell(name: str, frame: Frame, seconds: float | None) -> Image.Image:
    planes, gain = _visible(frame)
    scale = _CELL / planes.shape[-1]
    small = F.interpolate(planes[None], scale_factor=scale, mode="area" if scale < 1 else "nearest")[0]
    pixels = (small.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    picture = Image.fromarray(pixels)
    cell = Image.new("RGB", (_CELL, picture.height + _LABEL), (24, 24, 24))
    cell.paste(picture, (0, 0))
    time = "" if seconds is None else f"  {1000 * seconds:.0f} ms"
    brightened = f"  shown x{gain:.0f}" if gain > 1.5 else ""
    draw, font = ImageDraw.Draw(cell), ImageFont.load_default(13)
    draw.text((4, picture.height + 4), name, fill=(240, 240, 240), font=font)
    draw.text((4, picture.height + 20), f"{frame.space.label}{time}{brightened}", fill=(160, 160, 160), font=font)
    return cell


def _visible(frame: Frame) -> tuple[Tensor, float]:
    """Display values (3, h, w) of a frame, and the gain that made a dark one visible."""
    data = as_float(frame.data).detach().float().cpu()
    if frame.space is Space.CODES:
        data = data / 65535
    if frame.cfa is not None:
        if frame.space is Space.SENSOR:
            data = (data - float(frame.black.mean())) / float((frame.white - frame.black).min())
        height, width = frame.height // 2, frame.width // 2
        r, gr, gb, b = (view(data, frame.cfa, site)[:height, :width] for site in range(4))
        data = torch.stack([r, (gr + gb) / 2, b])
    if frame.color is not None and frame.color.curve != "linear":
        return data, 1.0
    level = float(data.flatten()[:: max(1, data.numel() // 500_000)].quantile(0.98))
    gain = max(1.0, 0.9 / max(level, 1e-6)) if level < 0.3 else 1.0
    return CURVES["srgb"].encode((data * gain).clamp(0, 1)), gain
