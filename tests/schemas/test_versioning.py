"""`schemas make` and `schemas check`: new versions as files, drift, edits and breaks."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import pytest

from infra.version_files import check_versions, make_versions
from schemas.compatibility import Mode
from schemas.errors import DefinitionError
from schemas.history import History, read_history
from schemas.messages import AggregateId, Command, Event
from schemas.upcasting import Evolution, Upcaster
from streams.domain.shop.app import shop
from streams.kernel.aggregate import Aggregate, State
from streams.kernel.application import Application
from tests.schemas.ids import MemoryIds

ThingId = Annotated[str, AggregateId]


class Do(Command[None, str]):
    thing_id: ThingId


class First:
    class Done(Event):
        thing_id: ThingId
        number: int


class Compatible:
    class Done(Event):
        thing_id: ThingId
        number: int
        note: str = ""


class Breaking:
    class Done(Event):
        thing_id: ThingId
        amount: int


class Nothing(State):
    pass


def application(event: type[Event], folder: Path, **evolution: object) -> Application:
    def decide(state: Nothing, command: Do) -> list[Event]:
        raise NotImplementedError(state, command)

    def evolve(state: Nothing, done: Event) -> Nothing:
        raise NotImplementedError(state, done)

    evolve.__annotations__["done"] = event
    thing = Aggregate("thing", initial=Nothing(), decide=decide, evolve=evolve)
    return Application("things", [thing], evolution=Evolution(read_history(folder), **evolution))  # type: ignore[arg-type]


def test_the_sample_application_may_ship() -> None:
    assert check_versions(shop) == []


def test_an_application_of_another_name_has_the_same_history() -> None:
    assert check_versions(replace(shop, name="another-shop")) == []


def test_versions_are_made_once_and_checked(tmp_path: Path) -> None:
    assert (
        "not in its files (it is new): run `kafold schemas make`"
        in check_versions(application(First.Done, tmp_path))[0]
    )
    made = make_versions(application(First.Done, tmp_path))
    records = ["thing.Do", "kafold.AppendEvents", "kafold.AskOutcome", "thing.Done", "kafold.Outcome"]
    assert [(each.record, each.number) for each in made] == [(record, 1) for record in records]
    assert make_versions(application(First.Done, tmp_path)) == []
    assert check_versions(application(First.Done, tmp_path)) == []


def test_a_compatible_change_becomes_the_next_version(tmp_path: Path) -> None:
    make_versions(application(First.Done, tmp_path))
    assert check_versions(application(Compatible.Done, tmp_path)) == [
        'thing.Done is not in its files (note: added, string, with the default ""): run `kafold schemas make`'
    ]
    (made,) = make_versions(application(Compatible.Done, tmp_path))
    assert (made.number, made.breaks) == (2, [])
    assert check_versions(application(Compatible.Done, tmp_path)) == []


def test_a_break_is_told_before_and_after_it_is_made_and_an_upcaster_mends_it(tmp_path: Path) -> None:
    make_versions(application(First.Done, tmp_path))
    broken = application(Breaking.Done, tmp_path)
    assert "thing.Done: cannot read version 1: amount: is new and has no default" in check_versions(broken)
    (made,) = make_versions(broken)
    assert made.breaks == ["cannot read version 1: amount: is new and has no default"]
    again = check_versions(application(Breaking.Done, tmp_path))
    assert (
        "thing.Done version 2 breaks BACKWARD_TRANSITIVE: cannot read version 1: amount: is new and has no default"
        in again
    )
    assert "thing.Done version 1: amount: is new and has no default; write an upcaster" in again
    with pytest.raises(DefinitionError, match=r"thing\.Done version 1: amount: .*write an upcaster"):
        application(Breaking.Done, tmp_path).contracts[0].event_codec(MemoryIds())
    upcaster = Upcaster("thing.Done", 1, lambda fields: {"thing_id": fields["thing_id"], "amount": fields["number"]})
    assert check_versions(application(Breaking.Done, tmp_path, upcasters=[upcaster])) == []


def test_modes_may_differ_by_record(tmp_path: Path) -> None:
    make_versions(application(First.Done, tmp_path))
    lines = check_versions(application(Compatible.Done, tmp_path, modes={"thing.Done": Mode.FORWARD}))
    assert lines == check_versions(application(Compatible.Done, tmp_path))
    lines = check_versions(application(Breaking.Done, tmp_path, modes={"thing.Done": Mode.FORWARD}))
    assert "thing.Done: version 1 cannot read it: number: is new and has no default" in lines


def test_old_files_stay_as_they_are(tmp_path: Path) -> None:
    make_versions(application(First.Done, tmp_path))
    path = tmp_path / "thing.Done.v1.avsc"
    text = path.read_text()
    path.write_text(text.replace('"number"', '"nummer"'))
    assert any("thing.Done.v1.avsc was edited" in line for line in check_versions(application(First.Done, tmp_path)))
    path.write_text(text)
    (tmp_path / "thing.Done.v2.avsc").write_text(text)
    assert any(
        "thing.Done.v2.avsc was not written by" in line for line in check_versions(application(First.Done, tmp_path))
    )
    (tmp_path / "thing.Done.v2.avsc").unlink()
    path.unlink()
    assert any("thing.Done.v1.avsc is gone" in line for line in check_versions(application(First.Done, tmp_path)))


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("thing.avsc", "the name is not of the form"),
        ("thing.Done.v2.avsc", "has no version 1"),
        ("a.B.v1.avsc", "not JSON"),
    ],
)
def test_a_folder_that_is_no_history_is_refused(tmp_path: Path, name: str, complaint: str) -> None:
    (tmp_path / name).write_text("{}" if name != "a.B.v1.avsc" else "{")
    with pytest.raises(DefinitionError, match=complaint):
        read_history(tmp_path)


def test_an_application_without_versions_is_told_how_to_keep_them() -> None:
    with pytest.raises(DefinitionError, match="declare Application"):
        make_versions(replace(shop, evolution=Evolution(History())))


@pytest.mark.parametrize("record", ["kafold.AppendEvents", "kafold.AskOutcome", "kafold.Outcome"])
def test_the_platforms_own_messages_are_checked_as_the_applications_are(tmp_path: Path, record: str) -> None:
    make_versions(application(First.Done, tmp_path))
    path = tmp_path / f"{record}.v1.avsc"
    older = json.loads(path.read_text("utf-8"))
    # Once upon a time it was shorter: today's kafold cannot read that, and says so when an application is built.
    older["fields"] = older["fields"][:-1]
    path.write_text(json.dumps(older))
    lines = check_versions(application(First.Done, tmp_path))
    assert any(f"{record}.v1.avsc was edited" in line for line in lines)
    assert any(line.startswith(f"{record} is not in its files") for line in lines)
    assert any(line.startswith(f"{record}: cannot read version 1: ") for line in lines)
    path.unlink()
    assert any(
        line.startswith(f"{record}.v1.avsc is gone") for line in check_versions(application(First.Done, tmp_path))
    )
