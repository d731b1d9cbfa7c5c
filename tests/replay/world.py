"""What the replay tests do to a world: build, read tables as texts, and fold in plain Python.

The **oracle** is the world's: it folds the committed events one by one, with nothing of the worker's or the replay's.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from infra.engines import Endpoints
from infra.replay_parts import Wishes
from infra.replaying import Built, replay_projection
from infra.settings import Settings, load_settings
from schemas.position import Place
from streams.kernel.application import AnyProjection, Application
from streams.postgres.checkpoints import Reader
from streams.postgres.setup import define_table
from streams.postgres.tables import table_of
from streams.replay.running import OnProgress
from tests.worker.world import World

CHECKSUM = (
    "SELECT count(*), md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text COLLATE \"C\"), '')) FROM {} AS t"
)


@dataclass
class Rebuilding:
    """A world whose projections are replayed."""

    world: World
    settings: Settings

    @property
    def endpoints(self) -> Endpoints:
        return Endpoints(self.world.kafka.bootstrap_servers, self.world.dsn, {}, owned=False)

    def named(self, application: Application) -> Application:
        """Return an application of `tests/replay/apps.py` under the world's name."""
        return replace(application, name=self.world.application.name)

    def replay(
        self, application: Application, name: str = "customer_summary", *, on_progress: OnProgress = lambda _: None,
        target: str = "", **wishes: Any,
    ) -> Built:  # fmt: skip
        """Build the newest version."""
        made = self.named(application)
        return replay_projection(target, made, self.settings, self.endpoints, name, Wishes(**wishes), on_progress)

    def checksum(self, reader: Reader) -> tuple[int, str]:
        """Return how many rows a version's table has, and the hash over all of them as texts."""
        table = sql.Identifier(self.world.application.name, f"{reader.name}_v{reader.version}")
        with psycopg.connect(self.world.dsn) as connection:
            return _checksum(connection, table)

    def checksum_expected(self, projection: AnyProjection) -> tuple[int, str]:
        """Return the same of the oracle's rows, written one by one into a table of the same columns."""
        table, rows = table_of(self.world.application.name, projection), self.world.expected(projection).values()
        name = sql.Identifier("pg_temp", "expected")
        marks = sql.SQL(", ").join(sql.Placeholder() * len(table.shape.columns))
        with psycopg.connect(self.world.dsn) as connection, connection.cursor() as cursor:
            cursor.execute(define_table(name, table.shape))
            cursor.executemany(
                sql.SQL("INSERT INTO {} VALUES ({})").format(name, marks), map(table.shape.to_columns, rows)
            )
            return _checksum(connection, name)

    def checkpoints(self, reader: Reader) -> Mapping[Place, int]:
        """Return a version's checkpoints."""
        with psycopg.connect(self.world.dsn) as connection:
            found = connection.execute(
                "SELECT topic, partition, next FROM kafold.checkpoints "
                "WHERE application = %s AND projection = %s AND version = %s",
                [self.world.application.name, *reader],
            )
            return {(topic, partition): at for topic, partition, at in found}

    def reached(self, *readers: Reader) -> Callable[[], bool]:
        """Return a condition: these have folded all that was committed."""

        def holds() -> bool:
            return all(
                self.checkpoints(reader).get(place, 0) >= end
                for reader in readers
                for place, end in self.world.ends.items()
            )

        return holds

    def ask(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement; `APP` stands for the application's schema."""
        with psycopg.connect(self.world.dsn) as connection:
            text = statement.replace("APP", f'"{self.world.application.name}"')
            return connection.execute(text.encode(), parameters).fetchall()


@contextmanager
def rebuilding_of(world: World, home: Path) -> Iterator[Rebuilding]:
    """The world with settings that lead to it."""
    settings = load_settings(
        home=home, kafka={"bootstrap_servers": world.kafka.bootstrap_servers}, postgres={"dsn": world.dsn}
    )
    yield Rebuilding(world, settings)


def _checksum(connection: psycopg.Connection[Any], table: sql.Identifier) -> tuple[int, str]:
    count, digest = connection.execute(sql.SQL(CHECKSUM).format(table)).fetchone() or (0, "")
    return int(count), str(digest)
