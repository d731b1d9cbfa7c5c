"""The life of the embedded engines: kept data, two homes, joined homes, killed owners, taken ports."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic

from infra.engines import Endpoints, EngineError, engines
from infra.engines.home import EngineHome
from infra.engines.ports import free_port, is_listening
from infra.settings import Settings, load_settings
from infra.waiting import wait_until

ROOT = Path(__file__).parents[2]
TOPIC = "kept"


@dataclass(frozen=True)
class Owner:
    """A process that holds the engines of a home."""

    process: subprocess.Popen[str]
    kafka: str
    dsn: str
    owned: bool


@contextmanager
def owner(home: Path, *only: str) -> Iterator[Owner]:
    command = [sys.executable, "-m", "tests.infra.owner", str(home), *only]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        try:
            yield Owner(process, **json.loads(process.stdout.readline()))
        finally:
            process.kill()


def postgres_only(home: Path, **postgres: object) -> Settings:
    return load_settings(home=home, kafka={"bootstrap_servers": "127.0.0.1:1"}, postgres=postgres)


def write(kafka: str, dsn: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(20)
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": "keeper"})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(TOPIC, b"event")
    producer.commit_transaction(20)
    with psycopg.connect(dsn) as db:
        db.execute("CREATE TABLE kept AS SELECT 42 AS answer")


def read(kafka: str, dsn: str) -> tuple[bytes | None, tuple[int]]:
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": "reader", "auto.offset.reset": "earliest"})
    consumer.subscribe([TOPIC])
    message = consumer.poll(20)
    consumer.close()
    with psycopg.connect(dsn) as db:
        row = db.execute("SELECT answer FROM kept").fetchone()
    assert message is not None
    assert row is not None
    return message.value(), row


def all_gone(home: Path) -> bool:
    """No engine process lives: each of them holds its home's lock."""
    gone = []
    for name in ("kafka", "postgres"):
        engine = EngineHome(home / name)
        gone.append(engine.try_lock() is not None)
        engine.unlock()
    return all(gone)


def test_data_and_ports_outlive_a_killed_owner(own_engine_home: Path, kafka: str, dsn: str) -> None:
    """A whole life, beside the session's engines: kill -9 leaves nothing running; the next start finds the data."""
    with owner(own_engine_home) as first:
        assert first.owned
        assert (first.kafka, first.dsn) != (kafka, dsn)
        write(first.kafka, first.dsn)
        first.process.kill()
        port = int(first.kafka.rpartition(":")[2])
        assert wait_until(lambda: not is_listening(port), 20)
        assert wait_until(lambda: all_gone(own_engine_home), 20)
    with engines(load_settings(home=own_engine_home)) as again:
        assert (again.bootstrap_servers, again.dsn) == (first.kafka, first.dsn)
        assert read(again.bootstrap_servers, again.dsn) == (b"event", (42,))
    assert all_gone(own_engine_home)


def test_a_second_process_of_the_home_joins(own_engine_home: Path) -> None:
    with owner(own_engine_home, "postgres") as first:
        with engines(postgres_only(own_engine_home)) as joined:
            assert (joined.dsn, joined.owned) == (first.dsn, False)
            joined.check()
        assert first.process.poll() is None
        with psycopg.connect(first.dsn) as db:
            assert db.execute("SELECT 1").fetchone() == (1,)


def test_a_joined_engine_that_its_owner_stopped_is_told(own_engine_home: Path) -> None:
    with owner(own_engine_home, "postgres") as first, engines(postgres_only(own_engine_home)) as joined:
        first.process.communicate("\n", timeout=20)
        with pytest.raises(EngineError, match="PostgreSQL has ended"):
            joined.check()


def test_ctrl_c_stops_in_order(own_engine_home: Path) -> None:
    with owner(own_engine_home, "postgres") as first:
        os.killpg(first.process.pid, signal.SIGINT)  # as a terminal does: the whole foreground group
        out, _ = first.process.communicate(timeout=20)
        assert out == "stopped in order\n"
        assert first.process.returncode == 0
    assert "database system is shut down" in (own_engine_home / "logs" / "postgres.log").read_text()


def test_a_crashed_server_is_told_and_its_pid_file_is_no_obstacle(
    own_engine_home: Path, engine_home: Path, dsn: str
) -> None:
    """The pid in a stale file may have gone to another process since, even to another PostgreSQL."""
    assert dsn  # the session's PostgreSQL runs
    living = (engine_home / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0]
    with engines(postgres_only(own_engine_home)) as endpoints:
        pid_file = own_engine_home / "postgres" / "data" / "postmaster.pid"
        stale = pid_file.read_text().splitlines()
        os.kill(int(stale[0]), signal.SIGKILL)
        assert wait_until(lambda: _has_ended(endpoints), 20)
    pid_file.write_text("\n".join([living, *stale[1:]]))
    with engines(postgres_only(own_engine_home)) as endpoints:
        endpoints.check()


def _has_ended(endpoints: Endpoints) -> bool:
    try:
        endpoints.check()
    except EngineError as error:
        return "ended by itself" in str(error)
    return False


def test_a_taken_port_is_told(own_engine_home: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as squatter:
        port = squatter.getsockname()[1]
        with (
            pytest.raises(EngineError, match=f"port {port} for PostgreSQL is taken"),
            engines(postgres_only(own_engine_home, port=port)),
        ):
            pass
    assert all_gone(own_engine_home)


def test_last_time_s_port_is_given_up_when_it_is_taken(own_engine_home: Path) -> None:
    port = free_port()
    with engines(postgres_only(own_engine_home, port=port)) as first:
        assert f":{port}/" in first.dsn
    with socket.create_server(("127.0.0.1", port)), engines(postgres_only(own_engine_home)) as second:
        assert f":{port}/" not in second.dsn
        with psycopg.connect(second.dsn) as db:
            assert db.execute("SELECT 1").fetchone() == (1,)


def test_a_home_that_cannot_be_written_is_told(own_engine_home: Path) -> None:
    (own_engine_home / "postgres").mkdir()
    (own_engine_home / "postgres" / "data.new").write_text("a file where a folder has to be")
    with pytest.raises(EngineError, match="PostgreSQL cannot be prepared in"), engines(postgres_only(own_engine_home)):
        pass


def test_configured_engines_are_used_as_they_are(tmp_path: Path) -> None:
    settings = load_settings(
        home=tmp_path / "home",
        kafka={"bootstrap_servers": "broker:9092", "properties": {"security.protocol": "SSL"}},
        postgres={"dsn": "postgresql://db/x"},
    )
    with engines(settings) as endpoints:
        assert endpoints == Endpoints("broker:9092", "postgresql://db/x", {"security.protocol": "SSL"}, owned=False)
        assert "postgresql://" not in repr(endpoints)
    assert not (tmp_path / "home").exists()
