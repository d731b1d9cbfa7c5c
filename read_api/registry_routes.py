"""Registry routes: what tools ask of a schema registry, in the words of Confluent's REST API.

A Kafka UI, kcat, and other languages' serializers decode our topics with these alone. Nothing is written: schemas are
registered when the application is prepared (`kafold up`), so that a deserializer or a serializer with
`auto.register.schemas=false` finds what it needs; a registration of what is there already answers its id.

Promises: the answers, the error codes and the media type are those of Confluent's registry.
"""

import json
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from fastapi.responses import JSONResponse, PlainTextResponse

from schemas.compatibility import Mode, breaks
from schemas.errors import UnknownSchemaId, UnsupportedType
from schemas.registry import Registered, Registry

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
SUBJECT_UNKNOWN = 40401
VERSION_UNKNOWN = 40402
SCHEMA_UNKNOWN = 40403
SUBJECT_UNCONFIGURED = 40408
SCHEMA_INVALID = 42201
VERSION_INVALID = 42202
READ_ONLY = 42205
DEFAULT_MODE = Mode.BACKWARD_TRANSITIVE

Contents = Callable[[], Registry]
"""Returns the registry as it is now. It may wait for Kafka, so the routes are plain functions, which threads run."""


class RegistryAnswer(JSONResponse):
    """An answer in the registry's own media type."""

    media_type = MEDIA_TYPE


class _Refusal(Exception):
    """An error of the registry's API: the first three digits of its code are the HTTP status."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code

    def answer(self) -> RegistryAnswer:
        return RegistryAnswer({"error_code": self.code, "message": str(self)}, status_code=self.code // 100)


def registry_routes(contents: Contents) -> APIRouter:
    """Return the routes of a registry whose contents the function gives."""
    router = APIRouter(tags=["schema registry"], default_response_class=RegistryAnswer)
    _add_schemas(router, contents)
    _add_subjects(router, contents)
    _add_look_up(router, contents)
    _add_compatibility(router, contents)
    _add_modes(router, contents)
    return router


def _answered(ask: Callable[[], Any]) -> RegistryAnswer:
    try:
        return RegistryAnswer(ask())
    except _Refusal as refusal:
        return refusal.answer()


def _add_schemas(router: APIRouter, contents: Contents) -> None:
    @router.get("/schemas/types")
    def types() -> list[str]:
        """Return the kinds of schemas."""
        return ["AVRO"]

    @router.get("/schemas/ids/{schema_id}")
    def by_id(schema_id: int) -> RegistryAnswer:
        """Return the schema that has an id: what a deserializer asks."""
        return _answered(lambda: {"schema": _schema(contents(), schema_id)})

    @router.get("/schemas/ids/{schema_id}/schema", response_class=PlainTextResponse)
    def text_by_id(schema_id: int) -> Any:
        """Return the schema's text alone."""
        try:
            return PlainTextResponse(_schema(contents(), schema_id), media_type=MEDIA_TYPE)
        except _Refusal as refusal:
            return refusal.answer()

    @router.get("/schemas/ids/{schema_id}/versions")
    def uses(schema_id: int) -> RegistryAnswer:
        """Return the subjects and versions that have the id."""
        return _answered(
            lambda: [{"subject": name, "version": version} for name, version in _uses(contents(), schema_id)]
        )

    @router.get("/schemas/ids/{schema_id}/subjects")
    def subjects_of(schema_id: int) -> RegistryAnswer:
        """Return the subjects that have the id."""
        return _answered(lambda: sorted({name for name, _ in _uses(contents(), schema_id)}))


def _add_subjects(router: APIRouter, contents: Contents) -> None:
    @router.get("/subjects")
    def subjects() -> RegistryAnswer:
        """Return the names of the subjects."""
        return RegistryAnswer(sorted(name for name, versions in contents().subjects.items() if versions))

    @router.get("/subjects/{subject}/versions")
    def versions(subject: str) -> RegistryAnswer:
        """Return a subject's version numbers."""
        return _answered(lambda: [each.version for each in _versions(contents(), subject)])

    @router.get("/subjects/{subject}/versions/{version}")
    def version(subject: str, version: str) -> RegistryAnswer:
        """Return one version of a subject; `latest` is the newest."""
        return _answered(lambda: _described(_version(contents(), subject, version)))

    @router.get("/subjects/{subject}/versions/{version}/schema", response_class=PlainTextResponse)
    def schema(subject: str, version: str) -> Any:
        """Return the schema of one version alone."""
        try:
            return PlainTextResponse(_version(contents(), subject, version).schema, media_type=MEDIA_TYPE)
        except _Refusal as refusal:
            return refusal.answer()


def _add_look_up(router: APIRouter, contents: Contents) -> None:
    @router.post("/subjects/{subject}")
    def look_up(subject: str, asked: Annotated[dict[str, Any], Body()]) -> RegistryAnswer:
        """Return the version of a subject that has this schema: what a serializer asks."""
        return _answered(lambda: _described(_found(contents(), subject, asked)))

    @router.post("/subjects/{subject}/versions")
    def register(subject: str, asked: Annotated[dict[str, Any], Body()]) -> RegistryAnswer:
        """Return the id of a schema that is registered; what is not is refused, because this API writes nothing."""
        return _answered(lambda: {"id": _registered(contents(), subject, asked).schema_id})


