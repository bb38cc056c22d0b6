"""Samples that LibRaw isn't asked for: floating-point DNGs, which it would round to 14 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from rawpipe._errors import FormatError
from rawpipe._matrices import Numbers
from rawpipe.io.dng_tags import DngTags


def float_samples(path: Path, tags: DngTags) -> Numbers:
    """Pixels of a floating-point DNG, (H, W) or (H, W, 3)."""
    try:
        with tifffile.TiffFile(path) as file:
            pages = [page for root in file.pages for page in (root, *(root.pages or ()))]
            page = next(page for page in pages if page.photometric in (32803, 34892) and page.shape[:2] == tags.size)
            return np.asarray(page.asarray(), dtype=np.float32)
    except (StopIteration, ValueError, RuntimeError, tifffile.TiffFileError) as error:
        raise FormatError(f"{path} holds floating-point samples that can't be decoded: {error}") from error
