"""Source: Python text of a function that is made while the program runs, as dataclasses makes `__init__`.

A codec in which each field is a call costs several times what the field's own work costs, so `schemas/encoder.py` and
`schemas/decoder.py` write one straight function for each shape and compile it here.

Promises: values get into a function by name only, never as text; names are unique; the text has no input from messages.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class Source:
    """Lines of one function under construction, and the values that they name."""

    def __init__(self, signature: str) -> None:
        """Begin a function: `signature` is like `encode(message)`."""
        self._name = signature.partition("(")[0]
        self._lines = [f"def {signature}:"]
        self._depth = 1
        self._count = 0
        self.values: dict[str, Any] = {}

    def line(self, text: str) -> None:
        """Add a line."""
        self._lines.append("    " * self._depth + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Add a head such as `if x:`; what is added inside the `with` is its body."""
        self.line(head)
        self._depth += 1
        before = len(self._lines)
        yield
        if len(self._lines) == before:
            self.line("pass")
        self._depth -= 1

    def fresh(self, prefix: str) -> str:
        """Return a name that is not used yet."""
        self._count += 1
        return f"{prefix}{self._count}"

    def bind(self, prefix: str, value: Any) -> str:
        """Give the function a value; return the name it has there."""
        name = self.fresh(prefix)
        self.values[name] = value
        return name

    def compiled(self, named: Mapping[str, Any]) -> Callable[..., Any]:
        """Return the function; `named` are values under names of the caller's choice."""
        space = {**named, **self.values}
        text = "\n".join(self._lines)
        # Names of fields are checked to be Avro names; everything else in the text is written in this package.
        exec(compile(text, f"<kafold {self._name}>", "exec"), space)  # noqa: S102
        made: Callable[..., Any] = space[self._name]
        return made
