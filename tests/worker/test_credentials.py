"""TLS and SASL for the worker: each of librdkafka's properties means the same to Faust, or is refused by its name."""

import ssl
from pathlib import Path

import pytest
from faust.auth import SASLCredentials, SSLCredentials
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from schemas.errors import DefinitionError
from streams.worker.credentials import credentials

# A certificate of no use: CN=kafold, signed by itself, its key thrown away.
AUTHORITY = """-----BEGIN CERTIFICATE-----
MIIBeTCCAR+gAwIBAgIUNYyvZgW6JrA9gtzz/mTDVmHcykgwCgYIKoZIzj0EAwIw
ETEPMA0GA1UEAwwGa2Fmb2xkMCAXDTI2MTEyNDAwMzI0MloYDzIxMjYxMDMxMDAz
MjQyWjARMQ8wDQYDVQQDDAZrYWZvbGQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNC
AATsabBC3KjBsRE4qiLu5iZjFGtJ8znsU08kEdMSeQrY6JWPl8E1f/ArX4sBFC0y
4O9uvpaYhr6cH7yrtGo/NIAEo1MwUTAdBgNVHQ4EFgQUKBGXf8r0Sw0/96WFDxFI
bd6PM3EwHwYDVR0jBBgwFoAUKBGXf8r0Sw0/96WFDxFIbd6PM3EwDwYDVR0TAQH/
BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiA4HKU1fhbk6K6elfwh3R4vA/dwaZ5a
tHVcAvax4V5HNwIhAN+3fxqsKJ9AcvgSyi9Zcc/wiQj61sw6uVj2lJSigXYx
-----END CERTIFICATE-----
"""
SASL = {"sasl.username": "ann", "sasl.password": "secret"}


@pytest.mark.parametrize(
    ("properties", "protocol", "mechanism"),
    [
        ({}, "PLAINTEXT", None),
        ({"security.protocol": "PLAINTEXT", "client.id": "x", "socket.timeout.ms": "1000"}, "PLAINTEXT", None),
        ({"security.protocol": "SSL"}, "SSL", None),
        ({"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN", **SASL}, "SASL_PLAINTEXT", "PLAIN"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanisms": "scram-sha-256", **SASL}, "SASL_SSL", "SCRAM-SHA-256"),
        ({"security.protocol": "SASL_SSL", "sasl.mechanism": "SCRAM-SHA-512", **SASL}, "SASL_SSL", "SCRAM-SHA-512"),
    ],
)
def test_each_protocol_is_told_to_the_client(properties: dict[str, str], protocol: str, mechanism: str | None) -> None:
    told = dict(credentials_to_aiokafka_auth(credentials(properties)))
    assert told["security_protocol"] == protocol
    assert told.get("sasl_mechanism") == mechanism
    assert (told.get("ssl_context") is not None) == protocol.endswith("SSL")
    if mechanism:
        assert (told["sasl_plain_username"], told["sasl_plain_password"]) == ("ann", "secret")


@pytest.mark.parametrize(
    ("properties", "checked", "mode"),
    [
        ({}, True, ssl.CERT_REQUIRED),
        ({"ssl.endpoint.identification.algorithm": "none"}, False, ssl.CERT_REQUIRED),
        ({"enable.ssl.certificate.verification": "false"}, False, ssl.CERT_NONE),
    ],
)
def test_the_broker_is_checked_as_much_as_librdkafka_would(
    properties: dict[str, str], checked: bool, mode: ssl.VerifyMode
) -> None:
    made = credentials({"security.protocol": "ssl", **properties})
    assert isinstance(made, SSLCredentials)
    assert (made.context.check_hostname, made.context.verify_mode) == (checked, mode)


@pytest.mark.parametrize("of", ["file", "text"])
def test_certificates_are_taken_from_files_and_texts(tmp_path: Path, of: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own: list[tuple[str | None, ...]] = []
    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", lambda _, *files: own.append(files))
    path = tmp_path / "ca.pem"
    path.write_text(AUTHORITY)
    authority = {"ssl.ca.location": str(path)} if of == "file" else {"ssl.ca.pem": AUTHORITY}
    client = {"ssl.certificate.location": "c.pem", "ssl.key.location": "k.pem", "ssl.key.password": "p"}
    properties = {"security.protocol": "sasl_ssl", "sasl.mechanism": "PLAIN", **SASL, **authority, **client}
    made = credentials(properties)
    assert isinstance(made, SASLCredentials)
    assert made.ssl_context is not None
    names = [each["subject"] for each in made.ssl_context.get_ca_certs()]
    assert ((("commonName", "kafold"),),) in names
    assert own == [("c.pem", "k.pem", "p")]


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({"security.protocol": "ssh"}, "security.protocol = ssh; it takes plaintext, ssl"),
        ({"security.protocol": "sasl_ssl"}, "sasl.mechanism = GSSAPI; it takes PLAIN"),
        ({"security.protocol": "sasl_ssl", "sasl.mechanism": "OAUTHBEARER"}, "sasl.mechanism = OAUTHBEARER"),
        ({"security.protocol": "sasl_plaintext", "sasl.mechanism": "PLAIN"}, "wants sasl.username and sasl.password"),
        ({"ssl.keystore.location": "/x"}, "cannot use ssl.keystore.location; it takes enable"),
        ({"enable.sasl.oauthbearer.unsecure.jwt": "true"}, "cannot use enable.sasl"),
        ({"security.protocol": "ssl", "ssl.ca.location": "/no/such/file"}, "ssl.ca.location: .*No such file"),
        ({"security.protocol": "ssl", "ssl.ca.pem": "rubbish"}, "ssl.ca.location"),
        ({"security.protocol": "ssl", "ssl.certificate.location": "/no"}, "ssl.certificate.location: .*No such file"),
        ({"security.protocol": "ssl", "ssl.endpoint.identification.algorithm": "maybe"}, "= maybe; it takes https"),
        ({"security.protocol": "ssl", "enable.ssl.certificate.verification": "no"}, "= no; it takes true, false"),
    ],
)
def test_what_cannot_be_told_to_the_worker_is_refused_by_name(properties: dict[str, str], said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        credentials(properties)
