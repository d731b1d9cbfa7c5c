"""The AOT cache: Kafka's classes as Java has loaded and linked them once, so that later starts need not (JEP 483).

It comes from a training run: a broker of its own that starts, answers and stops. It lies beside the jars that it was
made from, and Java itself looks whether it still fits them; where it does not, it starts without.

Promises: it is made once for each set of jars, Java and options, whoever else wants it meanwhile waits; where it cannot
be made, Kafka starts without, and it is not tried again.
"""

import hashlib
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from infra.engines.errors import EngineError
from infra.engines.jars import PINNED, locked

# Start to first answer, beside other work: 7.6 s without, 3.9 s with; formatting the data folder 4.2 s and 2.1 s.
_SAID = "preparing Java to start Kafka in half of the time, once per user (about 20 s)"
_QUIET = "-Xlog:aot*=off"  # it tells each class that it leaves out

# Runs a broker in a folder with these options, from its start to its end.
TrainingRun = Callable[[Path, Sequence[str]], None]


def options(
    cache: Path, java: Path, flags: Sequence[str], train: TrainingRun, on_progress: Callable[[str], None]
) -> list[str]:
    """Return what Java is told so that it uses the cache, which is made if it is missing; nothing if it cannot be.

    Args:
        cache: the folder of the AOT caches.
        java: the Java that will run.
        flags: what it will be told besides.
        train: makes the training run.
        on_progress: is told before the training.
    """
    made = cache / f"kafka-{_fingerprint(java, flags)}.aot"
    failed = made.with_suffix(".failed")
    with locked(cache):
        if not made.exists() and not failed.exists():
            on_progress(_SAID)
            _make(made, failed, train)
    return [f"-XX:AOTCache={made}", _QUIET] if made.exists() else []


def _make(made: Path, failed: Path, train: TrainingRun) -> None:
    folder = made.parent / "training"
    shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed
    folder.mkdir()
    try:
        train(folder, [f"-XX:AOTCacheOutput={folder / made.name}", _QUIET])
        (folder / made.name).replace(made)
    except (EngineError, OSError) as error:
        failed.write_text(f"{error}\n", encoding="utf-8")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fingerprint(java: Path, flags: Sequence[str]) -> str:
    release = (java.parent.parent / "release").read_text(encoding="utf-8")
    return hashlib.sha256("\n".join([PINNED.read_text(encoding="utf-8"), release, *flags]).encode()).hexdigest()[:16]
