"""Exporting: the files of `kafold schemas export`, from an application.

Promises: the same application gives the same files, to the byte.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from schemas.asyncapi import asyncapi
from schemas.history import file_text
from schemas.messages import Query
from schemas.pages import Question, html, markdown, page
from schemas.versioning import published
from streams.kernel.application import Application
from streams.kernel.query import query_type


def exported(application: Application) -> Mapping[str, str]:
    """Return the texts of the files by their names."""
    contracts = application.contracts
    blocks = page(application.name, contracts, [_question(query_type(each)) for each in application.queries])
    # The document's version counts the versions of all schemas: it grows whenever one is added.
    number = sum(map(len, application.evolution.history.versions.values()))
    document = asyncapi(application.name, f"{number}.0.0", contracts)
    schemas = {f"avsc/{name}.avsc": file_text(schema) for name, schema in published(contracts).items()}
    return {
        **schemas,
        "index.md": markdown(blocks),
        "index.html": html(f"{application.name}: the published language", blocks),
        "asyncapi.json": json.dumps(document, indent=2, ensure_ascii=False) + "\n",
    }


def _question(query: type[Query[Any]]) -> Question:
    fields = [(name, _told(field.annotation), field.description or "") for name, field in query.model_fields.items()]
    words = " ".join((query.__doc__ or "").split())
    return Question(query.__name__, words, fields, _told(query.answer_type()))


def _told(annotation: Any) -> str:
    """Return a type for people: without the modules that it comes from."""
    return annotation.__name__ if isinstance(annotation, type) else re.sub(r"(?:\w+\.)+(\w+)", r"\1", str(annotation))
