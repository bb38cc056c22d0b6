"""Which path takes which pixels, and why."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module

import torch
from torch import Tensor

from rawpipe import bayer

METHODS = ("bilinear", "malvar2004", "menon2007")
"""Demosaicing that the compiled path has."""
_DTYPES = (torch.uint16, torch.float32)


@cache
def missing() -> str | None:
    """Why there is no compiled path on the CPU, None if there is one."""
    try:
        import_module("numba")
    except ImportError as error:
        return f'{error}; install it with: pip install "rawpipe-isp[fast]"'
    return None


def usable(data: Tensor) -> bool:
    """Whether the compiled path may take these pixels: on the CPU, float32 or uint16, and no gradient to be kept."""
    return (
        type(data) is Tensor
        and not torch.compiler.is_compiling()
        and data.device.type == "cpu"
        and data.dtype in _DTYPES
        and data.layout is torch.strided
        and not data.is_neg()
        and not (data.requires_grad and torch.is_grad_enabled())
        and not _transformed(data)
        and missing() is None
    )


def _transformed(data: Tensor) -> bool:
    """Whether torch follows the pixels in a way that NumPy can't: `torch.func`, or forward-mode gradients."""
    level: int = torch.autograd.forward_ad._current_level
    return level >= 0 or bool(torch._C._functorch.is_functorch_wrapped_tensor(data))


def demosaic(method: str, data: Tensor, cfa: str, reference: Callable[[Tensor, str], Tensor]) -> Tensor:
    """RGB (..., 3, H, W) from a mosaic (..., H, W), the same bits from either path."""
    if method in METHODS and usable(data):
        from rawpipe.kernels import compiled

        return compiled.demosaic(method, data, cfa)
    return reference(bayer.as_float(data), cfa)


def backends() -> dict[str, str]:
    """What runs the kernels on each kind of device of this machine, and why."""
    lacking = missing()
    cpu = (
        f"torch, since {lacking}"
        if lacking
        else f"Numba {import_module('numba').__version__} on {torch.get_num_threads()} threads for float32 and uint16 "
        "pixels without gradients; torch for others"
    )
    gpus = {
        f"cuda:{index}": f"torch.compile, in pipelines that are compiled; {torch.cuda.get_device_name(index)}"
        for index in range(torch.cuda.device_count())
    }
    return {"cpu": cpu} | (gpus or {"gpu": "none that torch can use"})
