"""What every subject stands on: commands into the log, and the caller's own accounts and copiers.

Holds no rule of trading.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import structlog
from copypro import collections as c
from copypro.envelope import Envelope, encode
from copypro.errors import LogFull, StoreUnavailable
from copypro.messages import Message
from copypro.ports import Clock, EventLog, NewId, ReadModels, Vault
from copypro.topics import Topic
from copypro.values import MessageId, Platform, UserId
from msgspec import Struct

from copypro_gateway import rights
from copypro_gateway.owning import OWNER, command_id
from copypro_gateway.remembering import Remembering
from copypro_gateway.wording.answers import CommandStatus
from copypro_gateway.wording.errors import DENIED_STATUS, ApiError, unknown
from copypro_gateway.wording.failures import Style

logger = structlog.get_logger("gateway")
Doc = dict[str, Any]
Seen = TypeVar("Seen")
POLL_FIRST_S = 0.004
POLL_CAP_S = 0.05


class GatewaySettings(Struct, frozen=True, kw_only=True):
    platforms: frozenset[Platform]
    """Those with a bridge address."""
    require_key: bool = False
    operator_key_hash: str = ""
    """Of the key that operators' calls need (`auth.hash_of`); empty: those calls are off."""
    visible_within_s: float = 5.0
    callback_private: bool = False
    """Users' callbacks may go to private addresses."""
    most_accounts: int = 1000
    """Of one user, as those that count them see it: two calls at once may end one above it."""
    most_copiers: int = 1000
    errors_as_201: Style = ""
    reset_url: str = ""
    """Letters link only to pages below it; empty: to none."""


class Pending(Exception):
    """Accepted, and not yet visible: the caller gets 202 and the command's id."""

    def __init__(self, command: str) -> None:
        super().__init__(command)
        self.command = command


class Core:
    def __init__(
        self,
        log: EventLog,
        models: ReadModels,
        vault: Vault,
        clock: Clock,
        new_id: NewId,
        settings: GatewaySettings,
    ) -> None:
        self.log, self.models, self.vault = log, models, vault
        self.clock, self.new_id, self.settings = clock, new_id, settings
        self.remembering = Remembering(models)

    # --- commands -----------------------------------------------------------------------------

    async def command(self, *wishes: tuple[Topic, str, Message]) -> Doc:
        """Appends all in one go and returns the answer to the last once all are visible. What it needs
        done before comes first: that one of those had nothing left to do is no failure of the call.

        Errors: the code of a denied last one; Pending, which names it, as `answers`.
        """
        return taken((await self.commands(wishes))[-1])

    async def commands(self, wishes: Sequence[tuple[Topic, str, Message]]) -> list[Doc]:
        """Appends all in one go and returns their answers, denied ones too. All have the last one's id
        as their correlation: what follows goes back to one call. Errors: 507; Pending, as `answers`.
        """
        ids = [self.command_id() for _ in wishes]
        outputs = [
            encode(topic, key, _wish(id, ids[-1], message, self.clock()))
            for id, (topic, key, message) in zip(ids, wishes, strict=True)
        ]
        try:
            await self.log.append(outputs)
        except LogFull:
            text = "the disk is full: nothing was changed; make room and try again"
            raise ApiError(507, "DISK_FULL", text) from None
        _, account, wish = wishes[-1]
        logger.info("call", correlation=ids[-1], command=type(wish).__name__, account=account)
        return await self.answers(ids)

    def command_id(self) -> MessageId:
        """A new one, of whoever makes the call that runs now."""
        return command_id(self.new_id(), OWNER.get())

    async def answers(self, commands: Sequence[MessageId]) -> list[Doc]:
        """Those to all of them, denied ones too. Errors: Pending, of the last, when the time that a
        caller waits is over before all are visible.
        """
        deadline, found = self.deadline(), []
        for command in commands:
            try:
                done = await until(partial(self.models.get, c.COMMANDS, command), deadline)
            except StoreUnavailable:
                done = None  # it is recorded; when it shows, nobody can tell
            if done is None:
                raise Pending(commands[-1])
            found.append(done)
        return found

    def deadline(self) -> float:
        """On the loop's clock: until when a caller may wait from now."""
        return _now() + self.settings.visible_within_s

    async def command_status(self, command: str) -> CommandStatus:
        done: Any = await self.models.get(c.COMMANDS, command)
        answer: CommandStatus = {"id": command, "done": False} if done is None else done
        return answer

    # --- whose it is --------------------------------------------------------------------------

    async def registration(self, user: UserId | None, id: str, field: str = "accountId") -> Doc:
        """`user` None: the calls that the original documents with the id alone. `field`: what named it."""
        doc = await self.models.get(c.REGISTRATIONS, id)
        if doc is None or (user is not None and doc["user"] != user):
            raise unknown("account", field)
        return doc

    async def registrations_of(self, user: UserId) -> Sequence[Doc]:
        return await self.models.find(c.REGISTRATIONS, {"user": user}, limit=None)

    async def check_one_more_account(self, user: UserId) -> None:
        """Errors: 409."""
        most = self.settings.most_accounts
        if len(await self.registrations_of(user)) >= most:
            raise ApiError(409, "TOO_MANY_ACCOUNTS", f"at most {most} accounts a user")

    async def check_one_more_copier(self, user: UserId) -> None:
        """Errors: 409."""
        most = self.settings.most_copiers
        if len(await self.copiers_of(user)) >= most:
            text = f"at most {most} copiers a user: remove one first"
            raise ApiError(409, "TOO_MANY_COPIERS", text)

    async def readable(self, user: UserId | None, id: str) -> Doc:
        """The registration, whose own password has proved that it may look."""
        registration = await self.registration(user, id)
        if not rights.may_read(registration):
            raise rights.not_proved("accountId", registration)
        return registration

    async def copier(self, user: UserId | None, id: str) -> Doc:
        doc = await self.models.get(c.COPIERS, id)
        if doc is None or (user is not None and doc["user"] != user):
            raise unknown("copier")
        return doc

    async def copiers_of(self, user: UserId) -> Sequence[Doc]:
        return await self.models.find(c.COPIERS, {"user": user}, limit=None)


def taken(answer: Doc) -> Doc:
    """The answer to a command that was not denied. Errors: the code of a denied one."""
    code = answer.get("code")
    if code is not None:
        raise ApiError(DENIED_STATUS.get(str(code), 409), str(code), str(answer.get("message")))
    return answer


async def until(look: Callable[[], Awaitable[Seen | None]], deadline: float) -> Seen | None:
    """What `look` sees as soon as it is something; None at the deadline, after one look at least."""
    wait_s = POLL_FIRST_S
    while True:
        seen = await look()
        if seen is not None or _now() > deadline:
            return seen
        await asyncio.sleep(wait_s)
        wait_s = min(POLL_CAP_S, wait_s * 1.5)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _wish(id: str, correlation: str, message: Message, time: datetime) -> Envelope:
    return Envelope(
        id=MessageId(id), correlation=MessageId(correlation), time=time, message=message
    )
