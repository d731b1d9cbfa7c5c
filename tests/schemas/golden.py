"""Golden files: bytes that were written with each past version of the sample application's schemas.

`python -m tests.schemas.golden` writes the files of versions that have none; what is there is never written again.
"""

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from schemas.codec import MessageCodec
from schemas.history import record_of
from schemas.messages import Event
from schemas.metadata import CommandMetadata, EventMetadata
from schemas.outcomes import Outcome
from schemas.registry import canonical
from streams.domain.shop.app import shop
from tests.schemas.ids import MemoryIds

FOLDER = Path(__file__).parent / "golden_files"
HEADER = b"\0\0\0\0\1"
VALUES: Mapping[str, Any] = {
    "user_id": "u-é",
    "account_id": "00004",
    "email": "ada@example.org",
    "name": "Ada Lovelace",
    "purchase_id": "00004-1",
    "day": date(1997, 1, 1),
    "quantity": 2,
    "amount_cents": 2933,
    "aggregate": "user",
    "target_id": "u-é",
    "asked_id": "c",
    "events": (b"one", b""),
    "transfer_id": "t-é",
    "from_account_id": "00004",
    "to_account_id": "00005",
}
EVENT = EventMetadata("c-1", "c", "k", "k", 17, 1_790_000_000_000)
COMMAND = CommandMetadata("c", "k", None, 16, 1_790_000_000_000)
OUTCOME = Outcome("c", "RecordPurchase", "conflict", 17, 16, [], None, None, None, "k", 1_790_000_000_000)


def codecs(ids: MemoryIds) -> Mapping[str, MessageCodec[Any, Any]]:
    """The codec of each record of today, by its name in the history."""
    return {
        record_of(schema): codec
        for contract in shop.contracts
        for codec in (contract.command_codec(ids), contract.event_codec(ids))
        for schema in codec.schemas.values()
    }


def decoded(name: str, version: int, body: bytes) -> Any:
    """The body of a version, as today's classes read it, for JSON."""
    ids = MemoryIds()
    ids.schemas.append(canonical(shop.evolution.history.schema(name, version)))
    if name == "kafold.Outcome":
        return shop.contracts[0].outcome_codec(ids).decode(HEADER + body)._asdict()
    way = shop.evolution.way(shop.evolution.history.schema(name, version))
    message, metadata = codecs(ids)[way.record].decode(HEADER + body)
    return {"type": type(message).__name__, **message.model_dump(mode="json"), "metadata": metadata._asdict()}


def _encoded(name: str) -> bytes:
    ids = MemoryIds()
    if name == "kafold.Outcome":
        return shop.contracts[0].outcome_codec(ids).encode(OUTCOME)[5:]
    codec = codecs(ids)[name]
    cls = next(each for each in codec.schemas if each.__name__ == name.rpartition(".")[2])
    message = cls(**{field: VALUES[field] for field in cls.model_fields})
    return codec.encode(message, EVENT if issubclass(cls, Event) else COMMAND)[5:]


def main() -> None:
    """Write the files that are missing, all of them of the latest versions."""
    FOLDER.mkdir(exist_ok=True)
    for name, versions in shop.evolution.history.versions.items():
        path = FOLDER / f"{name}.v{len(versions)}.json"
        if not path.exists():
            body = _encoded(name)
            document = {"body": body.hex(), "value": decoded(name, len(versions), body)}
            path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
