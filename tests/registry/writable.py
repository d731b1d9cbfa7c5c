"""A registry of somebody else's: one that may be written to, over real HTTP or HTTPS, with or without a password.

It is the read API's own routes, and before them what those leave out: to register, and to give a subject its mode. It
refuses what breaks a subject's mode, as Confluent's and Karapace's do. Neither of those was registered at.
"""

import base64
import ipaddress
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fastapi import Body, FastAPI, Request, Response

from infra.engines.ports import free_port
from read_api.registry_routes import RegistryAnswer, registry_routes
from schemas.compatibility import Mode, breaks
from schemas.registry import Registry, canonical
from tests.waiting import wait_until

INCOMPATIBLE = 409
NO_MODE = Mode.BACKWARD  # what others' registries do unless they are told


@dataclass
class Writable:
    """A registry that runs: where it is, what it has, and the requests that it had."""

    url: str
    registry: Registry = field(default_factory=Registry)
    asked: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Certificate:
    """A certificate for 127.0.0.1 that it has signed itself, and its key."""

    certificate: Path
    key: Path


def application(writable: Writable, login: tuple[str, str] | None) -> FastAPI:
    """The HTTP application; `login`: the user and the password without which it lets nobody in."""
    app, registry = FastAPI(), writable.registry

    @app.middleware("http")
    async def let_in(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
        writable.asked.append(f"{request.method} {request.url.path}")
        wanted = login and "Basic " + base64.b64encode(":".join(login).encode()).decode()
        if wanted and request.headers.get("Authorization") != wanted:
            return RegistryAnswer({"error_code": 401, "message": "Unauthorized"}, status_code=401)
        return await proceed(request)

    @app.post("/subjects/{subject}/versions")
    def register(subject: str, asked: Annotated[dict[str, Any], Body()]) -> RegistryAnswer:
        known = [json.loads(each.schema) for each in registry.versions(subject)]
        schema = json.loads(asked["schema"])
        problems = breaks(Mode(registry.compatibility.get(subject, NO_MODE)), known, schema)
        if problems:
            return RegistryAnswer({"error_code": INCOMPATIBLE, "message": "; ".join(problems)}, status_code=409)
        record = registry.registration(subject, canonical(schema))
        if record is not None:
            registry.apply(*record)
        return RegistryAnswer({"id": registry.id_of(subject, canonical(schema))})

    @app.put("/config/{subject}")
    def configure(subject: str, asked: Annotated[dict[str, Any], Body()]) -> RegistryAnswer:
        record = registry.configuration(subject, asked["compatibility"])
        if record is not None:
            registry.apply(*record)
        return RegistryAnswer({"compatibility": asked["compatibility"]})

    app.include_router(registry_routes(lambda: registry))
    return app


@contextmanager
def writable_registry(
    login: tuple[str, str] | None = None, certificate: Certificate | None = None
) -> Iterator[Writable]:
    """Run one for the block's duration."""
    port = free_port()
    made = Writable(f"{'https' if certificate else 'http'}://127.0.0.1:{port}")
    tls = {"ssl_certfile": certificate.certificate, "ssl_keyfile": str(certificate.key)} if certificate else {}
    server = uvicorn.Server(uvicorn.Config(application(made, login), port=port, log_level="error", **tls))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run, name="registry")
    thread.start()
    try:
        wait_until(lambda: server.started, "the registry answers")
        yield made
    finally:
        server.should_exit = True
        thread.join()


def certificate_in(folder: Path) -> Certificate:
    """Make a certificate that nobody has reason to trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kafold tests")]), datetime.now(UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = Certificate(folder / "registry.pem", folder / "registry.key")
    files.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files
