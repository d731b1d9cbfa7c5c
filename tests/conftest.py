"""Fixtures for every test; one concern a file under ``tests/fixtures``."""

pytest_plugins = [
    "tests.fixtures.engines",
    "tests.fixtures.own_engines",
    "tests.fixtures.names",
    "tests.fixtures.up",
    "tests.fixtures.worlds",
    "tests.fixtures.shop",
]
