"""Copiers of a user: starting, changing, pausing, removing, showing."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Literal

from copypro import collections as c
from copypro import messages as m
from copypro import topics
from copypro.options import RiskType
from copypro.values import AccountId, CopierId, Platform, RegistrationId, UserId
from pydantic import AliasChoices, Field

from copypro_gateway import rights, shapes
from copypro_gateway.calls import Calls
from copypro_gateway.core import Core, Doc, Pending, until
from copypro_gateway.market import market_of
from copypro_gateway.subjects.accounts import Accounts, AddAccount
from copypro_gateway.subjects.protection import refuse_while_protected
from copypro_gateway.wording.answers import OK, Ok, Started
from copypro_gateway.wording.copier_answers import Copier
from copypro_gateway.wording.errors import ApiError, bad, unknown
from copypro_gateway.wording.options import Options
from copypro_gateway.wording.parameters import ByCopier, Number, Parameters, Text


class RemoveCopier(ByCopier):
    close_trades: bool | None = Field(
        None, description="unset: open copies are followed until flat"
    )


class CopierPause(ByCopier):
    paused: bool
    reason: Text = "ByUser"


class Start(Options):
    """By ids, or the older form with both accounts inline."""

    master_account_id: Text | None = None
    slave_account_id: Text | None = None
    master_api_id: Text | None = Field(
        None, description="as masterAccountId; ignored beside the inline form"
    )
    slave_api_id: Text | None = Field(
        None, description="as slaveAccountId; ignored beside the inline form"
    )
    master_type: Platform | None = None
    master_user: int | None = Field(None, gt=0, lt=2**63)
    master_password: Text | None = None
    master_server: Text | None = None
    master_name: Text = ""
    slave_type: Platform | None = None
    slave_user: int | None = Field(None, gt=0, lt=2**63)
    slave_password: Text | None = None
    slave_server: Text | None = None
    slave_name: Text = ""

    def account_id(self, role: Literal["master", "slave"]) -> str | None:
        """None: the side is inline. A bridge's token, which the original takes beside it, is no id."""
        given = (self.master_account_id, self.master_api_id)
        if role == "slave":
            given = (self.slave_account_id, self.slave_api_id)
        named, api_id = given
        is_inline = None not in self._inline(role).values()
        return named if named is not None or is_inline else api_id

    def _inline(self, role: str) -> dict[str, Any]:
        names = ("type", "user", "password", "server")
        return {name: getattr(self, f"{role}_{name}") for name in names}

    def account(self, role: Literal["master", "slave"]) -> AddAccount | None:
        """The inline form of one side, if it is given whole."""
        given = self._inline(role)
        if all(value is None for value in given.values()):
            return None
        for name, value in given.items():
            if value is None:
                raise bad(f"{role}{name.capitalize()}", "is needed with the inline form of Start")
        return AddAccount.model_validate(
            {**given, "name": getattr(self, f"{role}_name")}, by_name=True
        )


class UpdateCopier(Options):
    copier_id: Text = Field(validation_alias=AliasChoices("id", "copierId", "copier_id"))
    risk_type: RiskType
    risk_value: Number


