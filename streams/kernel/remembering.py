"""Remembering: folding an aggregate's recorded events back into what is known of it.

Promises: versions are checked for contiguity (a second net under the transactions); an event that cannot be folded
makes its aggregate broken, with the reason, and no other.
"""

from typing import Any

from schemas.codec import MessageCodec
from schemas.errors import DecodingError
from schemas.metadata import EventMetadata
from streams.kernel.aggregate import Aggregate
from streams.kernel.errors import LogBroken
from streams.kernel.processing import Known


def remember(
    aggregate: Aggregate[Any, Any, Any], codec: MessageCodec[Any, EventMetadata], known: Known | None, data: bytes
) -> Known:
    """Return what is known after one more recorded event.

    Raises:
        LogBroken: the event's version is not the next one.
    """
    before = known or Known(aggregate.initial, 0)
    if before.broken is not None:
        return before._replace(version=before.version + 1)
    try:
        event, metadata = codec.decode(data)
    except DecodingError as error:
        return Known(before.state, before.version + 1, f"event {before.version + 1} cannot be decoded: {error}")
    if metadata.version != before.version + 1:
        raise LogBroken(
            f"{aggregate.name} {event.aggregate_id}: version {metadata.version} follows version {before.version}"
        )
    try:
        return Known(aggregate.evolve(before.state, event), metadata.version)
    except Exception as error:  # noqa: BLE001 - the application's code: what it raises breaks this one aggregate
        reason = f"evolve cannot fold event {metadata.version}: {type(error).__name__}: {error}"
        return Known(before.state, metadata.version, reason)
