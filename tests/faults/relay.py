"""A relay in front of a server: it listens, and each of its links stands between one client and the server.

`Relay` passes on what comes, after a delay that a test may change at any time: a slow network, or a slow server.
`tests/faults/proxy.py` makes one that knows Kafka's requests.
"""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

LOOPBACK = "127.0.0.1"
CHUNK_BYTES_MAX = 65_536


class Link:
    """One client's connection, and the one to the server that stands behind it."""

    def __init__(self, upstream: tuple[str, int], client: socket.socket) -> None:
        """Connect; `run` begins to pass on."""
        self.client = client
        self.server = socket.create_connection(upstream)
        for each in (client, self.server):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def run(self, *pumps: Callable[[], None]) -> None:
        """Run each of the pumps in a thread; when one ends, so does the link."""
        for pump in pumps:
            threading.Thread(target=self._run, args=(pump,), name="relay-link", daemon=True).start()

    def close(self) -> None:
        """Close both connections."""
        self.close_client()
        _close(self.server)

    def close_client(self) -> None:
        """Close the client's connection only."""
        _close(self.client)

    def _run(self, pump: Callable[[], None]) -> None:
        with suppress(OSError):
            pump()
        self.close()


class Relay:
    """Listens on a free port for as long as its `with` block runs."""

    def __init__(self, server: str) -> None:
        """`server`: its host:port."""
        host, _, port = server.rpartition(":")
        self.upstream = host, int(port)
        self.delay_s = 0.0
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._links: list[Link] = []
        self._thread = threading.Thread(target=self._accept, name="relay", daemon=True)

    def link(self, client: socket.socket) -> Link:
        """Return a link for a new client, which runs."""
        link = Link(self.upstream, client)
        link.run(lambda: self._pass_on(client, link.server), lambda: self._pass_on(link.server, client))
        return link

    def cut_all(self) -> None:
        """Close every connection."""
        for link in list(self._links):
            link.close()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()
        self._thread.join()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._links.append(self.link(client))

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        while data := source.recv(CHUNK_BYTES_MAX):
            threading.Event().wait(self.delay_s)
            sink.sendall(data)


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
