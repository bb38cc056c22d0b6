"""The kernel room: plain torch is the reference; where pixels and machine allow it, a compiled path does the same.

A user never chooses. Numba is taken for float32 and uint16 pixels on the CPU that no gradient is wanted of, if it is
installed (`pip install "rawpipe-isp[fast]"`); everything else goes to the reference, which `torch.compile` turns into
kernels for other devices. See `rawpipe info --backends`.
"""

from rawpipe.kernels.dispatch import METHODS, backends, demosaic, usable
from rawpipe.kernels.ops import Affine, Banded, Clip, Demosaic, Encode, Lowered, Matrix, Op, Quantize, Table

__all__ = [
    "METHODS",
    "Affine",
    "Banded",
    "Clip",
    "Demosaic",
    "Encode",
    "Lowered",
    "Matrix",
    "Op",
    "Quantize",
    "Table",
    "backends",
    "demosaic",
    "usable",
]
