"""What a file says besides its pixels: EXIF, provenance, and names as the standards want them."""

from __future__ import annotations

import json
from typing import Any
from xml.sax.saxutils import escape

from rawpipe import __version__
from rawpipe._frame import Frame, Step
from rawpipe._recipe import dumps
from rawpipe._shot import Shot
from rawpipe.io.exif import CREDITS
from rawpipe.io.ifd import BYTE, LONG, RATIONAL, SHORT, UNDEFINED, Directory, Tag, ascii_tag, rationals

SOFTWARE = f"rawpipe {__version__}"
# A maker's name as Adobe spells it in UniqueCameraModel, by the first word of the EXIF Make.
_BRANDS = {
    "nikon": "Nikon", "canon": "Canon", "sony": "Sony", "fujifilm": "Fujifilm", "olympus": "Olympus", "om": "OM",
    "panasonic": "Panasonic", "pentax": "Pentax", "ricoh": "Ricoh", "leica": "Leica", "hasselblad": "Hasselblad",
    "samsung": "Samsung", "kodak": "Kodak", "eastman": "Kodak", "sigma": "Sigma", "minolta": "Minolta",
    "apple": "Apple",
}  # fmt: skip


def unique_model(shot: Shot) -> str:
    """UniqueCameraModel: the source's own, or "Maker Model" in Adobe's spelling."""
    if shot.unique_model:
        return shot.unique_model
    words = shot.make.split()
    if not words and not shot.model:
        return "Unknown camera"
    brand = _BRANDS.get(words[0].lower(), words[0]) if words else ""
    model = shot.model
    for prefix in (shot.make, words[0] if words else "", brand):
        if prefix and model.lower().startswith(prefix.lower() + " "):
            model = model[len(prefix) + 1 :]
    return f"{brand} {model}".strip()


def exif_directory(shot: Shot) -> Directory:
    """The EXIF IFD: the source's tags, and what the shot knows beyond them."""
    exif = Directory()
    exif.add(Tag(0x9000, UNDEFINED, b"0231"), Tag(0xA000, UNDEFINED, b"0100"))
    if shot.exposure_s is not None:
        exif.add(rationals(0x829A, [shot.exposure_s]))
    if shot.f_number is not None:
        exif.add(rationals(0x829D, [shot.f_number]))
    if shot.iso is not None:
        exif.add(Tag(0x8827, SHORT, (min(round(shot.iso), 65535),)))
        if shot.iso > 65535:
            exif.add(Tag(0x8830, SHORT, (2,)), Tag(0x8832, LONG, (round(shot.iso),)))  # recommended exposure index
    if shot.focal_mm is not None:
        exif.add(rationals(0x920A, [shot.focal_mm]))
    for code, text in ((0x9003, shot.taken), (0xA431, shot.serial), (0xA434, shot.lens)):
        if text:
            exif.add(ascii_tag(code, text))
    exif.add(*shot.exif)
    return exif


def camera_tags(shot: Shot, software: str) -> list[Tag]:
    """Make, Model, Orientation, Software, DateTime, and the credits, for the first directory."""
    tags = [Tag(274, SHORT, (shot.orientation,)), ascii_tag(305, software)]
    tags += [ascii_tag(code, text) for code, text in ((271, shot.make), (272, shot.model), (306, shot.taken)) if text]
    return tags + [tag for tag in shot.carried if tag.code in CREDITS]


def lens_info(shot: Shot) -> Tag | None:
    """DNG LensInfo: focal and aperture range, from EXIF LensSpecification."""
    return next(
        (Tag(50736, RATIONAL, tag.values) for tag in shot.exif if tag.code == 0xA432 and tag.type == RATIONAL), None
    )


def provenance(frame: Frame, written: Step) -> dict[str, Any]:
    """The stages that made a frame, and the writing itself, as plain data."""
    steps = [
        {"name": step.name, "parameters": dict(step.parameters), "provider": step.provider}
        for step in (*frame.history, written)
    ]
    return {"software": SOFTWARE, "source": frame.shot.source, "history": steps}


def xmp(frame: Frame, written: Step) -> Tag:
    """An XMP packet with the history, and the recipe that repeats it. The source's develop settings are left behind."""
    try:
        recipe = dumps((step.name, step.parameters) for step in frame.history)
    except (
        Exception
    ) as error:  # a third-party parameter that TOML can't hold must not stop the picture from being saved
        recipe = f"# this history can't be written as a recipe: {error}"
    history = json.dumps(provenance(frame, written), default=repr)
    packet = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:rawpipe="https://rawpipe.dev/ns/1.0/">'
        f"<xmp:CreatorTool>{escape(SOFTWARE)}</xmp:CreatorTool>"
        f"<rawpipe:Recipe>{escape(recipe)}</rawpipe:Recipe><rawpipe:History>{escape(history)}</rawpipe:History>"
        '</rdf:Description></rdf:RDF></x:xmpmeta>\n<?xpacket end="w"?>'
    )
    return Tag(700, BYTE, packet.encode())
