"""Meanwhile: something goes on in a thread of its own for as long as a block runs."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def meanwhile(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Do the work until the block's end, when the event that it is given is set, and wait for it."""
    stop = threading.Event()
    thread = threading.Thread(target=work, args=[stop], name="meanwhile")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
