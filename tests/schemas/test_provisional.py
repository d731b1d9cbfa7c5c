"""Provisional ids: what the registry knows is its own, the rest gets an id here and nowhere else."""

import pytest

from schemas.errors import UnknownSchemaId
from schemas.provisional import ProvisionalIds
from schemas.registry import Registry


def test_what_is_not_registered_gets_an_id_for_the_time_being() -> None:
    registry = Registry()
    record = registry.registration("s", '"long"')
    assert record is not None
    registry.apply(*record)
    ids = ProvisionalIds(registry)
    assert (ids.id_of("s", '"long"'), ids.schema_of(1)) == (1, '"long"')

    first, second = ids.id_of("s", '"string"'), ids.id_of("t", '"bytes"')
    assert first != second
    assert ids.id_of("other", '"string"') == first
    assert (ids.schema_of(first), ids.schema_of(second)) == ('"string"', '"bytes"')
    assert max(first, second) < 2**32
    with pytest.raises(UnknownSchemaId):
        registry.schema_of(first)
    with pytest.raises(UnknownSchemaId):
        ids.schema_of(7)
