"""The outcome reader: a thread that follows outcomes topics and hands each outcome to whoever waits for it.

Promises: an outcome committed after `follow` returned is never missed; nothing is kept for which nobody waits.
"""

import logging
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from producers.asked import Answer
from producers.ports import Cluster
from schemas.errors import DecodingError
from schemas.outcomes import OutcomeCodec

_LOG = logging.getLogger("kafold.client")
POLL_S = 0.1
TIMEOUT_S = 10.0


class OutcomeReader:
    """Follows outcomes topics from where they end at the first `follow`."""

    def __init__(self, cluster: Cluster, codecs: Mapping[str, OutcomeCodec]) -> None:
        """`codecs`: by outcomes topic. Nothing is read until `follow`."""
        self._codecs = codecs
        self._waiting: dict[str, list[Future[Answer]]] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._consumer = Consumer(cluster.consumer(group_id="kafold-client"))
        self._thread = threading.Thread(target=self._run, name="kafold-outcomes", daemon=True)

    def follow(self) -> None:
        """Follow the topics from their present ends on, all at once: an end asked for later waits behind a fetch.

        Blocks until the ends are known; the second time it does nothing.
        """
        with self._lock:
            if self._thread.is_alive():
                return
            self._consumer.assign([end for topic in self._codecs for end in self._ends(topic)])
            self._thread.start()

    def _ends(self, topic: str) -> Iterator[TopicPartition]:
        for partition in self._consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic].partitions:
            # The last stable offset: an outcome of a transaction that is still open comes after it.
            _, end = self._consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=TIMEOUT_S)
            yield TopicPartition(topic, partition, end)

    def expect(self, *command_ids: str) -> "Future[Answer]":
        """Return a future of the first outcome of these commands. Call it before they are sent."""
        future: Future[Answer] = Future()
        with self._lock:
            for command_id in command_ids:
                self._waiting.setdefault(command_id, []).append(future)
        return future

    def forget(self, future: "Future[Answer]", *command_ids: str) -> None:
        """Stop waiting; others who wait for the same commands go on."""
        with self._lock:
            for command_id in command_ids:
                left = [each for each in self._waiting.pop(command_id, []) if each is not future]
                if left:
                    self._waiting[command_id] = left

    def close(self) -> None:
        """End the thread and leave the cluster."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                record = self._consumer.poll(POLL_S)
                if record is not None and record.error() is None:
                    self._hand_over(record)
        except KafkaException as error:
            self._fail(error)

    def _hand_over(self, record: Message) -> None:
        try:
            outcome = self._codecs[record.topic()].decode(record.value() or b"")
        except DecodingError as error:
            _LOG.warning("%s[%d]@%d is no outcome: %s", record.topic(), record.partition(), record.offset(), error)
            return
        with self._lock:
            waiting = self._waiting.pop(outcome.command_id, [])
        for future in waiting:
            if not future.done():
                future.set_result(Answer(outcome, record.partition()))

    def _fail(self, error: Exception) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for future in {each for futures in waiting.values() for each in futures}:
            if not future.done():
                future.set_exception(error)
