"""Credentials: a cluster's TLS and SASL properties, in librdkafka's names, as Faust takes them.

The settings name each property once, for librdkafka; the worker's client is another one (aiokafka).

=====================================  =============================================================
librdkafka's property                  here
=====================================  =============================================================
security.protocol                      plaintext, ssl, sasl_plaintext, sasl_ssl
sasl.mechanism, sasl.mechanisms        PLAIN, SCRAM-SHA-256, SCRAM-SHA-512
sasl.username, sasl.password           as they are
ssl.ca.location                        a PEM file or a folder of them; without it, the system's
ssl.ca.pem                             as it is
ssl.certificate.location,              PEM files of the client's own certificate
ssl.key.location, ssl.key.password
ssl.endpoint.identification.algorithm  none: the certificate's host name is not compared
enable.ssl.certificate.verification    false: the broker's certificate is not looked at
=====================================  =============================================================

Promises: what would make the connection less safe, or another one, than the processor's is refused by name, never
passed over.
"""

import ssl
from collections.abc import Mapping
from pathlib import Path

from faust.auth import Credentials, SASLCredentials, SSLCredentials

from schemas.errors import DefinitionError

MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
PROTOCOLS = ("plaintext", "ssl", "sasl_plaintext", "sasl_ssl")
KNOWN = frozenset({
    "security.protocol", "sasl.mechanism", "sasl.mechanisms", "sasl.username", "sasl.password", "ssl.ca.location",
    "ssl.ca.pem", "ssl.certificate.location", "ssl.key.location", "ssl.key.password",
    "ssl.endpoint.identification.algorithm", "enable.ssl.certificate.verification",
})  # fmt: skip
_GUARDED = ("ssl.", "sasl.", "security.", "enable.ssl.", "enable.sasl.")


def credentials(properties: Mapping[str, str]) -> Credentials | None:
    """Return the credentials in a cluster's properties; None: it is plaintext.

    Raises:
        DefinitionError: a property cannot be given to the worker; the text says which, and what can.
    """
    for name in properties:
        if name.startswith(_GUARDED) and name not in KNOWN:
            raise DefinitionError(
                f"kafka.properties: the worker cannot use {name}; it takes {', '.join(sorted(KNOWN))}"
            )
    protocol = _one_of("security.protocol", properties.get("security.protocol", "plaintext").lower(), PROTOCOLS)
    if protocol == "plaintext":
        return None
    context = _context(properties) if protocol.endswith("ssl") else None
    if context is not None and not protocol.startswith("sasl"):
        return SSLCredentials(context)
    return _sasl(properties, context)


def _sasl(properties: Mapping[str, str], context: ssl.SSLContext | None) -> SASLCredentials:
    told = properties.get("sasl.mechanism") or properties.get("sasl.mechanisms") or "GSSAPI"  # librdkafka's default
    mechanism = _one_of("sasl.mechanism", told.upper(), MECHANISMS)
    username, password = properties.get("sasl.username"), properties.get("sasl.password")
    if username is None or password is None:
        raise DefinitionError(f"kafka.properties: {mechanism} wants sasl.username and sasl.password")
    return SASLCredentials(username=username, password=password, ssl_context=context, mechanism=mechanism)


def _context(properties: Mapping[str, str]) -> ssl.SSLContext:
    ca = properties.get("ssl.ca.location")
    place = None if ca is None else Path(ca)
    name = "ssl.ca.location"
    try:
        context = ssl.create_default_context(
            cafile=None if place is None or place.is_dir() else str(place),
            capath=str(place) if place is not None and place.is_dir() else None,
            cadata=properties.get("ssl.ca.pem"),
        )
        name = "ssl.certificate.location"
        if (certificate := properties.get(name)) is not None:
            context.load_cert_chain(certificate, properties.get("ssl.key.location"), properties.get("ssl.key.password"))
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise DefinitionError(f"kafka.properties: {name}: {error}") from None
    _relax(context, properties)
    return context


def _relax(context: ssl.SSLContext, properties: Mapping[str, str]) -> None:
    """Look at the broker's certificate as little as librdkafka was told to."""
    name = "ssl.endpoint.identification.algorithm"
    context.check_hostname = _one_of(name, properties.get(name, "https").lower(), ("https", "none")) == "https"
    name = "enable.ssl.certificate.verification"
    if _one_of(name, properties.get(name, "true").lower(), ("true", "false")) == "false":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE


def _one_of(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise DefinitionError(f"kafka.properties: the worker cannot use {name} = {value}; it takes {', '.join(known)}")
    return value
