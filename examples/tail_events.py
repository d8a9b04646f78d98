"""Prints what happens on the watched accounts, line by line: CopyPro's topics read with plain aiokafka.

    python examples/tail_events.py --from-beginning --account 58c4e196

It needs aiokafka and nothing of CopyPro, and shows what every reader of these topics has to do
(docs/events.md, rules for consumers): read only what was committed, count each id once, pass over
what it does not know, and stop at a version that is newer than it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
from collections import OrderedDict
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord

UNDERSTOOD = 1
"""The schema version this program was written for."""
REMEMBERED = 100_000
"""Ids: a repeat comes soon after a restart of its writer, or when an operator replays a record."""


class Once:
    """Tells whether an id is met for the first time; forgets the oldest ones."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._ids: OrderedDict[str, None] = OrderedDict()

    def is_new(self, id: str) -> bool:
        if id in self._ids:
            return False
        self._ids[id] = None
        if len(self._ids) > self._most:
            self._ids.popitem(last=False)
        return True


def line_of(headers: dict[str, str], event: dict[str, Any]) -> str:
    """Decimals are text and stay text: nothing here is counted."""
    when, account = headers["time"][:23], str(event.get("account", ""))[:8]
    return f"{when} {account:8} {words_of(event)}"


def words_of(event: dict[str, Any]) -> str:
    kind = event["type"]
    root = f"root {event.get('root')}"
    match kind:
        case "PositionOpened":
            stops = f"sl {event.get('stop_loss')} tp {event.get('take_profit')}"
            copied = " (a copy)" if event.get("copy") else ""
            return (
                f"opened   {root}: {event['side']} {event['lots']} {event['symbol']}"
                f" at {event['open_price']}, {stops}, seen {event['seen']}{copied}"
            )
        case "PositionIncreased":
            return f"increased {root}: {event['lots']} more, {event['open_lots']} open"
        case "PositionModified":
            return f"modified {root}: sl {event['stop_loss']} tp {event['take_profit']}"
        case "PositionReduced":
            deal = event["deal"]
            return f"reduced  {root}: {deal['lots']} at {deal['price']}, {event['open_lots']} left"
        case "PositionClosed":
            deal = event["deal"]
            result = f"profit {deal.get('profit', '0')}"
            why = event.get("reason", "Unknown")
            return f"closed   {root}: {event['symbol']} at {deal['price']}, {result} ({why})"
        case "AlertRaised":
            return f"ALERT    {event['code']}: {event['text']}"
    return f"{kind} " + " ".join(
        f"{name}={value}" for name, value in event.items() if name not in ("type", "account")
    )


def headers_of(record: ConsumerRecord) -> dict[str, str]:
    return {name: value.decode() for name, value in record.headers}


async def tail(consumer: AIOKafkaConsumer, account: str) -> None:
    once = Once(REMEMBERED)
    async for record in consumer:
        headers = headers_of(record)
        if int(headers["version"]) > UNDERSTOOD:
            place = f"{record.topic}/{record.partition} at {record.offset}"
            raise SystemExit(f"{place} is of schema version {headers['version']}: upgrade me")
        if record.value is None or not once.is_new(headers["id"]):
            continue
        event = json.loads(record.value)
        if str(event.get("account", "")).startswith(account):
            print(line_of(headers, event), flush=True)


async def main() -> None:
    given = arguments()
    consumer = AIOKafkaConsumer(
        os.environ.get("COPYPRO_TOPIC_PREFIX", "") + given.topic,
        bootstrap_servers=os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092"),
        group_id=None,  # all partitions, and nobody else is given fewer for it
        isolation_level="read_committed",  # what was rolled back never happened
        auto_offset_reset="earliest" if given.from_beginning else "latest",
    )
    await consumer.start()
    tailing = asyncio.ensure_future(tail(consumer, given.account))
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, tailing.cancel)
    try:
        await asyncio.wait([tailing])
    finally:
        await consumer.stop()
    if not tailing.cancelled():
        tailing.result()


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--topic", default="order-events", help="without the prefix")
    parser.add_argument("--account", default="", help="only accounts whose id begins like this")
    parser.add_argument("--from-beginning", action="store_true", help="else only what comes now")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main())
