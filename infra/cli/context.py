"""What the command line was told before the command: the application, and how much to say.

Promises: nothing is loaded before it is asked for.
"""

from __future__ import annotations

import importlib
import logging
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.errors import DefinitionError

if TYPE_CHECKING:
    import typer

    from infra.settings import Settings
    from streams.kernel.application import Application

SAMPLE = "streams.domain.shop.app:shop"


@dataclass(frozen=True)
class Invocation:
    """The options of `kafold` itself. `target`: the application as `package.module:name`."""

    target: str
    debug: bool

    def application(self) -> Application:
        """Import the application.

        Raises:
            DefinitionError: the target names no application; the text says what to write.
        """
        from streams.kernel.application import Application

        found = named("-A", self.target)
        if not isinstance(found, Application):
            module_name, _, name = self.target.partition(":")
            raise DefinitionError(f"-A {self.target}: {name} is no Application of {module_name}")
        return found

    def settings(self) -> Settings:
        """Read the settings."""
        from infra.settings import load_settings

        return load_settings()

    def log_nothing(self) -> None:
        """Keep quiet: a person sees progress and errors, unless they want to see everything."""
        if self.debug:
            self.log_to_console()
        else:
            logging.getLogger("kafold").addHandler(logging.NullHandler())

    def log_to_console(self) -> None:
        """Log as the part of a group does: everything of interest, to its log file."""
        logging.basicConfig(
            level=logging.DEBUG if self.debug else logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
        )


def invocation(ctx: typer.Context) -> Invocation:
    """Return what `kafold` was told."""
    found: Invocation = ctx.obj
    return found


def named(option: str, target: str) -> object:
    """Return what `package.module:name` names, None where the module has no such name. `option`: who asks.

    Raises:
        DefinitionError: the target is not of that form, or there is no such module.
    """
    module_name, colon, name = target.partition(":")
    if not (module_name and colon and name):
        raise DefinitionError(f"{option} {target}: write it as package.module:name")
    if "" not in sys.path:
        sys.path.insert(0, "")  # the application of the folder that one stands in
    return getattr(_module(option, target, module_name), name, None)


def _module(option: str, target: str, name: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and name.startswith(error.name):
            raise DefinitionError(f"{option} {target}: there is no module {error.name}") from None
        raise
