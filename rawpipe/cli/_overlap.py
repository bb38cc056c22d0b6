"""Many files, none waited for: while one is worked on, the next ones are read and the one before it is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from threading import Event
from typing import TypeVar

from rawpipe._errors import Cancelled

Item = TypeVar("Item")
Taken = TypeVar("Taken")
Made = TypeVar("Made")


def overlapped(
    items: Iterable[Item],
    read: Callable[[Item], Taken],
    work: Callable[[Item, Taken], Made],
    write: Callable[[Item, Made, Callable[[float], None]], object],
    ahead: int = 1,
) -> Generator[BaseException | None, None, None]:
    """What became of every item, in order: None, or the exception that ended it while the others go on.

    `work` runs in the caller's thread, where Ctrl-C arrives. `ahead` + 2 items at most are in memory: those read ahead,
    one worked on, one being written. Closing the generator stops a write at its next report, and returns when all
    threads have ended.

    Args:
        items: what to work on.
        read: gives what `work` takes.
        work: gives what `write` takes.
        write: its last argument is a `progress` to call with the share written, which raises `Cancelled` to stop it.
        ahead: how many items are read at a time, each in a thread, 1 or more.
    """
    stopped = Event()

    def go_on(_: float) -> None:
        if stopped.is_set():
            raise Cancelled("the write was cancelled; nothing was left behind")

    def read_on() -> None:
        coming.extend((item, reader.submit(read, item)) for item in islice(waiting, ahead - len(coming)))

    waiting = iter(items)
    coming: deque[tuple[Item, Future[Taken]]] = deque()
    reader, writer = ThreadPoolExecutor(ahead, "read"), ThreadPoolExecutor(1, "write")
    before: Future[object] | None = None
    try:
        read_on()
        while coming:
            item, reading = coming.popleft()
            wait([reading])
            read_on()
            now: Future[object]
            try:
                made = work(item, reading.result())
            except Exception as error:
                now = Future()
                now.set_exception(error)
            else:
                if before is not None:
                    wait([before])  # or two results would wait to be written
                now = writer.submit(write, item, made, go_on)
                del made
            if before is not None:
                yield before.exception()
            before = now
        if before is not None:
            yield before.exception()
    finally:
        stopped.set()
        reader.shutdown(cancel_futures=True)
        writer.shutdown(cancel_futures=True)
