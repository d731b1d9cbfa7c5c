"""Ports: free TCP ports on loopback.

They are taken below the range from which Linux takes the local ports of outgoing connections (32768 and up): a port up
there that is free now may be some connection's a moment later, and after a restart the same port is wanted again.
"""

import secrets
import socket

LOOPBACK = "127.0.0.1"
_FIRST, _LAST = 20_000, 32_000
_TRIES_MAX = 1_000


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As the engines themselves do: connections of the last server that linger in TIME_WAIT are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def is_listening(port: int) -> bool:
    """Whether somebody accepts connections on the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((LOOPBACK, port)) == 0


def free_port() -> int:
    """A port that is free now; whoever wants it must be ready to lose it to a faster process."""
    for _ in range(_TRIES_MAX):
        port = _FIRST + secrets.randbelow(_LAST - _FIRST)
        if is_free(port):
            return port
    raise OSError(f"no free port on {LOOPBACK} between {_FIRST} and {_LAST}: end some servers.")
