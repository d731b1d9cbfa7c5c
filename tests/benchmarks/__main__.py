"""`python -m tests.benchmarks NAME [--json]`: each benchmark is a module here with `main(as_json: bool)`.

One that has a `quick(as_json: bool)` too does the same on little data with `--quick`: in a minute, not to quote.
"""

import argparse
import importlib
from importlib.util import find_spec
from pathlib import Path

NOT_BENCHMARKS = {"__init__", "__main__", "measuring", "processes", "visibility"}
PEERS = {"commands": "eventsourcing", "load": "eventsourcing", "replay": "quixstreams"}


def names() -> list[str]:
    """Return the benchmarks that there are."""
    found = (path.stem for path in Path(__file__).parent.glob("*.py"))
    return sorted(name for name in found if name not in NOT_BENCHMARKS and not name.endswith("_loop"))


def main() -> None:
    """Run the benchmarks that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(names())}")
    parser.add_argument("--json", action="store_true", help="print a JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="on little data, for those that can")
    arguments = parser.parse_args()
    chosen = arguments.names or names()
    if missing := {each for name in chosen if (each := PEERS.get(name)) and find_spec(each) is None}:
        parser.error(
            f"not installed: {', '.join(sorted(missing))}; `make .venv/bench.stamp` installs what is measured beside us"
        )
    for name in chosen:
        if name not in names():
            parser.error(f"no benchmark {name!r}; there are: {', '.join(names())}")
        module = importlib.import_module(f"tests.benchmarks.{name}")
        if arguments.quick and not hasattr(module, "quick"):
            parser.error(f"{name} has no quick mode")
        (module.quick if arguments.quick else module.main)(arguments.json)


if __name__ == "__main__":
    main()
