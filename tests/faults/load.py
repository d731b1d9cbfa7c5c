"""A load of commands with everything in it: new aggregates, purchases, refusals, conflicts, and repeats of an id."""

import random
from collections.abc import Iterator
from datetime import date
from typing import Any

from producers.client import Client
from schemas.messages import Command
from schemas.shop.accounts import OpenAccount, RecordPurchase, RefundPurchase

DAY = date(1997, 1, 1)
ACCOUNTS = 40


def commands(seed: int, count: int) -> Iterator[tuple[str, Command[Any, Any], int | None]]:
    """Yield (command id, command, expected version); a tenth of the ids comes twice."""
    chance = random.Random(seed)
    for number in range(count):
        account = f"a{chance.randrange(ACCOUNTS)}"
        made: Command[Any, Any]
        match chance.randrange(6):
            case 0:
                made = OpenAccount(account_id=account)
            case 1:
                made = RefundPurchase(
                    account_id=account, purchase_id=f"p{chance.randrange(count)}", day=DAY, amount_cents=1
                )
            case _:
                cents = chance.randrange(-1, 10_000)
                made = RecordPurchase(
                    account_id=account, purchase_id=f"p{number}", day=DAY, quantity=1, amount_cents=cents
                )
        expected = chance.randrange(5) if chance.random() < 0.1 else None
        yield f"{seed}-{number}", made, expected
        if chance.random() < 0.1:
            yield f"{seed}-{number}", made, expected


def send(client: Client, seed: int, count: int) -> set[str]:
    """Send a load, wait until Kafka has it, and return the command ids."""
    sent = set()
    for command_id, command, expected in commands(seed, count):
        sent.add(client.send(command, command_id=command_id, expected_version=expected))
    client.flush()
    return sent
