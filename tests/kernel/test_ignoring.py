"""What `ignores_metadata` believes of a function: only one whose own code cannot see its metadata ignores it."""

import functools
from typing import Any

import pytest

from streams.domain.shop.projections import project_customer
from streams.kernel.ignoring import ignores_metadata


def _ignoring(row: Any, event: Any, meta: Any) -> Any:
    return (row, event)


def _reading(row: Any, event: Any, meta: Any) -> Any:
    return meta.version


def _passing(row: Any, event: Any, meta: Any) -> Any:
    return max(row, event, meta)


def _enclosing(row: Any, event: Any, meta: Any) -> Any:
    return [each for each in row if each < meta.version]


def _seeing(row: Any, event: Any, meta: Any) -> Any:
    return locals()


def _any_number(row: Any, *others: Any) -> Any:
    return others


class _Callable:
    def __call__(self, row: Any, event: Any, meta: Any) -> Any:
        return row


@pytest.mark.parametrize("project", [_ignoring, project_customer])
def test_a_function_that_does_not_name_it_ignores_it(project: Any) -> None:
    assert ignores_metadata(project)


@pytest.mark.parametrize(
    "project",
    [_reading, _passing, _enclosing, _seeing, _any_number, _Callable(), functools.partial(_ignoring), max],
)
def test_whoever_might_look_is_believed_to_look(project: Any) -> None:
    assert not ignores_metadata(project)
