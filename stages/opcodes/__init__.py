"""Opcodes: lens shading and bad pixels corrected as the DNG asks for; and the opcode lists themselves."""

from rawpipe.stages.opcodes.opcode_list import (
    Area,
    FixBadPixelsConstant,
    FixBadPixelsList,
    GainMap,
    Opcode,
    parse,
    serialize,
)
from rawpipe.stages.opcodes.stage import Opcodes

__all__ = [
    "Area",
    "FixBadPixelsConstant",
    "FixBadPixelsList",
    "GainMap",
    "Opcode",
    "Opcodes",
    "parse",
    "serialize",
]
