"""`python -m tests.benchmarks NAME [--json]`: each benchmark is a module here with `main(as_json: bool)`."""

import argparse
import importlib
from pathlib import Path

NOT_BENCHMARKS = {"__init__", "__main__", "measuring"}


def names() -> list[str]:
    """Return the benchmarks that there are."""
    found = (path.stem for path in Path(__file__).parent.glob("*.py"))
    return sorted(name for name in found if name not in NOT_BENCHMARKS and not name.endswith("_loop"))


def main() -> None:
    """Run the benchmarks that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(names())}")
    parser.add_argument("--json", action="store_true", help="print a JSON object on the last line")
    arguments = parser.parse_args()
    for name in arguments.names or names():
        if name not in names():
            parser.error(f"no benchmark {name!r}; there are: {', '.join(names())}")
        importlib.import_module(f"tests.benchmarks.{name}").main(arguments.json)


if __name__ == "__main__":
    main()
