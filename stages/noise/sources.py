"""Where noise numbers can come from: the camera's profile, the DNG's tag, the picture itself. All in DN above black."""

from __future__ import annotations

import torch

from rawpipe import CameraProfile, Frame, NoiseModel, ProfileError, StageError
from rawpipe._on_sensor import check_same_counts


def from_profile(profile: CameraProfile, frame: Frame, iso: float | None) -> NoiseModel:
    """What a profile says of the frame's ISO.

    Raises:
        ProfileError: the ISO is unknown or out of range, or the counts are of another bit depth.
    """
    if iso is None:
        raise ProfileError("got a frame that doesn't say its ISO; give it: NoiseCalibration(profile, iso=...)")
    return checked(profile.at(iso), frame)


def checked(model: NoiseModel, frame: Frame) -> NoiseModel:
    """A model, if it is of one sensor and its counts can be the frame's.

    Raises:
        ProfileError: they can't.
        StageError: it is of several sensors.
    """
    if model.batch_shape:
        raise StageError(f"got noise of {tuple(model.batch_shape)} sensors; expected one: NoiseCalibration(model[0])")
    saturation = float(model.saturation_dn.min())
    check_same_counts(frame, [saturation] if saturation < float("inf") else [], model.camera)
    return model


def from_tag(frame: Frame) -> NoiseModel | None:
    """The DNG's NoiseProfile, None if there is none: variance S x + O of values from 0 to 1. Row noise isn't in it."""
    if not frame.shot.noise_profile:
        return None
    pairs = torch.tensor(frame.shot.noise_profile).reshape(-1, 2)
    pairs = pairs.expand(3, 2) if len(pairs) != 3 else pairs
    slope, offset = pairs[[0, 1, 1, 2]].clamp(min=0).unbind(1)
    if not (slope > 0).all():
        return None
    scale = frame.shot.scale_dn
    return NoiseModel(
        gain_dn_per_e=slope * scale, read_sigma_dn=offset.sqrt() * scale, source="NoiseProfile tag of the DNG"
    )


def from_picture(frame: Frame) -> NoiseModel:
    """The blind estimate of the picture itself; its source says where it is unreliable.

    Raises:
        StageError: the picture doesn't show its noise.
    """
    from rawpipe._blind import blind_noise  # SciPy: a tenth of a second that only this needs

    return blind_noise(frame)
