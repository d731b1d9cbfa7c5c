"""A process that opens the engines of a home and holds them; what the tests of engines start, join and kill.

``python -m tests.infra.owner HOME [postgres]`` prints one line of JSON when the engines are ready, and ends on a line
of input or on Ctrl-C. With ``postgres`` it leaves Kafka out, which is quicker.
"""

import json
import signal
import sys
from pathlib import Path

from infra.engines import engines
from infra.settings import load_settings


def main() -> None:
    """Hold the engines until told otherwise."""
    # Whoever runs the tests in a shell's background ignores Ctrl-C, and so would this process.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    home, *only = sys.argv[1:]
    kafka = {"bootstrap_servers": "127.0.0.1:1"} if only else {}
    try:
        with engines(load_settings(home=Path(home), kafka=kafka)) as endpoints:
            told = {"kafka": endpoints.bootstrap_servers, "dsn": endpoints.dsn, "owned": endpoints.owned}
            sys.stdout.write(json.dumps(told) + "\n")
            sys.stdout.flush()
            sys.stdin.readline()
    except KeyboardInterrupt:
        sys.stdout.write("stopped in order\n")


if __name__ == "__main__":
    main()
