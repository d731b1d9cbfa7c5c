"""What can go wrong with an embedded engine, said so that a person knows what to do.

``EngineError``
    ``EnginesMissingError``   the extra ``embedded`` is not installed: install it, or name a cluster and a database
    ``JarError``              Kafka's jars could not be had: see to the network, or fill the cache by hand
    ``PortTakenError``        the port that was asked for is in use: end its user, or ask for another
    ``HomeInUseError``        another process holds this home's engine, but it does not answer: end that process
    ``EngineStartError``      the engine ended or stayed silent: the last lines of its log say why
    ``EngineStoppedError``    the engine ended while it was in use: start kafold again
"""


class EngineError(Exception):
    """An embedded engine cannot be had. Its text is short, names the cause and says what to do."""


class EnginesMissingError(EngineError):
    """The wheels that carry the engines are not installed."""


class JarError(EngineError):
    """Kafka's jars are neither cached nor to be downloaded, or they are not the ones that were pinned."""


class PortTakenError(EngineError):
    """The port that the settings ask for is in use."""


class HomeInUseError(EngineError):
    """Another process holds the engine of this home, but the engine does not answer."""


class EngineStartError(EngineError):
    """The engine ended, or did not answer in time, while it was starting."""


class EngineStoppedError(EngineError):
    """The engine ended while it was in use."""
