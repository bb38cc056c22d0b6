"""NoiseCalibration: the frame learns how noisy its pixels are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from rawpipe import CameraProfile, Frame, Noise, NoiseModel, RawpipeError, Space, StageError, kernels
from rawpipe._from_profile import NONE, checked, use
from rawpipe._on_sensor import unit_per_dn
from rawpipe.stages.noise import sources

Numbers = tuple[float, ...] | float | None


@dataclass(frozen=True)
class NoiseCalibration:
    """`frame.noise` for the frame's camera and ISO, in the unit that its data are in now. Pixels stay as they are.

    Gains already applied (scale, white balance, exposure) are accounted for; corrections that change the noise are not:
    put this stage before `RowNoise`, `FlatField` and `Enhance`.

    Takes: SENSOR or MOSAIC. Gives: the same.

    Args:
        profile: "auto", the first there is of: the camera's profile at this ISO, the DNG's NoiseProfile tag, the blind
            estimate of the picture; "tag" or "blind", only that; the path of a profile; a `CameraProfile`; a
            `NoiseModel`. "none" is what "auto" becomes where nothing was found.
        iso: ISO; None: the shot's.
        shot_dn: your own gain in DN per electron, one number or one per site R, Gr, Gb, B; with `read_dn` it wins over
            `profile`.
        read_dn: your own read noise in DN, likewise, quantisation included.
        row_dn: your own row noise in DN.
        source: what was used, written by `measure`.

    Raises:
        ProfileError: a profile that was named can't be read, doesn't reach the ISO, or is of other counts.
        StageError: the tag is asked for and isn't there, or the picture doesn't show its noise.
    """

    profile: CameraProfile | NoiseModel | str = "auto"
    iso: float | None = None
    shot_dn: Numbers = None
    read_dn: Numbers = None
    row_dn: float = 0.0
    source: str = ""
    _noise: Noise | None = field(default=None, repr=False, compare=False)
    _measured: bool = field(default=False, repr=False, compare=False)

    takes = Space.SENSOR | Space.MOSAIC
    gives = None
    halo = 0
    grid = 2

    def __post_init__(self) -> None:
        if not isinstance(self.profile, NoiseModel):
            object.__setattr__(self, "profile", checked(self.profile))
        if self.iso is not None and not (isinstance(self.iso, int | float) and 0 < self.iso < 1e8):
            raise StageError(f"got iso {self.iso!r}; expected a number above 0")
        if (self.shot_dn is None) != (self.read_dn is None):
            raise StageError(f"got shot_dn {self.shot_dn!r} and read_dn {self.read_dn!r}; expected both or none")
        for name in ("shot_dn", "read_dn"):
            value = getattr(self, name)
            numbers = value if isinstance(value, tuple) else (0.0 if value is None else value,) * 4
            if len(numbers) != 4 or not all(isinstance(one, int | float) and one >= 0 for one in numbers):
                raise StageError(f"got {name} {value!r}; expected one number of DN, or a tuple of four: R, Gr, Gb, B")
        if not (isinstance(self.row_dn, int | float) and self.row_dn >= 0):
            raise StageError(f"got row_dn {self.row_dn!r}; expected a standard deviation in DN, 0 or more")

    @property
    def sees_pixels(self) -> bool:
        """Whether the noise may have to be estimated from the pixels."""
        return self.shot_dn is None and self.profile in ("auto", "blind")

    def measure(self, frame: Frame, /) -> NoiseCalibration:
        """Find the numbers."""
        if self.shot_dn is not None:
            return self._ready(frame)
        model, source = self._found(frame)
        if model is None:
            return replace(self, profile=NONE, source=source, _measured=True)
        summary = model.to("cpu").summary()
        named = self.profile if isinstance(self.profile, str) else NONE
        found = replace(
            self,
            profile=named,
            iso=frame.shot.iso if self.iso is None else self.iso,
            shot_dn=tuple(summary.shot.tolist()),
            read_dn=tuple(summary.read.tolist()),
            row_dn=float(summary.row[0]),
            source=source,
        )
        return found._ready(frame)

    def _ready(self, frame: Frame) -> NoiseCalibration:
        """With the numbers as tensors on the frame's device."""
        row = torch.tensor(float(self.row_dn)).expand(4)
        noise = Noise(torch.tensor(self.shot_dn).expand(4), torch.tensor(self.read_dn).expand(4), row)
        return replace(self, _noise=noise.map(lambda values: values.float().to(frame.device)), _measured=True)

    def _found(self, frame: Frame) -> tuple[NoiseModel | None, str]:
        """The model to use, and what it is; none, and why."""
        if self.profile == NONE:
            return None, self.source
        if isinstance(self.profile, NoiseModel):
            model = sources.checked(self.profile, frame)
            return model, model.source or f"NoiseModel given{' for ' + model.camera if model.camera else ''}"
        iso = frame.shot.iso if self.iso is None else self.iso
        why = ""
        if self.profile not in ("tag", "blind"):
            known, _, text = use(self.profile, frame, lambda profile: (sources.from_profile(profile, frame, iso), ""))
            if known is not None:
                return known, known.source
            why = text.removeprefix("nothing: ")
        if self.profile != "blind":
            tag = sources.from_tag(frame)
            if tag is not None:
                return tag, tag.source
            if self.profile == "tag":
                raise StageError('got a frame without a NoiseProfile; use NoiseCalibration("auto")')
        try:
            blind = sources.from_picture(frame)
        except RawpipeError as error:
            if self.profile == "blind":
                raise
            return None, f"nothing: {why}; no NoiseProfile tag; {error}"
        return blind, blind.source or "blind estimate of the picture"

    def lowered(self, frame: Frame, /) -> Sequence[kernels.Op] | None:
        """What this does to pixels."""
        return () if self._measured else None

    def __call__(self, frame: Frame, /) -> Frame:
        """Run."""
        if not self._measured:
            return self.measure(frame)(frame)
        return frame if self._noise is None else replace(frame, noise=self._noise.scaled(unit_per_dn(frame)))
