"""A proxy in front of the broker that holds, delays or cuts what a test chooses.

A **fault** waits for the next request of one kind (an api key). A held request reaches the broker only when the test
releases it; a held answer was carried out by the broker, but the client does not hear of it. A **cut** closes the
client's connection at once, and still delivers what is held to the broker when it is released.

Promises: clients that begin at the proxy stay with it, because its port replaces the broker's in the answers that name
brokers (a port is four bytes there, so nothing moves); apart from faults every byte is passed on as it is.
"""

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import Enum
from functools import partial

from tests.faults.relay import LOOPBACK, Link, Relay

PRODUCE, METADATA, FIND_COORDINATOR, ADD_OFFSETS_TO_TXN, END_TXN, TXN_OFFSET_COMMIT = 0, 3, 10, 25, 26, 28
_NAMES_BROKERS = frozenset({METADATA, FIND_COORDINATOR})
_SIZE, _REQUEST, _CORRELATION = struct.Struct(">i"), struct.Struct(">hhi"), struct.Struct(">i")
_ERROR = struct.Struct(">h")
RELEASE_S_MAX = 60.0


class At(Enum):
    """Where a fault strikes."""

    REQUEST = "before the broker has the request"
    ANSWER = "after the broker carried it out, before the client hears of it"


class Fault:
    """Something that will happen to one request."""

    def __init__(self, api_key: int, at: At, *, cut: bool) -> None:
        """`cut`: whether the client's connection is closed; otherwise it waits until `release`."""
        self.api_key, self.at, self.cut = api_key, at, cut
        self.caught = threading.Event()
        self.answered = threading.Event()
        self.answer = b""
        self._released = threading.Event()

    def release(self) -> None:
        """Pass on what is held."""
        self._released.set()

    def deliver(self, timeout_s: float = 30.0) -> int:
        """Pass on a held request; return the broker's error code, which an EndTxn's answer ends with."""
        self.release()
        if not self.answered.wait(timeout_s):
            raise AssertionError(f"the broker has not answered within {timeout_s:g} s")
        return int(_ERROR.unpack(self.answer[-_ERROR.size :])[0])

    def answered_by(self, frame: bytes) -> None:
        """Take what the broker answered to the request that was held."""
        self.answer = frame
        self.answered.set()

    def strike(self, deliver: Callable[[], None], cut: Callable[[], None]) -> None:
        """Hold what was caught until it is released, then deliver it."""
        self.caught.set()
        if self.cut:
            cut()
        self._released.wait(RELEASE_S_MAX)
        with suppress(OSError):  # whom it is for may have gone
            deliver()


class Proxy(Relay):
    """Listens on a free port for as long as its `with` block runs."""

    def __init__(self, broker: str) -> None:
        """`broker`: its host:port, which must be what it advertises."""
        super().__init__(broker)
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    @property
    def bootstrap_servers(self) -> str:
        """Where clients begin."""
        return f"{LOOPBACK}:{self.port}"

    def expect(self, api_key: int, at: At, *, cut: bool = False) -> Fault:
        """Let a fault happen to the next request of this kind."""
        fault = Fault(api_key, at, cut=cut)
        with self._lock:
            self._faults.append(fault)
        return fault

    def take(self, api_key: int, at: At) -> Fault | None:
        """Return the fault that is due for a request, which is then no longer expected."""
        with self._lock:
            found = next((each for each in self._faults if (each.api_key, each.at) == (api_key, at)), None)
            if found is not None:
                self._faults.remove(found)
            return found

    def rewritten(self, answer: bytes) -> bytes:
        """Return an answer in which the broker's port is this proxy's."""
        host, port = self.upstream
        name = host.encode()
        return answer.replace(name + _SIZE.pack(port), name + _SIZE.pack(self.port))

    def link(self, client: socket.socket) -> Link:
        """Return a link that knows Kafka's requests."""
        return KafkaLink(self, client)


class KafkaLink(Link):
    """One client's connection, and the one to the broker that stands behind it."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        super().__init__(proxy.upstream, client)
        self._proxy = proxy
        self._asked: dict[int, int] = {}
        self._held: dict[int, Fault] = {}
        self.run(self._requests, self._answers)

    def _requests(self) -> None:
        while frame := _frame(self.client):
            api_key, _, correlation = _REQUEST.unpack_from(frame, _SIZE.size)
            self._asked[correlation] = api_key
            fault = self._proxy.take(api_key, At.REQUEST)
            if fault is None:
                self.server.sendall(frame)
            else:
                self._held[correlation] = fault
                fault.strike(partial(self.server.sendall, frame), self.close_client)
                if fault.cut:  # the client is gone; the connection ends when the broker has answered
                    fault.answered.wait(RELEASE_S_MAX)

    def _answers(self) -> None:
        while frame := _frame(self.server):
            (correlation,) = _CORRELATION.unpack_from(frame, _SIZE.size)
            api_key = self._asked.pop(correlation)
            held = self._held.pop(correlation, None)
            if held is not None:
                held.answered_by(frame)
            answer = self._proxy.rewritten(frame) if api_key in _NAMES_BROKERS else frame
            fault = self._proxy.take(api_key, At.ANSWER)
            if fault is None:
                self.client.sendall(answer)
            else:
                fault.strike(partial(self.client.sendall, answer), self.close_client)


def _frame(source: socket.socket) -> bytes:
    """Return the next frame with its size in front; empty: the connection has ended."""
    size = _exactly(source, _SIZE.size)
    return size + _exactly(source, _SIZE.unpack(size)[0]) if size else b""


def _exactly(source: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        part = source.recv(count - len(data))
        if not part:
            return b""
        data += part
    return bytes(data)
