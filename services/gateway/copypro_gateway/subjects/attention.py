"""What waits for a person: alerts, and orders of which nobody knows whether they stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from copypro import collections as c
from copypro import messages as m
from copypro import topics
from copypro.messages import Message
from copypro.values import AccountId, AttemptId, Ticket, UserId
from pydantic import AliasChoices, Field

from copypro_gateway import rights
from copypro_gateway.calls import Calls
from copypro_gateway.core import Core, Doc
from copypro_gateway.wording.answers import OK, Alert, ConcernedAccount, Ok, UnresolvedAttempt
from copypro_gateway.wording.errors import bad
from copypro_gateway.wording.parameters import Parameters, Text


class Settle(Parameters):
    account_id: Text = Field(validation_alias=AliasChoices("accountId", "account_id", "apiId"))
    attempt: Text | None = None
    ticket: int | None = Field(None, gt=0, lt=2**63)
    found: bool | None = None


class Attention:
    def __init__(self, core: Core) -> None:
        self._core = core

    def register(self, calls: Calls) -> None:
        calls.keyed("Alerts", Parameters, self.alerts, tag="logs")
        calls.keyed("Unresolved", Parameters, self.unresolved, tag="logs")
        calls.keyed("Settle", Settle, self.settle, tag="logs", changes=True)

    async def alerts(self, user: UserId, _: Parameters) -> list[Alert]:
        """What needs somebody's attention now, of accounts that the user may read and of the user's
        own logins.
        """
        mine = await self._core.registrations_of(user)
        own, readable = {str(doc["id"]): doc for doc in mine}, _readable(mine)
        found: Any = await self._core.models.find(c.ALERTS, {"open": True}, limit=None)
        owners = (
            own.get(doc["numbers"].get("registration")) or readable.get(doc["account"])
            for doc in found
        )
        return [doc | _named(owner) for doc, owner in zip(found, owners, strict=True) if owner]

    async def unresolved(self, user: UserId, _: Parameters) -> list[UnresolvedAttempt]:
        """Attempts of which nobody knows whether they reached the broker, with the evidence."""
        readable = _readable(await self._core.registrations_of(user))
        found: Any = await self._core.models.find(c.UNRESOLVED, {"open": True}, limit=None)
        return [
            doc | _named(readable[doc["account"]]) for doc in found if doc["account"] in readable
        ]

    async def settle(self, user: UserId, given: Settle) -> Ok:
        """Records a person's decision on an unresolved attempt, or on a position with another
        copier's tag.
        """
        registration = await self._core.readable(user, given.account_id)
        if not rights.may_trade(registration):
            raise rights.read_only("accountId")
        account = AccountId(str(registration["account"]))
        ticket = None if given.ticket is None else Ticket(given.ticket)
        if given.attempt is not None:
            if given.found is True and ticket is None:
                raise bad("ticket", "is needed when the attempt did open")
            if given.found is False and ticket is not None:
                raise bad("found", "false contradicts ticket, which says that the attempt did open")
            wish: Message = m.SettleUnresolved(
                account=account, attempt=AttemptId(given.attempt), ticket=ticket, by=user
            )
        elif ticket is not None:
            wish = m.SettleOtherCopier(account=account, ticket=ticket, by=user)
        else:
            raise bad("attempt", "or ticket is required: `copypro unresolved` lists them")
        await self._core.command((topics.ACCOUNT_COMMANDS, account, wish))
        return OK


def _readable(registrations: Sequence[Doc]) -> dict[str, Doc]:
    """By account, of which a user has one registration at most."""
    return {str(doc["account"]): doc for doc in registrations if rights.may_read(doc)}


def _named(registration: Doc) -> ConcernedAccount:
    return {
        "accountId": registration["id"],
        "name": registration["name"],
        "user": registration["login"],
        "server": registration["server"],
    }
