"""Do something again and again in a thread while a block runs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeating(action: Callable[[], None], every_s: float, name: str) -> Iterator[None]:
    """Call ``action`` every ``every_s`` seconds, in a thread called ``name``, until the block has ended."""
    ended = threading.Event()

    def loop() -> None:
        while not ended.wait(every_s):
            action()

    thread = threading.Thread(target=loop, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
