"""The oracle: what must hold of the log, whatever happened to the processes that wrote it.

Every acknowledged command is in the log exactly once; versions are 1..n for each aggregate, without gap or duplicate; a
refused command left no event; an outcome's offsets are those of its events.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping

from schemas.outcomes import Outcome, Status
from tests.log import Answered, Recorded


def check_versions(events: Iterable[Recorded]) -> None:
    """Versions are 1..n within each aggregate, in the order of the log."""
    versions: dict[str, list[int]] = defaultdict(list)
    for each in events:
        versions[each.event.aggregate_id].append(each.metadata.version)
    wrong = {key: found for key, found in versions.items() if found != list(range(1, len(found) + 1))}
    assert not wrong, f"versions are not 1..n: {dict(list(wrong.items())[:3])}"


def check_one_answer(outcomes: Iterable[Answered]) -> Mapping[str, Outcome]:
    """A command id has one final outcome, however often it was written; return the outcomes by command id."""
    final: dict[str, Outcome] = {}
    for each in outcomes:
        if each.outcome.status != Status.FAILED:
            before = final.setdefault(each.outcome.command_id, each.outcome)
            assert before == each.outcome, f"{each.outcome.command_id} has two outcomes: {before} and {each.outcome}"
    return final


def check_events_match(events: Iterable[Recorded], outcomes: Mapping[str, Outcome]) -> None:
    """Each accepted command's events are in the log exactly once, where its outcome says; no other events are."""
    by_command: dict[str, list[int]] = defaultdict(list)
    for each in events:
        by_command[each.metadata.command_id].append(each.offset)
    promised = {key: list(outcome.offsets) for key, outcome in outcomes.items() if outcome.offsets}
    assert by_command == promised
    for key, outcome in outcomes.items():
        assert outcome.status == Status.ACCEPTED or not outcome.offsets, f"{key} was refused and has events"


def check_log(events: list[Recorded], outcomes: list[Answered], asked: Iterable[str]) -> None:
    """Everything of the above; `asked`: the ids of all commands that Kafka took, each of which must be answered."""
    check_versions(events)
    final = check_one_answer(outcomes)
    check_events_match(events, final)
    unanswered = set(asked) - final.keys()
    assert not unanswered, f"{len(unanswered)} commands have no answer, such as {sorted(unanswered)[:3]}"
    repeated = [key for key, count in Counter(each.metadata.event_id for each in events).items() if count > 1]
    assert not repeated, f"events are in the log twice: {repeated[:3]}"
