"""Accounts of a user: registering, removing, showing."""

from __future__ import annotations

from copypro import collections as c
from copypro import messages as m
from copypro import topics
from copypro.messages import Message
from copypro.topics import Topic
from copypro.values import AccountId, CopierId, Platform, RegistrationId, UserId, account_id
from pydantic import Field

from copypro_gateway import shapes
from copypro_gateway.calls import Calls
from copypro_gateway.core import Core, Doc
from copypro_gateway.wording.account_answers import Account
from copypro_gateway.wording.answers import Removed
from copypro_gateway.wording.errors import ApiError, bad
from copypro_gateway.wording.parameters import ByAccount, Parameters, Text

ALREADY_REGISTERED = "ALREADY_REGISTERED"


class AddAccount(Parameters):
    type: Platform
    user: int = Field(gt=0, lt=2**63, description="the account's login")
    password: Text = Field(min_length=1)
    server: Text = Field(min_length=1, description="exactly as the terminal shows it")
    name: Text = ""


class RemoveAccount(ByAccount):
    close_trades: bool = False


class Accounts:
    def __init__(self, core: Core) -> None:
        self._core = core

    def register(self, calls: Calls) -> None:
        calls.keyed("AddAccount", AddAccount, self.add, tag="accounts", changes=True)
        calls.keyed("Accounts", Parameters, self.all, tag="accounts")
        calls.keyed("GetAccount", ByAccount, self.get, tag="accounts")
        for name in ("RemoveAccount", "RemoveAccountByApiId"):
            calls.keyed(name, RemoveAccount, self.remove, tag="accounts", changes=True)

    async def add(self, user: UserId, given: AddAccount) -> Account:
        """Registers an account and logs in to it. The same account added twice by one user is one;
        a new password replaces the old one.
        """
        if given.type not in self._core.settings.platforms:
            text = f"{given.type} is off: set Api{given.type} to the address of its bridge"
            raise ApiError(400, "PLATFORM_OFF", text)
        if not given.server.strip():
            raise bad("server", "is blank: give its name exactly as the terminal shows it")
        account = account_id(given.type, given.server, given.user)
        own = {"user": user, "account": account}
        mine = await self._core.models.find(c.REGISTRATIONS, own)
        if mine:
            registration = RegistrationId(str(mine[0]["id"]))
            sealed = await self._core.vault.seal(registration, given.password)
            update = m.UpdateAccount(
                account=account,
                registration=registration,
                name=given.name or None,
                server=given.server.strip(),
                sealed_password=sealed,
            )
            done = await self._core.command((topics.ACCOUNT_COMMANDS, account, update))
            if done.get("leaving"):
                text = (
                    "accountId: its removal waits until its copies are closed, now by this password"
                )
                raise ApiError(
                    409, "ACCOUNT_LEAVING", f"{text}; add it once Accounts shows it no more"
                )
            return await self.shown(user, registration)
        await self._core.check_one_more_account(user)
        registration = RegistrationId(self._core.new_id())
        sealed = await self._core.vault.seal(registration, given.password)
        register = m.RegisterAccount(
            account=account,
            registration=registration,
            user=user,
            platform=given.type,
            server=given.server.strip(),
            login=given.user,
            name=given.name or f"{given.user}@{given.server}",
            sealed_password=sealed,
        )
        try:
            await self._core.command((topics.ACCOUNT_COMMANDS, account, register))
        except ApiError as error:
            # Another call of this user was first, and its registration shows: it is changed instead.
            was_first = error.code == ALREADY_REGISTERED
            if not (was_first and await self._core.models.find(c.REGISTRATIONS, own)):
                raise
            return await self.add(user, given)
        return await self.shown(user, registration)

    async def remove(self, user: UserId, given: RemoveAccount) -> Removed:
        """Stops an account's copiers and removes it, in one append."""
        registration = await self._core.registration(user, given.account_id)
        account = AccountId(str(registration["account"]))
        wishes: list[tuple[Topic, str, Message]] = []
        open_copies = m.OpenCopies.CLOSE if given.close_trades else m.OpenCopies.LEAVE
        for role in ("master", "slave"):
            where = {"user": user, role: account}
            for doc in await self._core.models.find(c.COPIERS, where, limit=None):
                if doc[f"{role}_registration"] != given.account_id:
                    continue
                reason = (
                    m.StopReason.MASTER_REMOVED if role == "master" else m.StopReason.SLAVE_REMOVED
                )
                stop = m.StopCopier(
                    copier=CopierId(str(doc["id"])),
                    master=AccountId(str(doc["master"])),
                    open_copies=open_copies,
                    reason=reason,
                )
                wishes.append((topics.COPIER_COMMANDS, stop.master, stop))
        remove = m.RemoveAccount(
            account=account,
            registration=RegistrationId(given.account_id),
            close_trades=given.close_trades,
        )
        done = await self._core.command(*wishes, (topics.ACCOUNT_COMMANDS, account, remove))
        left: list[int] = done.get("left_open", [])
        return {"result": "OK", "leftOpen": left}

    async def all(self, user: UserId, _: Parameters) -> list[Account]:
        """The user's accounts, with what is known of their sessions."""
        answer: list[Account] = await self._core.remembering.answer(
            "Accounts", user, lambda: self._all(user)
        )
        return answer

    async def _all(self, user: UserId) -> list[Account]:
        mine = await self._core.registrations_of(user)
        ids = [str(doc["account"]) for doc in mine]
        states = await self._core.models.get_many(c.ACCOUNTS, ids)
        now = self._core.clock()
        return [shapes.account(doc, states.get(str(doc["account"])), now) for doc in mine]

    async def get(self, user: UserId, given: ByAccount) -> Account:
        """One account, as Accounts shows it."""
        return await self.shown(user, given.account_id)

    async def shown(self, user: UserId, id: str) -> Account:
        return await self.of(await self._core.registration(user, id))

    async def of(self, registration: Doc) -> Account:
        """A registration as callers see it."""
        state = await self._core.models.get(c.ACCOUNTS, str(registration["account"]))
        return shapes.account(registration, state, self._core.clock())
