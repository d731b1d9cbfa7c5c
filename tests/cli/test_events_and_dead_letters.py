"""`kafold events` and `kafold dead-letters` as a person meets them, with rubbish input too."""

import json
import os
import subprocess

import pytest
from confluent_kafka import Producer

from infra.cli.dead_letters import hexdump
from infra.dead_letters import letter_at, letters, send_again
from producers.client import Client
from schemas.errors import InvalidValue
from schemas.shop.users import CreateUser
from streams.kafka.config import Kafka
from streams.kernel.application import Application
from tests.fixtures.up import KAFOLD, Up
from tests.log import read_committed
from tests.waiting import wait_until


def kafold(up: Up, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {**up.environment, "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(
        [*KAFOLD, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )


def test_a_history_is_loaded_and_the_journal_verified(up: Up) -> None:
    sent = kafold(up, "send", "CreateUser", "user_id=evi", "email=e@x", "name=Evi", "--ask", "--json")
    position = json.loads(sent.stdout)["position"]
    shown = kafold(up, "events", "load", "user", "evi", "--at-least", position, "--timeout-s", "60", "--json")
    assert shown.returncode == 0, shown.stderr
    history = json.loads(shown.stdout)
    assert [each["type"] for each in history["events"]] == ["UserCreated"]
    assert history["state"] == {"user_id": "evi", "email": "e@x", "active": True}
    assert "UserCreated" in kafold(up, "events", "load", "user", "evi").stdout
    assert "version 1, state" in kafold(up, "events", "load", "user", "evi", "--as-of", "1").stdout

    beyond = f"{position}000000"
    for option in ("--at-least", "--as-of"):
        refused = kafold(up, "events", "load", "user", "evi", option, beyond, "--timeout-s", "60")
        assert refused.returncode == 3
        assert "the log ends at" in refused.stderr

    found = kafold(up, "events", "verify", "--json")
    assert found.returncode == 0, found.stdout + found.stderr
    assert [each["difference"] for each in json.loads(found.stdout)] == [None, None]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["events", "load", "order", "1"], 3, "no aggregate 'order'; there are: user, account"),
        (["events", "load", "user", "nobody"], 1, "version 0"),
        (["events", "load", "user", "evi", "--at-least", "rubbish"], 3, "is not of the form topic@uuid"),
        (["events", "load", "user", "evi", "--upto", "-1"], 2, "--upto"),
        (["events", "load", "user", "evi", "--as-of", "yesterday"], 3, "neither a position"),
        (["events", "load", "user", "evi", "--as-of", "1999-01-01"], 1, "version 0"),
        (["events", "load", "user", "evi", "--as-of", "0"], 1, "version 0"),
        (["events", "load", "user", "evi", "--as-of", "9", "--timeout-s", "0"], 3, "not yet at version 9 of 'evi'"),
        (["events", "load", "user", "evi", "--as-of", "1", "--upto", "1"], 2, "--upto does not go with --as-of"),
        (["events", "verify", "order"], 3, "no aggregate 'order'"),
        (["dead-letters", "show", "rubbish"], 3, "'rubbish' is no place"),
        (["dead-letters", "show", "999@0"], 3, "has no partition 999"),
        (["dead-letters", "retry", "0@999999999"], 3, "no dead letter lies at 0@999999999"),
    ],
)
def test_rubbish_is_one_line_and_an_exit_code(up: Up, arguments: list[str], code: int, said: str) -> None:
    shown = kafold(up, *arguments)
    assert shown.returncode == code, shown.stdout + shown.stderr
    assert said in shown.stdout + shown.stderr


@pytest.mark.usefixtures("processor")
def test_a_dead_letter_is_found_and_sent_again_as_it_was(
    client: Client, application: Application, cluster: Kafka
) -> None:
    topic, headers = f"{application.name}.user.commands", [("traceparent", b"00-1")]
    producer = Producer(cluster.producer())
    producer.produce(topic, b"{json?}", b"ada", headers=headers)
    producer.produce(application.dead_letters, b"no letter", partition=0)
    producer.flush()
    client.ask(CreateUser(user_id="ada", email="a@b", name="Ada"))
    wait_until(lambda: len(letters(application, cluster)) == 2, "there is a dead letter")

    [stranger] = [each for each in letters(application, cluster) if each.letter is None]
    with pytest.raises(InvalidValue, match="cannot be sent again"):
        send_again(application, cluster, [stranger])
    [found] = [each for each in letters(application, cluster) if each.letter is not None]
    assert letter_at(application, cluster, found.place) == found
    assert send_again(application, cluster, [found]) == 1
    first, again = (each for each in read_committed(cluster, topic) if each.value() == b"{json?}")
    assert (again.key(), again.partition()) == (first.key(), first.partition())
    place = f"{topic}-{first.partition()}-{first.offset()}"
    assert again.headers() == [*headers, ("kafold.command-id", place.encode())]
    noted = letter_at(application, cluster, found.place)
    assert len(noted.sent_again_ms) == 1
    assert noted in letters(application, cluster)


def test_a_hexdump_shows_offsets_bytes_and_characters() -> None:
    assert hexdump(b"") == []
    assert hexdump(b"0123456789abcdef\0z") == [
        "00000000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  0123456789abcdef",
        "00000010  00 7a                                            .z",
    ]
