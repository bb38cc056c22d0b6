"""From a camera file to a DNG and a TIFF. Usage: python quickstart.py RAW [FOLDER]"""

import sys
from pathlib import Path

from rawpipe import Frame, Pipeline
from rawpipe.stages import BlackLevel, ClipHighlights, ColorTransform, Demosaic, ToneCurve, WhiteBalance

source = sys.argv[1]
folder = Path(sys.argv[2] if len(sys.argv) > 2 else ".")

pipeline = Pipeline(
    [BlackLevel(), WhiteBalance(), ClipHighlights(), Demosaic("menon2007"), ColorTransform("display_p3"), ToneCurve()]
)
frame = Frame.read(source)
picture, kept = pipeline.run(frame, keep=["black_level"])

kept["black_level"].write(folder / "mosaic.dng")  # linear light as the sensor saw it, white balance as a tag
picture.write(folder / "picture.tif")  # 16 bits, Display P3 profile, EXIF and recipe inside
for step in picture.history:
    print(f"{step.name:16} {1000 * (step.seconds or 0):7.1f} ms")
