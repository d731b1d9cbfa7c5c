"""The terminal: answers go to standard output, progress and errors to standard error.

Promises: colours and live displays only where somebody looks at them; JSON is one document, for programs.
"""

import json
import sys
from typing import Any

from rich.console import Console

OUT = Console(highlight=False, soft_wrap=True)
ERR = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(document: Any) -> None:
    """Print a document for programs."""
    sys.stdout.write(json.dumps(document, default=str, ensure_ascii=False, indent=2) + "\n")


def note(text: str) -> None:
    """Say in one quiet line what goes on."""
    ERR.print(f"[dim]· {text}[/dim]")
