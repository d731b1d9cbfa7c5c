"""A registry of yours, over real HTTP and HTTPS: what is asked of it, what it refuses, and who it is."""

from collections.abc import Iterator
from typing import Any

import pytest

from infra.engines.ports import free_port
from infra.registries import schema_ids
from infra.settings import Settings, load_settings
from schemas.compatibility import Mode
from schemas.errors import IncompatibleSchema, UnknownSchemaId
from schemas.history import History
from schemas.registry import UnregisteredSchema, canonical
from schemas.upcasting import Evolution, Upcaster
from streams.domain.shop.app import shop
from streams.kafka.config import Kafka
from streams.kafka.registry import RegistryUnavailable
from tests.registry.writable import Certificate, Writable, certificate_in, writable_registry

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
pytest.importorskip("authlib", reason="Confluent's client needs kafold[registry]")

from streams.kafka.remote_registry import Remote, RemoteRegistry  # noqa: E402 - not without its packages

LOGIN = ("kafold", "s3cret:with colon")
SUBJECT = "things.thing.events-things.thing.Done"


def version(*fields: str, **defaults: Any) -> dict[str, Any]:
    described = [{"name": name, "type": "long"} for name in fields]
    described += [{"name": name, "type": "long", "default": value} for name, value in defaults.items()]
    return {"type": "record", "name": "Done", "namespace": "things.thing", "fields": described}


@pytest.fixture
def writable() -> Iterator[Writable]:
    with writable_registry() as made:
        yield made


@pytest.fixture
def remote(writable: Writable) -> Iterator[RemoteRegistry]:
    with RemoteRegistry(Remote(writable.url)) as made:
        yield made


def test_an_application_is_registered_once_with_its_modes(writable: Writable, remote: RemoteRegistry) -> None:
    assert remote.register(shop.subjects(), shop.evolution) == len(shop.subjects())
    assert remote.register(shop.subjects(), shop.evolution) == 0
    assert writable.registry.compatibility == dict.fromkeys(shop.subjects(), "BACKWARD_TRANSITIVE")
    for subject, schema in shop.subjects().items():
        assert remote.schema_of(remote.id_of(subject, schema)) == schema


def test_what_was_answered_is_not_asked_again(writable: Writable, remote: RemoteRegistry) -> None:
    remote.register({SUBJECT: canonical(version("a"))})
    schema_id = remote.id_of(SUBJECT, canonical(version("a")))
    remote.schema_of(schema_id)
    before = len(writable.asked)
    remote.schema_of(schema_id)
    remote.id_of(SUBJECT, canonical(version("a")))
    assert len(writable.asked) == before


def test_what_is_not_there_is_said_as_the_embedded_registry_says_it(remote: RemoteRegistry) -> None:
    with pytest.raises(UnknownSchemaId, match="999"):
        remote.schema_of(999)
    with pytest.raises(UnregisteredSchema, match="kafold up"):
        remote.id_of(SUBJECT, canonical(version("a")))


def test_an_incompatible_schema_is_refused_with_its_field_and_an_upcaster_lets_it_in(
    writable: Writable, remote: RemoteRegistry
) -> None:
    old, new = version("a"), version("b")
    remote.register({SUBJECT: canonical(old)})
    with pytest.raises(IncompatibleSchema, match=r"BACKWARD_TRANSITIVE: cannot read version 1: b: is new and has no"):
        remote.register({SUBJECT: canonical(new)})
    history = History({"thing.Done": [old, new]})
    evolution = Evolution(history, [Upcaster("thing.Done", 1, lambda fields: {"b": fields["a"]})])
    assert remote.register({SUBJECT: canonical(new)}, evolution) == 1
    assert [each.version for each in writable.registry.versions(SUBJECT)] == [1, 2]
    assert writable.registry.compatibility[SUBJECT] == Mode.BACKWARD_TRANSITIVE


def settings_for(url: str, **told: Any) -> Settings:
    return load_settings(registry={"url": url, **told})


def ask(settings: Settings) -> None:
    """Ask as every part does."""
    with schema_ids(settings, Kafka("127.0.0.1:1")) as ids, pytest.raises(UnknownSchemaId):
        ids.schema_of(999)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate_in(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def guarded(certificate: Certificate) -> Iterator[Writable]:
    with writable_registry(LOGIN, certificate) as made:
        yield made


def test_with_the_right_password_and_a_trusted_certificate_it_lets_us_in(
    guarded: Writable, certificate: Certificate
) -> None:
    trusted = {"ssl.ca.location": str(certificate.certificate)}
    ask(settings_for(guarded.url, username=LOGIN[0], password=LOGIN[1], properties=trusted))


@pytest.mark.parametrize("login", [{}, {"username": LOGIN[0], "password": "wrong"}, {"username": "nobody"}])
def test_with_another_password_it_does_not(guarded: Writable, certificate: Certificate, login: dict[str, str]) -> None:
    trusted = {"ssl.ca.location": str(certificate.certificate)}
    with pytest.raises(RegistryUnavailable, match=r"does not let us in \(HTTP 401\): check registry.username"):
        ask(settings_for(guarded.url, **login, properties=trusted))


def test_a_certificate_that_is_not_trusted_is_said_to_be_so(guarded: Writable) -> None:
    asked = len(guarded.asked)
    with pytest.raises(RegistryUnavailable, match=r"a certificate that is not trusted .*ssl\.ca\.location"):
        ask(settings_for(guarded.url, username=LOGIN[0], password=LOGIN[1]))
    assert len(guarded.asked) == asked  # no password was given away


@pytest.mark.parametrize(
    ("properties", "says"),
    [
        ({"ssl.ca.location": "/no/such/file.pem"}, "No such file"),
        ({"ssl.certificate.place": "x"}, "Unrecognized properties: ssl.certificate.place"),
        ({"timeout": 5, "cache.capacity": "many"}, "cache.capacity must be a number"),
    ],
)
def test_properties_that_cannot_be_are_refused(properties: dict[str, Any], says: str) -> None:
    with pytest.raises(RegistryUnavailable, match=says):
        ask(settings_for("https://127.0.0.1:1", properties=properties))


def test_where_nobody_is_and_where_no_registry_is_nothing_is_taken_for_unknown() -> None:
    """A wrong URL must never make dead letters of good messages: it is no DecodingError."""
    with pytest.raises(RegistryUnavailable, match="cannot be asked"):
        ask(settings_for(f"http://127.0.0.1:{free_port()}"))
    with writable_registry() as other, pytest.raises(RegistryUnavailable, match="refused"):
        ask(settings_for(f"{other.url}/elsewhere"))
