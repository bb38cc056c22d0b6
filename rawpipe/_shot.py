"""Shot: what the camera recorded about a picture, kept as it was taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from rawpipe._camera_color import CameraColor
from rawpipe._matrices import Numbers
from rawpipe._taken import Box as Box
from rawpipe._taken import Taken


@dataclass(frozen=True, eq=False, kw_only=True)
class Shot(Taken[Tensor]):
    """As taken: nothing a stage does to the pixels changes it, except turning the picture (see `upright`).

    Args:
        make: maker, as the file spells it.
        model: model, as the file spells it.
        unique_model: "Maker Model" in Adobe's spelling, the key of camera profiles.
        serial: body serial number, "" if unknown.
        lens: lens model, "" if unknown.
        iso: ISO speed, None if unknown.
        exposure_s: exposure time in seconds, None if unknown.
        f_number: aperture, None if unknown.
        focal_mm: focal length in millimetres, None if unknown.
        taken: EXIF DateTimeOriginal, "" if unknown.
        orientation: EXIF orientation 1..8 that turns the stored pixels upright.
        bits: bits per sample of the recording.
        black: black level in DN, per site R, Gr, Gb, B (4) or per plane (3).
        white: saturation level in DN, likewise.
        black_rows: addition to black per row of the active area (rows), or None.
        black_columns: addition to black per column of the active area (columns), or None.
        linearization: value of each stored code (codes) that `Linearize` looks up, None if the codes are linear.
        neutral: camera RGB of a neutral object as the camera judged it (3), green = 1; None if it did not.
        color: colour matrices, or None.
        size: height and width of the whole sensor, masked borders included.
        active_area: top, left, bottom, right of the picture within the whole sensor.
        default_crop: top, left, bottom, right that the maker recommends, within the active area; None if all of it.
        masked_areas: top, left, bottom, right of each optically black rectangle within the whole sensor.
        opcodes: DNG OpcodeList 1, 2 and 3 as bytes, empty where there is none.
        noise_profile: DNG NoiseProfile, pairs (S, O) per plane, empty if none.
        baseline_exposure: DNG BaselineExposure in EV.
        exif: the tags of the EXIF IFD, maker note left out.
        gps: the tags of the GPS IFD.
        carried: further tags of the first directory that a file keeps: artist, copyright, a DNG's camera profile.
        sensor: the whole sensor's counts (H, W), borders included, that a CFA DNG takes its border from; or None.
        source: name of the file, "" if the frame was made from an array.
    """

    color: CameraColor | None = None

    @classmethod
    def adopt(cls, taken: Taken[Numbers]) -> Shot:
        """The same in tensors, which share the arrays' memory."""
        values = {field.name: getattr(taken, field.name) for field in fields(taken)}
        arrays = {name: torch.from_numpy(value) for name, value in values.items() if isinstance(value, np.ndarray)}
        color = None if taken.color is None else CameraColor.adopt(taken.color)
        return cls(**(values | arrays | {"color": color}))

    @property
    def scale_dn(self) -> Tensor:
        """Counts from black to saturation (a scalar): one scale for all sites, that of the site that clips first."""
        return (self.white - self.black).min()

    def daylight_neutral(self) -> Tensor | None:
        """Camera RGB (3) of a neutral object under D65, from the camera's own colour matrices; None without them."""
        if self.color is None or self.color.source == "generic":
            return None
        return self.color.neutral_of().to(torch.float32)

    def assumed_neutral(self) -> Tensor:
        """Camera RGB (3) to take for neutral: as shot, else under D65, else ones."""
        neutral = self.neutral if self.neutral is not None else self.daylight_neutral()
        return torch.ones(3) if neutral is None else neutral.to(torch.float32)

    def crop_within(self, window: Box, whole: Sequence[int]) -> Box | None:
        """The maker's crop in a window of a frame whose height and width are `whole`: the sensor's, or half of it."""
        if self.default_crop is None:
            return None
        crop, scale = self.default_crop, [whole[i] / self.size[i] for i in (0, 1)]
        top, left, bottom, right = (
            round((crop[i] + self.active_area[i % 2]) * scale[i % 2]) - window[i % 2] for i in range(4)
        )
        height, width = window[2] - window[0], window[3] - window[1]
        box = max(top, 0), max(left, 0), min(bottom, height), min(right, width)
        return box if box[0] < box[2] and box[1] < box[3] else None

    def upright(self, size: tuple[int, int], default_crop: Box | None) -> Shot:
        """This shot for pixels turned upright: what is tied to the sensor's own rows and columns is gone."""
        return replace(
            self,
            orientation=1,
            size=size,
            active_area=(0, 0, *size),
            default_crop=default_crop,
            masked_areas=(),
            black_rows=None,
            black_columns=None,
            opcodes=(b"", b"", b""),
            sensor=None,
        )