class Copiers:
    def __init__(self, core: Core, accounts: Accounts) -> None:
        self._core, self._accounts = core, accounts

    def register(self, calls: Calls) -> None:
        for name in ("Start", "StartByAccountId"):
            calls.keyed(name, Start, self.start, tag="copiers", changes=True)
        calls.keyed("UpdateCopier", UpdateCopier, self.update, tag="copiers", changes=True)
        calls.by_id("CopierPause", CopierPause, self.pause, tag="copiers", changes=True)
        calls.by_id("Remove", RemoveCopier, self.remove, tag="copiers", changes=True)
        calls.keyed("UserCopiers", Parameters, self.all, tag="copiers")
        calls.by_id("GetCopier", ByCopier, self.get, tag="copiers")

    async def start(self, user: UserId, given: Start) -> Started:
        """Starts copying from a master to a slave. Either form; the same pair twice is the same
        copier, with these options and resumed. Right after AddAccount it waits for the logins, no
        longer than a call that changes something may take.
        """
        options = given.to_options()
        deadline = self._core.deadline()
        master = await self._side(user, given, "master")
        slave = await self._side(user, given, "slave")
        for role, side in (("master", master), ("slave", slave)):
            if side.get("kind") == "imported":
                text = "was imported from a report: it can be looked at, never copied or traded"
                raise ApiError(400, "IMPORTED_ACCOUNT", f"{role}AccountId: {text}")
        if master["account"] == slave["account"]:
            raise bad("slaveAccountId", "master and slave are the same account")
        master = await self._proved("masterAccountId", master, rights.may_read, deadline)
        slave = await self._proved("slaveAccountId", slave, rights.may_trade, deadline)
        # Looked at before the other side was added and tried: it may be refused or disabled by now.
        master = await self._core.registration(user, str(master["id"]))
        master = await self._proved("masterAccountId", master, rights.may_read, deadline)
        _require_enabled(master)
        refuse_while_protected(slave)
        await self._refuse_loop(str(master["account"]), str(slave["account"]))
        pair = {"master": master["account"], "slave": slave["account"]}
        if not await self._core.models.find(c.COPIERS, pair, limit=1):
            await self._core.check_one_more_copier(user)
        start = m.StartCopier(
            copier=CopierId(self._core.new_id()),
            user=user,
            master=AccountId(str(master["account"])),
            slave=AccountId(str(slave["account"])),
            master_registration=RegistrationId(str(master["id"])),
            slave_registration=RegistrationId(str(slave["id"])),
            same_server=(master["platform"], str(master["server"]).casefold())
            == (slave["platform"], str(slave["server"]).casefold()),
            options=options,
            market=await self._market(str(master["account"])),
        )
        done = await self._core.command((topics.COPIER_COMMANDS, start.master, start))
        copier = CopierId(str(done.get("copier", start.copier)))
        await self._stop_if_removed(copier, start)
        return {
            "copierId": copier,
            "id": copier,
            "masterAccountId": master["id"],
            "slaveAccountId": slave["id"],
            "srcId": master["id"],
            "dstId": slave["id"],
        }

    async def _stop_if_removed(self, copier: CopierId, start: m.StartCopier) -> None:
        """A side that was removed meanwhile has stopped the copiers that there were, and not this one.
        Errors: 404.
        """
        for registration, reason in (
            (start.master_registration, m.StopReason.MASTER_REMOVED),
            (start.slave_registration, m.StopReason.SLAVE_REMOVED),
        ):
            if await self._core.models.get(c.REGISTRATIONS, registration) is None:
                stop = m.StopCopier(
                    copier=copier,
                    master=start.master,
                    open_copies=m.OpenCopies.LEAVE,
                    reason=reason,
                )
                with suppress(Pending):  # it is recorded, and needs no waiting for
                    await self._core.commands([(topics.COPIER_COMMANDS, stop.master, stop)])
                raise unknown("account")

    async def _market(self, account: str) -> m.Market:
        shown = await self._core.models.get(c.ACCOUNTS, account)
        return market_of(
            shown, await self._core.models.get(c.OPEN_ORDERS, account), self._core.clock()
        )

    async def _side(self, user: UserId, given: Start, role: Literal["master", "slave"]) -> Doc:
        id_ = given.account_id(role)
        if id_ is not None:
            return await self._core.registration(user, id_, f"{role}AccountId")
        inline = given.account(role)
        if inline is None:
            raise bad(f"{role}AccountId", "is required (or the account inline)")
        try:
            added = await self._accounts.add(user, inline)
        except Pending as pending:
            text = (
                f"{role}User: the account is being added, and the copier was not started: start it"
                f" when GET /Commands/{pending.command} says done"
            )
            raise ApiError(503, "NOT_STARTED", text) from None
        return await self._core.registration(user, str(added["id"]))

    async def _proved(
        self, field: str, registration: Doc, may: Callable[[Doc], bool], deadline: float
    ) -> Doc:
        """The registration once it has the right; as long as its password is being tried, until then."""

        async def decided() -> Doc | None:
            now = await self._core.registration(None, str(registration["id"]))
            return now if may(now) or not rights.is_pending(now) else None

        now = registration if may(registration) else await until(decided, deadline)
        if now is None or not may(now):
            now = now or registration
            if rights.may_read(now):
                raise rights.read_only(field)
            raise rights.not_proved(field, now)
        return now

    async def _refuse_loop(self, master: str, slave: str) -> None:
        """Best effort, by what is visible: following the slave's own copiers must not end at the master."""
        seen: set[str] = set()
        ahead = [slave]
        while ahead:
            account = ahead.pop()
            if account == master:
                text = "the slave is already a master of this master, directly or by others"
                raise ApiError(409, "LOOP", text)
            if account not in seen:
                seen.add(account)
                next_ones = await self._core.models.find(c.COPIERS, {"master": account}, limit=None)
                ahead.extend(str(doc["slave"]) for doc in next_ones)

    async def get(self, user: UserId | None, given: ByCopier) -> Copier:
        """One copier, as UserCopiers shows it."""
        return await self.shown(await self._core.copier(user, given.copier_id))

    async def all(self, user: UserId, _: Parameters) -> list[Copier]:
        """The user's copiers."""
        return [await self.shown(doc) for doc in await self._core.copiers_of(user)]

    async def shown(self, doc: Doc) -> Copier:
        """A copier as callers see it."""
        registrations: dict[str, Doc] = {}
        for role in ("master", "slave"):
            id_ = str(doc[f"{role}_registration"])
            registrations[id_] = await self._core.models.get(c.REGISTRATIONS, id_) or {}
        return shapes.copier(doc, registrations)

    async def remove(self, user: UserId | None, given: RemoveCopier) -> Ok:
        """Ends a copier. Its open copies are closed, or followed until they are flat."""
        doc = await self._core.copier(user, given.copier_id)
        stop = m.StopCopier(
            copier=CopierId(given.copier_id),
            master=AccountId(str(doc["master"])),
            open_copies=m.OpenCopies.CLOSE if given.close_trades else m.OpenCopies.FOLLOW,
        )
        await self._core.command((topics.COPIER_COMMANDS, stop.master, stop))
        return OK

    async def pause(self, user: UserId | None, given: CopierPause) -> Ok:
        """Pauses a copier, which then opens nothing, or resumes it; stops and closes go on."""
        doc = await self._core.copier(user, given.copier_id)
        return await self.set_paused(doc, paused=given.paused, reason=given.reason)

    async def set_paused(self, copier: Doc, *, paused: bool, reason: str) -> Ok:
        """Errors: as `resume`."""
        if not paused:
            await self.resume(copier)
            return OK
        id, master = CopierId(str(copier["id"])), AccountId(str(copier["master"]))
        wish = m.PauseCopier(copier=id, master=master, reason=reason)
        await self._core.command((topics.COPIER_COMMANDS, master, wish))
        return OK

    async def resume(self, copier: Doc) -> None:
        """Errors: as `resuming`, and as a command's; 409 where the master was removed, disabled or refused
        meanwhile, so that it stays paused.
        """
        wish = await self.resuming(copier)
        done = await self._core.command((topics.COPIER_COMMANDS, wish.master, wish))
        if not is_resumed(done):
            text = "copierId: it stays paused: its master was removed, disabled or refused just now"
            raise ApiError(409, "PAUSED_OTHERWISE", text)

    async def resuming(self, copier: Doc, only_from: str = "") -> m.ResumeCopier:
        """`only_from`: as ResumeCopier's. Errors: as a start, where the master may not be read or is
        disabled; 409 while the slave's protector keeps it paused.
        """
        registration = await self._core.registration(None, str(copier["master_registration"]))
        if not rights.may_read(registration):
            raise rights.not_proved("masterAccountId", registration)
        _require_enabled(registration)
        slave = await self._core.models.get(c.REGISTRATIONS, str(copier["slave_registration"]))
        refuse_while_protected(slave)
        master = AccountId(str(copier["master"]))
        return m.ResumeCopier(
            copier=CopierId(str(copier["id"])),
            master=master,
            market=await self._market(master),
            only_from=only_from,
        )

    async def update(self, user: UserId, given: UpdateCopier) -> Ok:
        """Sets all options of a copier anew, for trades from now on. One that is left out has its
        default again.
        """
        doc = await self._core.copier(user, given.copier_id)
        master = AccountId(str(doc["master"]))
        update = m.UpdateCopier(
            copier=CopierId(given.copier_id), master=master, options=given.to_options()
        )
        await self._core.command((topics.COPIER_COMMANDS, master, update))
        return OK


def is_resumed(answer: Doc) -> bool:
    """The answer to a resume: one that came after what pauses the copier anyway ends in a pause."""
    return answer.get("code") is None and answer.get("event") != m.CopierPaused.__name__


def _require_enabled(master: Doc) -> None:
    if not master.get("enabled", True):
        text = "masterAccountId: the account is disabled: enable it by AccountSetEnabled first"
        raise ApiError(409, "ACCOUNT_DISABLED", text)
