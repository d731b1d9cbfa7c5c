"""What was written with each past version decodes in this build, to the value that it had then."""

import json

import pytest

from streams.domain.shop.app import shop
from tests.schemas.golden import FOLDER, decoded

VERSIONS = [
    (record, number)
    for record, versions in shop.evolution.history.versions.items()
    for number in range(1, len(versions) + 1)
]


@pytest.mark.parametrize(("record", "number"), VERSIONS)
def test_a_past_version_decodes(record: str, number: int) -> None:
    path = FOLDER / f"{record}.v{number}.json"
    assert path.exists(), "run `python -m tests.schemas.golden`"
    golden = json.loads(path.read_text("utf-8"))
    assert decoded(record, number, bytes.fromhex(golden["body"])) == golden["value"]
