"""A host program in 30 lines: a worker thread, a progress line, a cancel button, a memory limit. Usage: RAW OUT"""

import sys
import threading
from queue import Queue

from rawpipe import Cancelled, Frame, Pipeline, RawpipeError
from rawpipe.stages import BlackLevel, ColorTransform, Demosaic, ToneCurve, WhiteBalance

PIPELINE = Pipeline([BlackLevel(), WhiteBalance(), Demosaic(), ColorTransform(), ToneCurve()])  # any thread may use it


def develop(source: str, target: str, events: Queue, cancel: threading.Event) -> None:
    """The job: runs in a thread of its own and speaks to the host through events."""
    try:
        frame = Frame.read(source)
        progress = lambda done, stage: events.put(("progress", f"{done:4.0%} {stage}"))  # noqa: E731
        result = PIPELINE.run(frame, progress=progress, cancel=cancel, max_memory=500_000_000)
        result.write(target)  # a temporary file, renamed when it is whole
        events.put(("done", target))
    except Cancelled:
        events.put(("done", "cancelled; nothing was written"))
    except RawpipeError as error:  # every other failure, in one line for the user
        events.put(("done", f"failed: {error}"))


events, cancel = Queue(), threading.Event()
threading.Thread(target=develop, args=(sys.argv[1], sys.argv[2], events, cancel)).start()
kind = "progress"
while kind != "done":  # the host's own event loop; cancel.set() is its cancel button
    kind, text = events.get()
    print(text)