def _add_compatibility(router: APIRouter, contents: Contents) -> None:
    @router.post("/compatibility/subjects/{subject}/versions/{version}")
    def check(
        subject: str, version: str, asked: Annotated[dict[str, Any], Body()], verbose: Annotated[bool, Query()] = False
    ) -> RegistryAnswer:
        """Say whether a schema may follow one version of a subject, under the subject's mode."""

        def problems() -> dict[str, Any]:
            known = [json.loads(_version(contents(), subject, version).schema)]
            return _verdict(_mode(contents(), subject), known, asked, verbose)

        return _answered(problems)

    @router.post("/compatibility/subjects/{subject}/versions")
    def check_all(
        subject: str, asked: Annotated[dict[str, Any], Body()], verbose: Annotated[bool, Query()] = False
    ) -> RegistryAnswer:
        """Say whether a schema may follow all versions of a subject, under the subject's mode."""

        def problems() -> dict[str, Any]:
            known = [json.loads(each.schema) for each in _versions(contents(), subject)]
            return _verdict(_mode(contents(), subject), known, asked, verbose)

        return _answered(problems)


def _add_modes(router: APIRouter, contents: Contents) -> None:
    @router.get("/config")
    def config() -> RegistryAnswer:
        """Return the mode of subjects that have none of their own."""
        return RegistryAnswer({"compatibilityLevel": contents().compatibility.get(None, DEFAULT_MODE)})

    @router.get("/config/{subject}")
    def config_of(subject: str, defaultToGlobal: Annotated[bool, Query()] = False) -> RegistryAnswer:  # noqa: N803
        """Return a subject's own mode."""

        def mode() -> dict[str, Any]:
            known = contents()
            if subject not in known.compatibility and not defaultToGlobal:
                raise _Refusal(
                    SUBJECT_UNCONFIGURED, f"Subject '{subject}' does not have subject-level compatibility configured"
                )
            return {"compatibilityLevel": _mode(known, subject)}

        return _answered(mode)

    @router.get("/mode")
    def mode() -> dict[str, str]:
        """Say that this API writes nothing."""
        return {"mode": "READONLY"}


def _schema(registry: Registry, schema_id: int) -> str:
    try:
        return registry.schema_of(schema_id)
    except UnknownSchemaId:
        raise _Refusal(SCHEMA_UNKNOWN, f"Schema {schema_id} not found") from None


def _uses(registry: Registry, schema_id: int) -> list[tuple[str, int]]:
    """Return the subjects and versions that a schema is under, without looking into the texts of all others."""
    _schema(registry, schema_id)
    return [
        (name, version)
        for name, versions in registry.subjects.items()
        for version, used in sorted(versions.items())
        if used == schema_id
    ]


def _versions(registry: Registry, subject: str) -> list[Registered]:
    found = list(registry.versions(subject))
    if not found:
        raise _Refusal(SUBJECT_UNKNOWN, f"Subject '{subject}' not found.")
    return found


def _version(registry: Registry, subject: str, asked: str) -> Registered:
    known = _versions(registry, subject)
    if asked in ("latest", "-1"):
        return known[-1]
    if not asked.isdecimal():
        raise _Refusal(VERSION_INVALID, f"The specified version '{asked}' is not a valid version id.")
    for each in known:
        if each.version == int(asked):
            return each
    raise _Refusal(VERSION_UNKNOWN, f"Version {asked} not found.")


def _found(registry: Registry, subject: str, asked: dict[str, Any]) -> Registered:
    wanted = _asked(asked)
    for each in _versions(registry, subject):
        # Other libraries write the keys of a schema in another order.
        if json.loads(each.schema) == wanted:
            return each
    raise _Refusal(SCHEMA_UNKNOWN, "Schema not found")


def _registered(registry: Registry, subject: str, asked: dict[str, Any]) -> Registered:
    try:
        return _found(registry, subject, asked)
    except _Refusal as refusal:
        if refusal.code == SCHEMA_INVALID:
            raise
        raise _Refusal(
            READ_ONLY, f"Subject {subject} is in read-only mode: schemas are registered by `kafold up`"
        ) from None


def _asked(asked: dict[str, Any]) -> Any:
    try:
        if asked.get("schemaType", "AVRO") != "AVRO":
            raise _Refusal(SCHEMA_INVALID, "Only Avro schemas are kept here")
        return json.loads(asked["schema"])
    except (KeyError, TypeError, ValueError) as error:
        raise _Refusal(SCHEMA_INVALID, f"Invalid schema: {type(error).__name__} {error}") from error


def _mode(registry: Registry, subject: str) -> Mode:
    level = registry.compatibility.get(subject) or registry.compatibility.get(None)
    return Mode(level) if level in set(Mode) else DEFAULT_MODE


def _verdict(mode: Mode, known: list[Any], asked: dict[str, Any], verbose: bool) -> dict[str, Any]:
    try:
        problems = breaks(mode, known, _asked(asked))
    except UnsupportedType as error:
        raise _Refusal(SCHEMA_INVALID, f"Invalid schema: {error}") from error
    return {"is_compatible": not problems, **({"messages": list(problems)} if verbose else {})}


def _described(version: Registered) -> dict[str, Any]:
    return {
        "subject": version.subject,
        "version": version.version,
        "id": version.schema_id,
        "schema": version.schema,
    }
