"""Many files, none waited for: while one is worked on, the next is read and the one before it is written."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
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
) -> Generator[BaseException | None, None, None]:
    """What became of every item, in order: None, or the exception that ended it while the others go on.

    `read` and `write` run in a thread each, `work` in the caller's, where Ctrl-C arrives. Three items at most are in
    memory: one read ahead, one worked on, one being written. Closing the generator stops a write at its next report,
    and returns when both threads have ended.

    Args:
        items: what to work on.
        read: gives what `work` takes.
        work: gives what `write` takes.
        write: its last argument is a `progress` to call with the share written, which raises `Cancelled` to stop it.
    """
    stopped = Event()

    def go_on(_: float) -> None:
        if stopped.is_set():
            raise Cancelled("the write was cancelled; nothing was left behind")

    def ahead() -> tuple[Item, Future[Taken]] | None:
        return next(((item, reader.submit(read, item)) for item in waiting), None)

    waiting = iter(items)
    reader, writer = ThreadPoolExecutor(1, "read"), ThreadPoolExecutor(1, "write")
    before: Future[object] | None = None
    try:
        coming = ahead()
        while coming is not None:
            item, reading = coming
            wait([reading])
            coming = ahead()
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
