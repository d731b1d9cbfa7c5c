"""The embedded engines do real work."""

import psycopg
from confluent_kafka.admin import AdminClient


def test_kafka_answers(kafka: str) -> None:
    metadata = AdminClient({"bootstrap.servers": kafka}).list_topics(timeout=10)
    assert len(metadata.brokers) == 1


def test_a_database_is_empty_and_utf8(database: str) -> None:
    with psycopg.connect(database) as db:
        row = db.execute("SELECT pg_encoding_to_char(encoding), count(*) OVER () FROM pg_database").fetchone()
        assert row is not None
        assert row[0] == "UTF8"
        assert db.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
