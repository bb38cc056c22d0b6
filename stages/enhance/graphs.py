"""What the exported graphs of models for packed RAW share: their ports, and what is left to the host."""

from __future__ import annotations

from rawpipe.export import Port

Size = int | str

NOISE_PORTS = (
    Port("shot", (4,), "variance of the planes per signal, for R, Gr, Gb, B; ratio * K / S for every site", 1e-4, 1e-2),
    Port("read", (4,), "standard deviation of the planes without light, rows' offsets included, likewise", 1e-3, 1e-2),
    Port("ratio", (), "by which the frame was too dark and the planes were multiplied, 1 to 300", 2.0, 100.0),
)
OUTSIDE = (
    "what rawpipe's Enhance does around the network is left to the host: packing, padding by reflection without "
    "repeating the edge, the guard, and passing through what is brighter than 0.95 after the gain"
)


def planes_port(height: Size, width: Size) -> Port:
    """The dim planes, at sizes or their names."""
    says = (
        "a mosaic packed to planes R, Gr, Gb, B (Gr: green in a red row) of half its size, black 0, saturation 1, then "
        "multiplied by the ratio and not clipped: negatives stay"
    )
    return Port("planes", (1, 4, height, width), says, -0.05, 1.05)


def clean_port(height: Size, width: Size) -> Port:
    """The clean planes, likewise."""
    says = (
        "planes R, Gr, Gb, B, linear, at the brightness of the input planes, 0 to 1; the sensor saturates at the ratio"
    )
    return Port("clean", (1, 4, height, width), says)
