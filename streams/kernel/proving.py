"""Provers: what proves an application's records, one for each topic and for each way in which its records are kept.

Promises: what cannot be read is excused only where it is accounted for: a command by its dead letter, and a dead letter
by the error that it was put away with. An event is never excused, whether it is in its topic or parked.
"""

from collections.abc import Callable, Mapping
from typing import Any

from schemas.avro_foreign import full_name
from schemas.errors import DecodingError
from schemas.proof import Kept, Proof, Prover, Source
from schemas.registry import SchemaIds
from schemas.written import written_record
from streams.kernel.application import Application

Letters = dict[tuple[str, int, int], str]
"""The dead letters by their originals' topic, partition and offset: the names of their errors."""


class Provers:
    """The provers of one application, which all write to one proof."""

    def __init__(self, application: Application, ids: SchemaIds, *, everything: bool) -> None:
        """`everything`: decode every record of the topics, not a sample."""
        self.proof = Proof()
        self.letters: Letters = {}
        self._ids = ids
        self._everything = everything
        self._decoders = _decoders(application, ids)
        self.topics: Mapping[str, Prover] = {
            topic: self._prover(Source(topic, decode, excuses=self._put_away(topic)))
            for topic, decode in self._decoders.items()
        }
        self._kept: dict[tuple[Kept, str], Prover] = {}

    def of(self, kept: Kept, topic: str) -> Prover:
        """Return what proves a topic's dead letters or parked events; all of them are decoded."""
        prover = self._kept.get((kept, topic))
        if prover is None:
            excuses = self._failed_before(topic) if kept is Kept.DEAD_LETTER else _never
            source = Source(topic, self._decoders.get(topic, _of_no_topic), kept, excuses)
            prover = self._kept[kept, topic] = self._prover(source, everything=True)
        return prover

    def _prover(self, source: Source, *, everything: bool | None = None) -> Prover:
        all_of_it = self._everything if everything is None else everything
        return Prover(source, self._name_of, self.proof, everything=all_of_it)

    def _name_of(self, schema_id: int) -> str:
        return full_name(written_record(self._ids, schema_id).schema)

    def _put_away(self, topic: str) -> Callable[[int, int, DecodingError], bool]:
        return lambda partition, offset, _: (topic, partition, offset) in self.letters

    def _failed_before(self, topic: str) -> Callable[[int, int, DecodingError], bool]:
        return lambda partition, offset, error: self.letters.get((topic, partition, offset)) == type(error).__name__


def _decoders(application: Application, ids: SchemaIds) -> Mapping[str, Callable[[bytes], Any]]:
    decoders: dict[str, Callable[[bytes], Any]] = {}
    for aggregate in application.aggregates:
        topics = application.topics(aggregate)
        decoders[topics.commands] = application.command_codec(aggregate, ids).decode
        decoders[topics.events] = application.event_codec(aggregate, ids).decode
        decoders[topics.outcomes] = application.outcome_codec(aggregate, ids).decode
    return decoders


def _never(_partition: int, _offset: int, _error: DecodingError) -> bool:
    return False


def _of_no_topic(_: bytes) -> Any:
    raise DecodingError("the topic is none of the application's: bring its aggregate back")
