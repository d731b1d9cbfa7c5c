"""Making a backup: topic by topic, partition by partition, segment by segment into a folder.

Promises: the application goes on meanwhile; whatever ends the making, running it again goes on after the last whole
segment, with the same cut; memory is bounded by a segment, and 16 bytes for each gap in a partition of events.
"""

from collections.abc import Callable, Iterator
from contextlib import closing

from schemas.errors import DecodingError
from schemas.outcomes import OutcomeCodec
from schemas.position import Place
from schemas.registry import SchemaIds
from streams.backup.cutting import cut
from streams.backup.errors import WrongFolder
from streams.backup.folder import Folder
from streams.backup.manifest import BackedUp, Manifest, Partition, Segment, content_sha256
from streams.backup.ranks import Ranks, ranked
from streams.backup.records import Stored, encode, placed, stored
from streams.kafka.config import Kafka
from streams.kafka.scanning import scan
from streams.kafka.topics import topic_ids
from streams.kernel.application import Application
from streams.kernel.errors import LogBroken

OnProgress = Callable[[int, int], None]
SEGMENT_BYTES = 16 << 20


def make(
    application: Application,
    kafka: Kafka,
    ids: SchemaIds,
    folder: Folder,
    *,
    registry: bool = True,
    segment_bytes: int = SEGMENT_BYTES,
    on_progress: OnProgress = lambda _done, _total: None,
) -> Manifest:
    """Make a backup, or finish one; return its manifest.

    Args:
        application: whose topics.
        kafka: where they are.
        ids: the registry, for the outcomes' schema.
        folder: where to; empty, or with an unfinished backup of the same topics.
        registry: whether the embedded registry's topic is part of it.
        segment_bytes: how much goes into one file, before it is packed.
        on_progress: is told how many offsets are done, of how many.

    Raises:
        DamagedBackup: a file of the unfinished backup is not as it was written.
        LogBroken: an outcome cannot be read, or names events that are not there.
        WrongFolder: the folder is not one to write to.
    """
    plan = folder.plan()
    if plan is None:
        plan = cut(application, kafka, registry=registry)
        folder.begin(plan)
    elif plan.application != application.name or plan.topic_ids != topic_ids(kafka, plan.topic_ids):
        raise WrongFolder(
            f"{folder.path} is an unfinished backup of other topics ({plan.application}): take a new folder"
        )
    making = _Making(application, kafka, ids, folder, plan, segment_bytes, on_progress)
    manifest = plan.model_copy(update={"topics": [making.topic(each) for each in plan.topics]})
    folder.finish(manifest)
    return manifest


class _Making:
    """One backup under way."""

    def __init__(
        self,
        application: Application,
        kafka: Kafka,
        ids: SchemaIds,
        folder: Folder,
        plan: Manifest,
        segment_bytes: int,
        on_progress: OnProgress,
    ) -> None:
        self._topics = {application.topics(each).outcomes: application.topics(each) for each in application.aggregates}
        self._codecs = {
            application.topics(each).outcomes: application.outcome_codec(each, ids) for each in application.aggregates
        }
        self._kafka = kafka
        self._folder = folder
        self._written = folder.written()
        self._segment_bytes = segment_bytes
        self._done, self._total = 0, sum(each.end for topic in plan.topics for each in topic.partitions)
        self._on_progress = on_progress

    def topic(self, planned: BackedUp) -> BackedUp:
        """Back a topic up."""
        partitions = [self._partition(planned, n, each) for n, each in enumerate(planned.partitions)]
        return planned.model_copy(update={"partitions": partitions})

    def _partition(self, topic: BackedUp, number: int, planned: Partition) -> Partition:
        place = topic.name, number
        segments = self._written.setdefault(place, [])
        begin = segments[-1].last + 1 if segments else 0
        self._on_progress(self._done + begin, self._total)
        read = scan(self._kafka, {place: planned.end}, begins={place: begin})
        with closing(read):
            records: Iterator[Stored] = map(stored, read)
            if topic.kind == "outcomes":
                records = self._ranked(place, records)
            rank = sum(each.records for each in segments)
            for batch in self._batches(records):
                first = None if topic.keeps_offsets else rank
                segments.append(self._write(place, len(segments), batch, first))
                rank += len(batch)
                self._on_progress(self._done + batch[-1].offset + 1, self._total)
        self._done += planned.end
        self._on_progress(self._done, self._total)
        return planned.model_copy(update={"segments": segments})

    def _batches(self, records: Iterator[Stored]) -> Iterator[list[Stored]]:
        batch, size = list[Stored](), 0
        for record in records:
            batch.append(record)
            size += len(record.key or b"") + len(record.value or b"") + 32
            if size >= self._segment_bytes:
                yield batch
                batch, size = [], 0
        if batch:
            yield batch

    def _write(self, place: Place, number: int, batch: list[Stored], first_rank: int | None) -> Segment:
        contents = b"".join(map(encode, batch))
        checksum = content_sha256(placed(batch, first_rank))
        return self._folder.write(place, number, contents, len(batch), batch[-1].offset, checksum)

    def _ranked(self, place: Place, outcomes: Iterator[Stored]) -> Iterator[Stored]:
        events = self._topics[place[0]].events, place[1]
        written = enumerate(self._written.get(events, []))
        ranks = Ranks(each.offset for n, segment in written for each in self._folder.read(events, n, segment))
        codec: OutcomeCodec = self._codecs[place[0]]
        for each in outcomes:
            try:
                value = ranked(codec, ranks, each.value or b"")
            except DecodingError as error:
                raise LogBroken(f"{place[0]} {place[1]}@{each.offset} is no outcome: {error}") from error
            if value is None:
                return  # it and those after it were decided after the events' end
            yield each._replace(value=value)
