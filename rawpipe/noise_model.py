"""NoiseModel: what the noise of a sensor at one ISO is; its variance, draws from it, and its stabilising transform."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from rawpipe import _sampling, _tukey, _vst, bayer
from rawpipe._errors import ProfileError
from rawpipe._frame import Noise

_PER_SITE = ("gain_dn_per_e", "read_sigma_dn", "tukey_lambda", "black_error_dn", "saturation_dn", "black_dn")
_PER_SENSOR = ("row_sigma_dn", "quantisation_step_dn")


@dataclass(frozen=True, eq=False, kw_only=True)
class NoiseModel:
    """Noise of one sensor at one ISO, in DN above black, or of a batch of sensors in the leading dimensions.

    A pixel at mean signal x is K * Poisson(x / K) + read noise + its row's offset + the black's error, rounded to the
    converter's step and cut at saturation. Signals x that the methods take, and pixels that they give, are
    (..., H, W) in DN above black; their leading dimensions broadcast with the model's.

    Args:
        gain_dn_per_e: K > 0, DN per electron, per site R, Gr, Gb, B (..., 4).
        read_sigma_dn: standard deviation of the read noise (..., 4), without row noise, fixed pattern and quantisation.
        tukey_lambda: shape > -0.5 of Tukey-lambda read noise of that standard deviation (..., 4); None = Gaussian.
        row_sigma_dn: standard deviation of the offset that a whole row shares (...); 0 = none.
        quantisation_step_dn: distance between possible counts (...); 0 = continuous.
        black_error_dn: true black minus the black that was subtracted (..., 4).
        saturation_dn: the highest possible value (..., 4).
        black_dn: the black that was subtracted (..., 4); counts, that is values plus `black_dn`, are multiples of the
            step. It matters only where it is no multiple of the step itself.
        iso: ISO of the exposure index, None if unknown.
        camera: name of the camera.
        source: where the numbers come from: "profile ...", "interpolated ...", "published ...", "blind ...".

    Numbers and arrays are accepted wherever tensors are; all become float32 on one device.

    Raises:
        ProfileError: shapes that don't broadcast, or numbers out of range (these are checked on the CPU only: a
            check would make a GPU wait).
    """

    gain_dn_per_e: Tensor
    read_sigma_dn: Tensor
    tukey_lambda: Tensor | None = None
    row_sigma_dn: Tensor = 0.0  # type: ignore[assignment]
    quantisation_step_dn: Tensor = 0.0  # type: ignore[assignment]
    black_error_dn: Tensor = 0.0  # type: ignore[assignment]
    saturation_dn: Tensor = float("inf")  # type: ignore[assignment]
    black_dn: Tensor = 0.0  # type: ignore[assignment]
    iso: float | None = None
    camera: str = ""
    source: str = ""

    if TYPE_CHECKING:  # what the generated one takes, for type checkers

        def __init__(
            self,
            *,
            gain_dn_per_e: Tensor | ArrayLike,
            read_sigma_dn: Tensor | ArrayLike,
            tukey_lambda: Tensor | ArrayLike | None = None,
            row_sigma_dn: Tensor | ArrayLike = 0.0,
            quantisation_step_dn: Tensor | ArrayLike = 0.0,
            black_error_dn: Tensor | ArrayLike = 0.0,
            saturation_dn: Tensor | ArrayLike = float("inf"),
            black_dn: Tensor | ArrayLike = 0.0,
            iso: float | None = None,
            camera: str = "",
            source: str = "",
        ) -> None: ...

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in (*_PER_SITE, *_PER_SENSOR)}
        device = next((v.device for v in given.values() if isinstance(v, Tensor)), torch.device("cpu"))
        cast = {
            name: torch.as_tensor(v, dtype=torch.float32, device=device) for name, v in given.items() if v is not None
        }
        # A per-sensor number stands where a per-site tensor has its sites.
        wide = {name: v[..., None] if name in _PER_SENSOR and v.ndim else v for name, v in cast.items()}
        try:
            four = torch.empty(4, device=device)  # torch.broadcast_shapes would import SymPy, a quarter of a second
            shape = torch.broadcast_tensors(four, *wide.values())[0].shape  # type: ignore[no-untyped-call]
        except RuntimeError:
            shape = torch.Size()
        if shape[-1:] != (4,):
            shapes = ", ".join(f"{name} {tuple(v.shape)}" for name, v in cast.items() if v.ndim)
            raise ProfileError(
                f"got a noise model of {shapes}; expected (..., 4) for {', '.join(_PER_SITE)} and (...) for "
                f"{', '.join(_PER_SENSOR)}, with leading dimensions that broadcast"
            )
        for name, v in cast.items():
            full = v.expand(shape[:-1]) if name in _PER_SENSOR else v.expand(shape)
            object.__setattr__(self, name, full)
        if device.type == "cpu":
            self._check()

    def _check(self) -> None:
        for name, fine, expected in (
            ("gain_dn_per_e", lambda v: (v > 0) & v.isfinite(), "> 0"),
            ("read_sigma_dn", lambda v: (v >= 0) & v.isfinite(), ">= 0"),
            ("tukey_lambda", lambda v: (v > -0.5) & v.isfinite(), "> -0.5, where the variance is finite"),
            ("row_sigma_dn", lambda v: (v >= 0) & v.isfinite(), ">= 0"),
            ("quantisation_step_dn", lambda v: (v >= 0) & v.isfinite(), ">= 0"),
            ("black_error_dn", Tensor.isfinite, "finite"),
            ("saturation_dn", lambda v: v > 0, "> 0"),
            ("black_dn", Tensor.isfinite, "finite"),
        ):
            value = getattr(self, name)
            if value is not None and not bool(fine(value).all()):
                raise ProfileError(f"got {name} {value.tolist()}; expected {expected}")

    @property
    def batch_shape(self) -> torch.Size:
        """Leading dimensions of the parameters: () for one sensor."""
        return self.gain_dn_per_e.shape[:-1]

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return self.gain_dn_per_e.device

    def map(self, fn: Callable[[Tensor], Tensor]) -> NoiseModel:
        """Apply `fn` to every tensor."""
        moved: dict[str, Any] = {f.name: fn(v) for f in fields(self) if isinstance(v := getattr(self, f.name), Tensor)}
        return replace(self, **moved)

    def to(self, device: torch.device | str) -> NoiseModel:
        """This model on another device."""
        return self if torch.device(device) == self.device else self.map(lambda tensor: tensor.to(device))

    def __getitem__(self, index: Any) -> NoiseModel:
        """One model of a batch, or some: `index` is applied to the leading dimensions."""
        if not self.batch_shape:
            raise ProfileError(f"got index {index} for the model of one sensor; expected a batch")
        return self.map(lambda tensor: tensor[index])

    def summary(self) -> Noise:
        """The two-parameter summary in DN: shot = K, read**2 = read_sigma**2 + step**2 / 12, row; (..., 4) each."""
        row = self.row_sigma_dn[..., None].expand_as(self.gain_dn_per_e)
        return Noise(self.gain_dn_per_e, self._read_variance.sqrt(), row)

    @property
    def _read_variance(self) -> Tensor:
        """Read noise and quantisation, DN**2 (..., 4)."""
        return self.read_sigma_dn**2 + self.quantisation_step_dn[..., None] ** 2 / 12

    def variance(self, x: Tensor, cfa: str) -> Tensor:
        """Variance of a pixel at mean signal `x`, DN**2: K x + read**2 + step**2 / 12 + row**2; x < 0 counts as 0.

        Clipping at saturation, which lowers it, is left out.
        """
        x = bayer.as_float(x)
        at = self.to(x.device)
        constant = at._read_variance + at.row_sigma_dn[..., None] ** 2
        return at._spread(at.gain_dn_per_e, x, cfa) * x.clamp(min=0) + at._spread(constant, x, cfa)

    def sample(
        self,
        x: Tensor,
        cfa: str,
        generator: torch.Generator | None = None,
        order: Literal["physical", "exposurediffusion"] = "physical",
    ) -> Tensor:
        """One noisy exposure of the mean signal `x`, in the dtype of `x` (float32 for integers), without a gradient.

        "physical": shot noise, read noise, row offset and black error add up, then the converter rounds; results
        below zero are kept. A negative `x` is an offset without light: it has no shot noise.

        "exposurediffusion", the published order: rounding is replaced by a uniform error of one step which is added
        first and cut at zero, then shot, row and read noise; the result is cut at zero and saturation. The black's
        error is no part of it.

        The same `generator` state gives the same bits, whatever the number of threads. Counts are exactly Poisson on
        the CPU; on CUDA cuRAND rounds a normal number above 4000 electrons.

        Args:
            x: mean signal (..., H, W) in DN above black; NaN stays NaN.
            cfa: phase of `x[..., 0, 0]`.
            generator: source of randomness on the device of `x`; None = torch's own.
            order: what happens before what.

        References:
            Wang et al. (2023), ExposureDiffusion: learning to expose for low-light image enhancement, section 4.1.
        """
        if order not in ("physical", "exposurediffusion"):
            raise ProfileError(f"got order {order!r}; expected 'physical' or 'exposurediffusion'")
        letters = None if order == "physical" else ("PGru" if self.tukey_lambda is not None else "Pgru")
        x = bayer.as_float(x)
        return _sampling.sample(self.to(x.device), x, cfa, generator, letters)

    def vst(self, x: Tensor, cfa: str) -> Tensor:
        """Pixels `x` made to have a noise of variance 1: the generalised Anscombe transform, one per site.

        f(x) = (2 / K) sqrt(max(K x + 3/8 K**2 + sigma**2, 0)) with sigma**2 = read**2 + step**2 / 12. Row noise is
        correlated along the row and isn't part of sigma: remove it before.

        References:
            Starck, Murtagh and Bijaoui (1998), Image processing and data analysis: the multiscale approach.
        """
        x = bayer.as_float(x)
        at = self.to(x.device)
        gain = at.gain_dn_per_e
        offset = 0.375 + at._read_variance / gain**2
        electrons = x / at._spread(gain, x, cfa)
        # Must stay above 0: the slope of sqrt at 0 would make the gradient NaN.
        return 2 * (electrons + at._spread(offset, x, cfa)).clamp(min=1e-12).sqrt()

    def inverse_vst(self, d: Tensor, cfa: str) -> Tensor:
        """The signal x in DN whose transformed pixels average `d`: the exact unbiased inverse of `vst`.

        Undoing the formula of `vst` would darken shadows, since the mean of a root isn't the root of a mean. Here
        E[f | x] is inverted, computed for this model's own sigma / K and read-noise distribution. Below E[f | 0] the
        inverse goes on as a straight line with the slope it has there, so that noise around black is not cut off.
        Saturation isn't part of it.

        References:
            Mäkitalo and Foi (2013), Optimal inversion of the generalized Anscombe transformation for Poisson-Gaussian
            noise, equations 5 and 7.
        """
        d = bayer.as_float(d)
        at = self.to(d.device)
        electrons = _vst.inverse(d, cfa, at._inverse_tables)
        return electrons * at._spread(at.gain_dn_per_e, d, cfa)

    @cached_property
    def _inverse_tables(self) -> _vst.Tables:
        return _vst.tables(self._read_variance.sqrt() / self.gain_dn_per_e, self.tukey_lambda)

    def _spread(self, values: Tensor, x: Tensor, cfa: str) -> Tensor:
        return bayer.spread(values.to(x.dtype), cfa, *x.shape[-2:])

    @property
    def tukey_scale_dn(self) -> Tensor | None:
        """Scale of the Tukey-lambda read noise, read_sigma**2 = scale**2 Var(lambda) (..., 4); None = Gaussian."""
        if self.tukey_lambda is None:
            return None
        return self.read_sigma_dn / _tukey.variance(self.tukey_lambda).sqrt().float()

    @classmethod
    def virtual(
        cls, camera: str, iso: float | None = None, gain_dn_per_e: float | None = None, **options: Any
    ) -> NoiseModel:
        """The published noise of a camera at one ISO or at one gain. See `rawpipe._published.virtual`.

        Raises:
            ProfileError: the camera isn't published, or not at this ISO or gain; the message lists what there is.
        """
        from rawpipe import _published

        return _published.virtual(camera, iso, gain_dn_per_e, **options)

    @classmethod
    def random(
        cls,
        count: int,
        generator: torch.Generator | None = None,
        cameras: Sequence[str] | None = None,
        gain_range: tuple[float, float] = (0.1, 30.0),
        **options: Any,
    ) -> NoiseModel:
        """A batch of `count` sensors drawn over published cameras, for training. See `rawpipe._published.random`."""
        from rawpipe import _published

        return _published.random(count, generator, cameras, gain_range, **options)
