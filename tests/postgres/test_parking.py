"""Parked keys are counted once among all workers, each by the owner of the partition that its first event is on."""

import pytest

from schemas.position import Place
from streams.domain.shop.app import shop
from streams.postgres.connection import connect
from streams.postgres.parking import count_keys
from streams.postgres.setup import prepare

PARK = """
INSERT INTO kafold.parked (application, projection, version, topic, partition, "offset", key, by_message, message_key,
    data, error_type, error, code)
VALUES (%s, %s, 1, %s, %s, %s, %s, false, 'k', 'd', 'ValueError', 'no', 'c')
"""
PARKED = (
    ("shop", "days", "a", 0, 7, "monday"),
    ("shop", "days", "a", 1, 1, "monday"),  # parked behind the one on partition 0
    ("shop", "days", "a", 1, 2, "tuesday"),
    ("shop", "days", "b", 0, 3, "sunday"),
    ("shop", "users", "a", 0, 8, "ada"),
    ("other", "days", "a", 0, 9, "friday"),
)


@pytest.mark.parametrize(
    ("owned", "counted"),
    [
        ([("a", 0)], {"days": 1, "users": 1}),
        ([("a", 1)], {"days": 1}),
        ([("a", 2)], {}),
        ([], {}),
        ([("a", 0), ("a", 1), ("b", 0)], {"days": 3, "users": 1}),
    ],
)
def test_each_key_counts_for_one_owner(database: str, owned: list[Place], counted: dict[str, int]) -> None:
    prepare(database, shop)
    with connect(database, "test") as connection:
        for each in PARKED:
            connection.execute(PARK, each)
        assert dict(count_keys(connection, "shop", owned)) == counted
