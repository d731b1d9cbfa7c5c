"""Proving: all that an application keeps, read for `kafold schemas prove`: topics, dead letters and parked events.

Promises: nothing is written, and nobody who reads the topics is disturbed.
"""

from collections.abc import Callable

from infra.engines import Endpoints
from infra.preparing import kafka_at
from infra.registries import schema_ids
from infra.settings import Settings
from schemas.proof import Proof
from streams.kafka.proving import prove_topics
from streams.kernel.application import Application
from streams.kernel.proving import Provers
from streams.postgres.proving import prove_parked


def prove(
    application: Application,
    settings: Settings,
    endpoints: Endpoints,
    *,
    everything: bool = False,
    advance: Callable[[int, int], None] = lambda _done, _total: None,
) -> Proof:
    """Read everything, and return what was found; `advance` is told how many offsets are done, of how many.

    Raises:
        RegistryUnavailable: the topics or the registry cannot be read.
    """
    kafka = kafka_at(endpoints)
    with schema_ids(settings, kafka) as ids:
        provers = Provers(application, ids, everything=everything)
        prove_topics(application, kafka, provers, advance)
        prove_parked(endpoints.dsn, application, provers)
    provers.proof.sort()
    return provers.proof
