"""The codec against bare fastavro: the same schema, the same record, the same run.

Bare fastavro gets what is best for it: the schema without logical types, a plain dict to write, and a plain dict is all
that it reads. Ours takes and returns the typed message with its metadata, days as `date`.
"""

import gc
import timeit
from collections.abc import Callable
from datetime import date
from io import BytesIO
from typing import Any

import fastavro

from schemas.codec import command_codec, event_codec
from schemas.metadata import CommandMetadata, EventMetadata
from schemas.outcomes import Outcome, OutcomeCodec
from schemas.shop.accounts import PurchaseRecorded, RecordPurchase
from tests.benchmarks.measuring import alternating, report, summary
from tests.schemas import fast_avro
from tests.schemas.ids import MemoryIds

CALLS = 30_000
ID = "6b1f0c52-7a1e-4b0e-9a3f-2f7f0b9e4f10"
METADATA = EventMetadata(f"{ID}-1", ID, ID, ID, 17, 1_790_000_000_000)
SENT = CommandMetadata(ID, ID, ID, None, 1_790_000_000_000)
EVENT = PurchaseRecorded(account_id="00004", purchase_id="00004-1", day=date(1997, 1, 1), quantity=2, amount_cents=2933)
COMMAND = RecordPurchase.of(EVENT)
OUTCOME = Outcome(ID, "RecordPurchase", "accepted", 17, None, [123_456], "null", None, None, ID, 1_790_000_000_000)


def seconds_a_call(function: Callable[..., Any], *arguments: Any) -> Callable[[], float]:
    """Return a measure of one call."""

    def measure() -> float:
        gc.collect()
        return timeit.timeit(lambda: function(*arguments), number=CALLS) / CALLS

    return measure


def bare_writer(header: bytes, schema: Any, record: dict[str, Any]) -> Callable[[], bytes]:
    """Return fastavro's writing, with the header before it."""
    parsed = fast_avro.parsed(schema)

    def write() -> bytes:
        out = BytesIO()
        out.write(header)
        fastavro.schemaless_writer(out, parsed, record)
        return out.getvalue()

    return write


def bare_reader(schema: Any, data: bytes) -> Callable[[], Any]:
    """Return fastavro's reading, after the header."""
    parsed = fast_avro.parsed(schema)

    def read() -> Any:
        source = BytesIO(data)
        source.seek(5)
        return fastavro.schemaless_reader(source, parsed, None)

    return read


def main(as_json: bool = False) -> None:
    """Measure, and report medians in microseconds and the ratios."""
    ids = MemoryIds()
    events = event_codec("events", "shop.account", [PurchaseRecorded], ids)
    commands = command_codec("commands", "shop.account", [RecordPurchase], ids)
    outcomes = OutcomeCodec("outcomes", ids)
    data, asked, answered = events.encode(EVENT, METADATA), commands.encode(COMMAND, SENT), outcomes.encode(OUTCOME)
    schema = events.schemas[PurchaseRecorded]
    record = {"metadata": METADATA._asdict(), **fast_avro.plain(PurchaseRecorded.shape, EVENT)}
    write, read = bare_writer(data[:5], schema, record), bare_reader(schema, data)
    if write() != data:
        raise RuntimeError("fastavro writes other bytes: there is nothing to compare")
    figures = alternating(
        {
            "fastavro_encode": seconds_a_call(write),
            "event_encode": seconds_a_call(events.encode, EVENT, METADATA),
            "fastavro_decode": seconds_a_call(read),
            "event_decode": seconds_a_call(events.decode, data),
            "event_decode_metadata": seconds_a_call(events.decode_metadata, data),
            "command_encode": seconds_a_call(commands.encode, COMMAND, SENT),
            "command_decode_validated": seconds_a_call(commands.decode, asked),
            "outcome_encode": seconds_a_call(outcomes.encode, OUTCOME),
            "outcome_decode": seconds_a_call(outcomes.decode, answered),
        }
    )
    report(_result(figures), as_json)


def _result(figures: dict[str, list[float]]) -> dict[str, Any]:
    micros = {f"{name}_us": _rounded([1e6 * each for each in found]) for name, found in figures.items()}
    ratios = {
        f"{kind}_ratio_to_fastavro": [
            bare / ours for bare, ours in zip(figures[f"fastavro_{kind}"], figures[f"event_{kind}"], strict=True)
        ]
        for kind in ("encode", "decode")
    }
    return {
        **{name: round(summary(found)["median"], 3) for name, found in ratios.items()},
        **{f"{name}_spread": [round(min(found), 3), round(max(found), 3)] for name, found in ratios.items()},
        **micros,
    }


def _rounded(found: list[float]) -> dict[str, float]:
    return {name: round(figure, 2) for name, figure in summary(found).items()}
