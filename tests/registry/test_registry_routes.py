"""The registry's REST API, asked by hand, by fastavro alone, and by Confluent's own client."""

import json
import threading
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import fastavro
import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from infra.engines.ports import free_port
from read_api.registry_routes import MEDIA_TYPE, registry_routes
from schemas.errors import UnknownSchemaId
from schemas.registry import Registry, UnregisteredSchema
from streams.domain.shop.app import shop
from tests.schemas.golden import EVENT, VALUES
from tests.waiting import wait_until

PURCHASE = "shop.account.events-shop.account.PurchaseRecorded"


def filled() -> Registry:
    registry = Registry()
    for subject, schema in shop.subjects().items():
        record = registry.registration(subject, schema)
        assert record is not None
        registry.apply(*record)
    return registry


@pytest.fixture
def registry() -> Registry:
    return filled()


@pytest.fixture
def url(registry: Registry) -> Iterator[str]:
    app = FastAPI()
    app.include_router(registry_routes(lambda: registry))
    server = uvicorn.Server(uvicorn.Config(app, port=(port := free_port()), log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started, "the registry answers")
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url) as client:
        yield client


def asked(schema: Any) -> dict[str, str]:
    return {"schema": json.dumps(schema)}


def test_subjects_and_versions(client: httpx.Client, registry: Registry) -> None:
    assert client.get("/subjects").json() == sorted(shop.subjects())
    assert client.get(f"/subjects/{PURCHASE}/versions").json() == [1]
    latest = client.get(f"/subjects/{PURCHASE}/versions/latest")
    assert latest.headers["content-type"] == MEDIA_TYPE
    assert latest.json() == client.get(f"/subjects/{PURCHASE}/versions/1").json()
    assert latest.json()["schema"] == registry.schema_of(latest.json()["id"])
    assert client.get(f"/subjects/{PURCHASE}/versions/1/schema").text == latest.json()["schema"]
    assert client.get("/schemas/types").json() == ["AVRO"]


def test_ids(client: httpx.Client) -> None:
    version = client.get(f"/subjects/{PURCHASE}/versions/latest").json()
    path = f"/schemas/ids/{version['id']}"
    assert client.get(path).json() == {"schema": version["schema"]}
    assert client.get(f"{path}/schema").text == version["schema"]
    assert client.get(f"{path}/subjects").json() == [PURCHASE]
    assert client.get(f"{path}/versions").json() == [{"subject": PURCHASE, "version": 1}]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/subjects/none/versions", 40401),
        ("/subjects/none/versions/latest", 40401),
        (f"/subjects/{PURCHASE}/versions/9", 40402),
        (f"/subjects/{PURCHASE}/versions/first", 42202),
        ("/schemas/ids/999", 40403),
        ("/schemas/ids/999/schema", 40403),
        ("/schemas/ids/999/versions", 40403),
        (f"/config/{PURCHASE}", 40408),
    ],
)
def test_what_is_not_there_has_confluents_code(client: httpx.Client, path: str, code: int) -> None:
    answer = client.get(path)
    assert answer.status_code == code // 100
    assert answer.json()["error_code"] == code
    assert answer.headers["content-type"] == MEDIA_TYPE


def test_look_up_and_registering_what_is_there(client: httpx.Client) -> None:
    version = client.get(f"/subjects/{PURCHASE}/versions/latest").json()
    same = {"schema": json.dumps(json.loads(version["schema"]), indent=2)}
    assert client.post(f"/subjects/{PURCHASE}", json=same).json() == version
    assert client.post(f"/subjects/{PURCHASE}/versions", json=same).json() == {"id": version["id"]}
    assert client.post(f"/subjects/{PURCHASE}", json=asked("string")).json()["error_code"] == 40403
    assert client.post(f"/subjects/{PURCHASE}/versions", json=asked("string")).json()["error_code"] == 42205
    assert client.post(f"/subjects/{PURCHASE}", json={"schema": "{"}).json()["error_code"] == 42201
    assert client.post(f"/subjects/{PURCHASE}", json={"schemaType": "JSON", **asked({})}).json()["error_code"] == 42201


def test_compatibility(client: httpx.Client, registry: Registry) -> None:
    schema = json.loads(registry.versions(PURCHASE)[0].schema)
    for path in ("latest", "1", ""):
        ask = f"/compatibility/subjects/{PURCHASE}/versions/{path}".rstrip("/")
        assert client.post(ask, json=asked(schema)).json() == {"is_compatible": True}
        wider = {**schema, "fields": [*schema["fields"], {"name": "shop", "type": "string"}]}
        assert client.post(f"{ask}?verbose=true", json=asked(wider)).json() == {
            "is_compatible": False,
            "messages": ["cannot read version 1: shop: is new and has no default"],
        }
        assert client.post(ask, json=asked({"type": "odd"})).json()["error_code"] == 42201


def test_modes(client: httpx.Client, registry: Registry) -> None:
    assert client.get("/config").json() == {"compatibilityLevel": "BACKWARD_TRANSITIVE"}
    registry.apply(b'{"keytype":"CONFIG","subject":null,"magic":0}', b'{"compatibilityLevel":"FULL"}')
    assert client.get("/config").json() == {"compatibilityLevel": "FULL"}
    assert client.get(f"/config/{PURCHASE}?defaultToGlobal=true").json() == {"compatibilityLevel": "FULL"}
    assert client.get("/mode").json() == {"mode": "READONLY"}


def _message(registry: Registry) -> bytes:
    account = shop.aggregate("account")
    codec = shop.event_codec(account, registry)
    cls = next(each for each in account.event_types if each.__name__ == "PurchaseRecorded")
    return codec.encode(cls(**{name: VALUES[name] for name in cls.model_fields}), EVENT)


def test_fastavro_decodes_our_topics_given_only_the_routes(client: httpx.Client, registry: Registry) -> None:
    data = _message(registry)
    schema = json.loads(client.get(f"/schemas/ids/{int.from_bytes(data[1:5], 'big')}").json()["schema"])
    value: Any = fastavro.schemaless_reader(BytesIO(data[5:]), schema, None)
    assert value["amount_cents"] == VALUES["amount_cents"]
    assert value["day"] == VALUES["day"]
    assert value["metadata"]["event_id"] == EVENT.event_id


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_confluents_client_reads_it_and_is_our_port_to_another_registry(url: str, registry: Registry) -> None:
    pytest.importorskip("authlib")
    from streams.kafka.remote_registry import Remote, RemoteRegistry

    with RemoteRegistry(Remote(url)) as remote:
        _check_remote(remote, registry)


def _check_remote(remote: Any, registry: Registry) -> None:
    schema = shop.subjects()[PURCHASE]
    assert remote.id_of(PURCHASE, schema) == registry.id_of(PURCHASE, schema)
    assert remote.schema_of(registry.id_of(PURCHASE, schema)) == schema
    with pytest.raises(UnknownSchemaId):
        remote.schema_of(999)
    with pytest.raises(UnregisteredSchema):
        remote.id_of(PURCHASE, '"string"')
    account = shop.aggregate("account")
    event, metadata = shop.event_codec(account, remote).decode(_message(registry))
    assert (event.amount_cents, metadata) == (VALUES["amount_cents"], EVENT)
