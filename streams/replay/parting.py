"""The histories of a few rows, read from the log up to a position, and the event at which two versions of each part.

Promises: the log is read once for all keys; where rows have one owner, only their aggregates' records are decoded.
"""

from collections.abc import Mapping, Sequence

from schemas.position import Position
from schemas.registry import SchemaIds
from streams.kafka.config import Kafka
from streams.kernel.application import AnyProjection, Application
from streams.kernel.bulk import BulkFold
from streams.kernel.parting import Parting, Recorded, part
from streams.postgres.columns import row_shape
from streams.replay.building import resolvers
from streams.replay.source import BulkSource


def histories(
    application: Application, projection: AnyProjection, kafka: Kafka, ids: SchemaIds, keys: Sequence[str],
    position: Position,
) -> Mapping[str, list[Recorded]]:  # fmt: skip
    """Return each row's events before a position, by the key's text. Several partitions' events go by their times."""
    shape, fold = row_shape(projection), BulkFold(projection, resolvers(application, projection, ids))
    found: dict[str, list[Recorded]] = {key: [] for key in keys}
    wanted = {shape.key_of_text(key): key for key in keys}
    message_keys = {key.encode() for key in keys} if projection.on_aggregate_key else None
    with BulkSource(kafka, "histories") as source:
        for place, end in sorted(position.offsets.items()):
            for batch in source.batches(place, 0, end):
                records = batch if message_keys is None else [each for each in batch if each.key() in message_keys]
                for key, event, meta, record, _ in fold.decode(place[0], records):
                    if event is not None and meta is not None and key in wanted:
                        found[wanted[key]].append(Recorded(place, record.offset(), event, meta))
    if len(position.offsets) > 1:
        for history in found.values():
            history.sort(key=lambda each: (each.meta.time_ms, each.place, each.offset))
    return found


def partings(
    application: Application, old: AnyProjection, new: AnyProjection, kafka: Kafka, ids: SchemaIds,
    keys: Sequence[str], position: Position,
) -> dict[str, Parting | None]:  # fmt: skip
    """Return for each row where the versions part; None: today's code of both makes the same row of its events."""
    shape = row_shape(new)
    wider = old if len(old.event_types) > len(new.event_types) else new
    found = histories(application, wider, kafka, ids, keys, position)
    return {key: part(old, new, shape.key_of_text(key), history) for key, history in found.items()}
