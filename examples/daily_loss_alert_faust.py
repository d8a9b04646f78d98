"""Alerts when an account has lost too much in the last 24 hours: CopyPro's topics read with Faust.

    faust -A daily_loss_alert_faust worker --without-web -l info        (in this folder)

Reads order-events (what closed deals brought) and account-snapshots (balance and what is open), both
keyed by account, and writes one record to the topic `daily-loss-alerts` each time that an account's
loss reaches the limit; it alerts again only after the loss was below half of it (and may repeat an
alert after a crash: count each of its `id`s once). It needs
faust-streaming and nothing of CopyPro. The rules for consumers are in docs/events.md.

KAFKA_BOOTSTRAP_SERVERS, COPYPRO_TOPIC_PREFIX and COPYPRO_PARTITIONS as for CopyPro itself;
DAILY_LOSS_PERCENT (5): of the balance that the account had 24 hours ago.
"""

from __future__ import annotations

import asyncio
import json
import os
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import faust
from faust.transport.drivers import aiokafka as driver

UNDERSTOOD = 1
"""The schema version this program was written for."""
WINDOW = timedelta(hours=24)
PREFIX = os.environ.get("COPYPRO_TOPIC_PREFIX", "")
LIMIT_PERCENT = Decimal(os.environ.get("DAILY_LOSS_PERCENT", "5"))


class CommittedThread(driver.AIOKafkaConsumerThread):
    """Reads only what was committed. By itself Faust does so only when what it writes is transactional
    too (`exactly_once`), and that mode fails when it stops (seen with 0.15.3: "Not in the middle of a
    transaction"). At least once is enough here: a message that comes again changes nothing.
    """

    def _create_worker_consumer(self, loop: asyncio.AbstractEventLoop) -> Any:
        self.consumer.in_transaction = True
        try:
            return super()._create_worker_consumer(loop)
        finally:
            self.consumer.in_transaction = False


class CommittedConsumer(driver.Consumer):
    def _new_consumer_thread(self) -> CommittedThread:
        return CommittedThread(self, loop=self.loop, beacon=self.beacon)


class CommittedTransport(driver.Transport):
    Consumer = CommittedConsumer


app = faust.App(
    f"{PREFIX}daily-loss",
    broker="kafka://" + os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092"),
    store=os.environ.get("DAILY_LOSS_STORE", "memory://"),
    # The table is divided as its topics are: what an account's partition brings stays together.
    topic_partitions=int(os.environ.get("COPYPRO_PARTITIONS", "16")),
    topic_replication_factor=int(os.environ.get("COPYPRO_REPLICATION", "1")),
)
app.transport = CommittedTransport(app.conf.broker_consumer, app)
events = app.topic(
    f"{PREFIX}order-events", f"{PREFIX}account-snapshots", key_type=bytes, value_type=bytes,
    key_serializer="raw", value_serializer="raw",
)  # fmt: skip
alerts = app.topic(
    f"{PREFIX}daily-loss-alerts", key_type=bytes, value_type=bytes, value_serializer="raw"
)
accounts = app.Table("accounts", default=dict)
"""By account: `results` by id of their event ([when, amount]), `balance`, `open` profit, `alerted`."""


@app.agent(events)
async def watch(stream: faust.StreamT[bytes]) -> None:
    async for event in stream.events():
        headers = {name: text(value) for name, value in event.headers.items()}
        if int(headers["version"]) > UNDERSTOOD:
            # Not by print, which Faust redirects: it would end with the process.
            said = f"schema version {headers['version']} is newer than this: upgrade me\n"
            os.write(2, said.encode())
            os._exit(1)  # at once: an exception would leave the record counted as done
        if event.value is None:
            continue
        message = json.loads(event.value)
        known = accounts[text(event.key)]
        changed = taken_in(known, headers["id"], message)
        if changed is None:
            continue
        alert = judged(changed, datetime.fromisoformat(headers["time"]))
        accounts[text(event.key)] = (
            changed  # the table keeps what is put into it, not what is edited
        )
        if alert is not None:
            said = json.dumps({"id": headers["id"], "account": text(event.key), **alert}).encode()
            await alerts.send(key=event.key, value=said)


def taken_in(known: dict[str, Any], id: str, message: dict[str, Any]) -> dict[str, Any] | None:
    """The account with what this message says of it; None for one that says nothing of losses.
    A result stands under its event's id, so a message that comes twice counts once.
    """
    match message["type"]:
        case "PositionClosed" | "PositionReduced":
            deal = message["deal"]
            when = deal.get("time_utc") or message["seen_at_utc"]
            results = {**known.get("results", {}), id: [when, str(result_of(deal))]}
            return {**known, "results": results}
        case "AccountSnapshot":
            figures = message["figures"]
            return {**known, "balance": figures["balance"], "open": figures.get("profit", "0")}
    return None


def result_of(deal: dict[str, str]) -> Decimal:
    """In the account's currency. What is left out is nothing."""
    return sum(
        (Decimal(deal.get(part, "0")) for part in ("profit", "swap", "commission", "fee")),
        Decimal(0),
    )


def judged(account: dict[str, Any], now: datetime) -> dict[str, str] | None:
    """Drops what is older than the window; the alert, if the loss has just reached the limit."""
    results = account.get("results", {})
    account["results"] = {
        id: [when, amount]
        for id, (when, amount) in results.items()
        if now.astimezone(UTC) - datetime.fromisoformat(when) < WINDOW
    }
    if "balance" not in account:
        return None
    closed = sum((Decimal(amount) for _, amount in account["results"].values()), Decimal(0))
    loss = -(closed + Decimal(account["open"]))
    limit = (Decimal(account["balance"]) - closed) * LIMIT_PERCENT / 100
    if loss * 2 < limit:
        account["alerted"] = False
    if loss < limit or account.get("alerted"):
        return None
    account["alerted"] = True
    return {"loss": str(loss), "limit": str(limit), "at": now.isoformat()}


def text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


if __name__ == "__main__":
    app.main()
