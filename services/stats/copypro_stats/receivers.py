"""Who is told: the operator of every alert, a user's own address of his trade logs and protectors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import structlog
from copypro import collections as c
from copypro.callbacks import Receiver, receiver_of
from copypro.envelope import Envelope
from copypro.errors import KeyDestroyed, SecretsError, StoreRefused, StoreUnavailable
from copypro.messages import AlertRaised, EquityProtectorReset, EquityProtectorTriggered
from copypro.ports import NotTaken, Post, ReadModels
from copypro.trade_logs import trade_log
from copypro.trade_sides import sides_of
from copypro.values import AccountId, RegistrationId
from msgspec import Struct

from copypro_stats.trade_logs import trade_log_told_by

logger = structlog.get_logger("stats")
OPERATOR = ""
Unseal = Callable[[RegistrationId, str], Awaitable[str]]


class Posted(Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    """Of the event: the same post has the same id, however often it is made."""
    raised_at_utc: datetime
    body: bytes = b""
    """A JSON object; empty: made when it is posted, from `row`."""
    to: str = OPERATOR
    """The copier or the registration whose callback it is for; empty: the operator."""
    row: str = ""
    """The trade log's id."""
    number: int = 0
    """Counts the posts of its partition: their order after a restart."""


def posts_of(envelope: Envelope) -> list[Posted]:
    """What an event gives to post, whether anybody wants it or not."""
    event = envelope.message
    if isinstance(event, AlertRaised):
        return [_posted(envelope, {"numbers": {}, **msgspec.to_builtins(event)})]
    if isinstance(event, EquityProtectorTriggered | EquityProtectorReset):
        return [_posted(envelope, _told(event), to=event.registration)]
    row = trade_log_told_by(event)
    if row is None:
        return []
    return [Posted(id=envelope.id, raised_at_utc=envelope.time, to=event.copier, row=row)]


def _posted(envelope: Envelope, fields: dict[str, Any], to: str = OPERATOR) -> Posted:
    body = msgspec.json.encode({"id": envelope.id, "time": envelope.time, **fields})
    return Posted(id=envelope.id, raised_at_utc=envelope.time, body=body, to=to)


def _told(event: EquityProtectorTriggered | EquityProtectorReset) -> dict[str, Any]:
    """The account by its name in REST, what happened, and from which numbers."""
    protector = event.protector
    trip = protector.tripped if isinstance(event, EquityProtectorTriggered) else None
    return {
        "type": type(event).__name__,
        "accountId": event.registration,
        "startBalance": _number(protector.start_balance),
        "brokerDay": protector.day or None,
        "breach": trip and trip.breach,
        "rule": trip and trip.rule,
        "level": trip and _number(trip.level),
        "equity": trip and _number(trip.equity),
    }


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


async def named(models: ReadModels, account: AccountId) -> dict[str, Any]:
    """Login, server and registrations; nothing of an account that is gone, or while the database does
    not answer: an alert waits for neither.
    """
    try:
        known = await models.get(c.ACCOUNTS, account)
        registrations = await models.find(c.REGISTRATIONS, {"account": account})
    except (StoreUnavailable, StoreRefused):
        return {}
    if known is None or "login" not in known:
        return {}
    ids = [registration["id"] for registration in registrations]
    return {"login": known["login"], "server": known["server"], "registrations": ids}


class _Undecided(Exception):
    """Decisions and what came of them are told by partitions of their own: one may be ahead."""


class Receivers:
    """`post` makes one try. Whose callback is where is read anew for each: one that was taken back is
    told nothing any more.
    """

    def __init__(self, models: ReadModels, unseal: Unseal, post: Post, alert_url: str) -> None:
        self._models, self._unseal, self._post = models, unseal, post
        self._operator = Receiver(alert_url, trusted=True) if alert_url else None

    async def wanted(self, posts: Sequence[Posted]) -> list[Posted]:
        """Those that have a receiver now, in their order. Errors: StoreUnavailable, StoreRefused."""
        asked = {posted.to for posted in posts} - {OPERATOR}
        told = set(await self._models.get_many(c.CALLBACKS, asked)) if asked else set()
        if self._operator is not None:
            told.add(OPERATOR)
        return [posted for posted in posts if posted.to in told]

    async def post(self, posted: Posted, in_part: bool = False) -> NotTaken | None:
        """None: it was taken, or there is nobody to take it. Not taken is also what a person can still
        set right (a database's rights, a key that is missing here), and a trade log of which the
        decision is not projected yet, unless it is told `in_part`.
        """
        try:
            receiver = await self._receiver(posted.to)
            body = posted.body or await self._body(posted, in_part)
            if posted.to == OPERATOR:
                body = await self._named(body)
        except _Undecided:
            return NotTaken("the decision before it is not projected yet")
        except StoreUnavailable:
            return NotTaken("the database does not answer")
        except StoreRefused as error:
            return NotTaken(f"the database refuses: {error}")
        except SecretsError as error:
            return NotTaken(f"its callback cannot be opened: {error}")
        if receiver is None or not body:
            return None
        return await self._post(receiver, posted.id, body)

    async def _named(self, alert: bytes) -> bytes:
        """Beside what only the log calls the account, what a person does."""
        told = msgspec.json.decode(alert)
        return msgspec.json.encode(told | await named(self._models, AccountId(told["account"])))

    async def _receiver(self, to: str) -> Receiver | None:
        if to == OPERATOR:
            return self._operator
        doc = await self._models.get(c.CALLBACKS, to)
        if doc is None:
            return None
        try:
            registration = RegistrationId(str(doc["registration"]))
            return receiver_of(await self._unseal(registration, str(doc["sealed"])))
        except KeyDestroyed as error:
            logger.warning("a callback cannot be opened: its account is gone", reason=str(error))
            return None

    async def _body(self, posted: Posted, in_part: bool) -> bytes:
        """The trade log as it is listed, at this moment. Errors: _Undecided."""
        doc = await self._models.get(c.TRADE_LOGS, posted.row)
        if doc is None:
            return b""
        if "time" not in doc and not in_part:
            raise _Undecided
        sides = await sides_of(self._models, [posted.to])
        return msgspec.json.encode(trade_log(doc, sides[posted.to]))
