"""What the calls do: wishes into commands, questions into documents. Holds no rule of trading."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import structlog
from copypro import collections as c
from copypro import messages as m
from copypro import topics
from copypro.envelope import Envelope, encode
from copypro.errors import LogFull, StoreUnavailable
from copypro.messages import Message
from copypro.options import SymbolMapping
from copypro.ports import Clock, EventLog, NewId, ReadModels, Vault
from copypro.topics import Topic
from copypro.values import (
    AccountId,
    AttemptId,
    CopierId,
    MessageId,
    Platform,
    RegistrationId,
    Ticket,
    UserId,
    account_id,
)
from msgspec import Struct

from copypro_gateway import parameters as p
from copypro_gateway import rights, shapes
from copypro_gateway.errors import DENIED_STATUS, ApiError, bad, unknown
from copypro_gateway.market import market_of
from copypro_gateway.pages import Page, newest
from copypro_gateway.statistics import TradeStats

logger = structlog.get_logger("gateway")
Doc = dict[str, Any]
MOST_ACCOUNTS = 1000
POLL_FIRST_S = 0.004
POLL_CAP_S = 0.05


class GatewaySettings(Struct, frozen=True, kw_only=True):
    platforms: frozenset[Platform]
    """Those with a bridge address."""
    require_key: bool = False
    sign_up_open: bool = True
    operator_key_hash: str = ""
    """Of the key that operators' calls need (`auth.hash_of`); empty: those calls are off."""
    visible_within_s: float = 5.0


class Pending(Exception):
    """Accepted, and not yet visible: the caller gets 202 and the command's id."""

    def __init__(self, command: str) -> None:
        super().__init__(command)
        self.command = command


class Gateway:
    def __init__(
        self,
        log: EventLog,
        models: ReadModels,
        vault: Vault,
        clock: Clock,
        new_id: NewId,
        settings: GatewaySettings,
    ) -> None:
        self._log, self._models, self._vault = log, models, vault
        self._clock, self._new_id, self._settings = clock, new_id, settings
        self._stats = TradeStats(models, clock)

    # --- commands -----------------------------------------------------------------------------

    async def command(self, *wishes: tuple[Topic, str, Message]) -> Doc:
        """Appends all in one go and returns the answer to the last once it is visible. All have the
        last one's id as their correlation: what follows goes back to one call.

        Errors: the code of a denied one; Pending after the time that a caller waits.
        """
        ids = [self._new_id() for _ in wishes]
        envelopes = [
            _wish(id, ids[-1], message, self._clock())
            for id, (_, _, message) in zip(ids, wishes, strict=True)
        ]
        outputs = [
            encode(topic, key, envelope)
            for (topic, key, _), envelope in zip(wishes, envelopes, strict=True)
        ]
        try:
            await self._log.append(outputs)
        except LogFull:
            text = "the disk is full: nothing was changed; make room and try again"
            raise ApiError(507, "DISK_FULL", text) from None
        _, account, wish = wishes[-1]
        logger.info("call", correlation=ids[-1], command=type(wish).__name__, account=account)
        answer: Doc = {}
        for envelope in envelopes:
            answer = await self.visible(envelope.id)
        return answer

    async def visible(self, command: MessageId) -> Doc:
        deadline, wait_s = self._deadline(), POLL_FIRST_S
        while True:
            try:
                done = await self._models.get(c.COMMANDS, command)
            except StoreUnavailable:
                raise Pending(command) from None  # it is recorded; when it shows, nobody can tell
            if done is not None:
                code = done.get("code")
                if code is not None:
                    status = DENIED_STATUS.get(str(code), 409)
                    raise ApiError(status, str(code), str(done.get("message")))
                return done
            if _now() > deadline:
                raise Pending(command)
            await asyncio.sleep(wait_s)
            wait_s = min(POLL_CAP_S, wait_s * 1.5)

    def _deadline(self) -> float:
        return _now() + self._settings.visible_within_s

    async def command_status(self, command: str) -> Doc:
        done = await self._models.get(c.COMMANDS, command)
        if done is None:
            return {"id": command, "done": False}
        return {"id": command, **done}

    # --- accounts -----------------------------------------------------------------------------

    async def add_account(self, user: UserId, given: p.AddAccount) -> Doc:
        """The same account added twice by one user is one; a new password replaces the old one."""
        if given.type not in self._settings.platforms:
            text = f"{given.type} is off: set Api{given.type} to the address of its bridge"
            raise ApiError(400, "PLATFORM_OFF", text)
        account = account_id(given.type, given.server, given.user)
        mine = await self._models.find(c.REGISTRATIONS, {"user": user, "account": account})
        if mine:
            registration = RegistrationId(str(mine[0]["id"]))
            sealed = await self._vault.seal(registration, given.password)
            update = m.UpdateAccount(
                account=account,
                registration=registration,
                name=given.name or None,
                sealed_password=sealed,
            )
            await self.command((topics.ACCOUNT_COMMANDS, account, update))
            return await self.account(user, registration)
        owned = await self._models.find(c.REGISTRATIONS, {"user": user}, limit=MOST_ACCOUNTS)
        if len(owned) >= MOST_ACCOUNTS:
            raise ApiError(409, "TOO_MANY_ACCOUNTS", f"at most {MOST_ACCOUNTS} accounts a user")
        registration = RegistrationId(self._new_id())
        sealed = await self._vault.seal(registration, given.password)
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
        await self.command((topics.ACCOUNT_COMMANDS, account, register))
        return await self.account(user, registration)

    async def remove_account(self, user: UserId, id: str, close_trades: bool) -> Doc:
        """Stops the account's copiers and removes it, in one append."""
        registration = await self.registration(user, id)
        account = AccountId(str(registration["account"]))
        wishes: list[tuple[Topic, str, Message]] = []
        open_copies = m.OpenCopies.CLOSE if close_trades else m.OpenCopies.LEAVE
        for role in ("master", "slave"):
            for doc in await self._models.find(c.COPIERS, {role: account}):
                if doc[f"{role}_registration"] != id:
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
            account=account, registration=RegistrationId(id), close_trades=close_trades
        )
        done = await self.command(*wishes, (topics.ACCOUNT_COMMANDS, account, remove))
        return {"result": "OK", "leftOpen": done.get("left_open", [])}

    async def accounts(self, user: UserId) -> list[Doc]:
        found = await self._models.find(c.REGISTRATIONS, {"user": user}, limit=MOST_ACCOUNTS)
        return [await self._account(doc) for doc in found]

    async def account(self, user: UserId, id: str) -> Doc:
        return await self._account(await self.registration(user, id))

    async def _account(self, registration: Doc) -> Doc:
        state = await self._models.get(c.ACCOUNTS, str(registration["account"]))
        return shapes.account(registration, state, self._clock())

    async def registration(self, user: UserId | None, id: str) -> Doc:
        """`user` None: the calls that the original documents with the id alone."""
        doc = await self._models.get(c.REGISTRATIONS, id)
        if doc is None or (user is not None and doc["user"] != user):
            raise unknown("account")
        return doc

    # --- orders -------------------------------------------------------------------------------

    async def open_orders(self, user: UserId | None, id: str) -> list[Doc]:
        registration = await self._readable(user, id)
        doc: Any = await self._models.get(c.OPEN_ORDERS, str(registration["account"]))
        return [shapes.open_order(order) for order in (doc or {}).get("orders", [])]

    async def closed_orders(self, user: UserId | None, given: p.ClosedOrders) -> Page:
        """Newest first; from inclusive, to exclusive, both on the broker's clock."""
        registration = await self._readable(user, given.account_id)
        since, until = _moment("from", given.from_), _moment("to", given.to)
        if since is not None and until is not None and since > until:
            raise bad("from", "is later than to")
        page = await newest(
            self._models,
            c.CLOSED_ORDERS,
            {"account": registration["account"]},
            "closed_at",
            since=since,
            until=until,
            limit=given.limit,
        )
        return Page([shapes.closed_order(row) for row in page.rows], page.next_to)

    async def trade_stats(
        self, user: UserId | None, given: p.TradeStats, *, charts: bool
    ) -> msgspec.Raw:
        """Statistics of what closed since `from`, in the original's shape."""
        registration = await self._readable(user, given.account_id)
        since = _moment("from", given.from_)
        return msgspec.Raw(
            await self._stats.answer(
                str(registration["account"]),
                since,
                exclude_same_bars=given.exclude_same_bars,
                charts=charts,
            )
        )

    async def _readable(self, user: UserId | None, id: str) -> Doc:
        registration = await self.registration(user, id)
        if not rights.may_read(registration):
            raise rights.not_proved("accountId", registration)
        return registration

    # --- copiers ------------------------------------------------------------------------------

    async def start(self, user: UserId, given: p.Start) -> Doc:
        """Either form; the same pair twice is the same copier. Right after AddAccount it waits for the
        logins, no longer than a call that changes something may take.
        """
        options = given.to_options()
        deadline = self._deadline()
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
        await self._refuse_loop(str(master["account"]), str(slave["account"]))
        start = m.StartCopier(
            copier=CopierId(self._new_id()),
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
        done = await self.command((topics.COPIER_COMMANDS, start.master, start))
        return {
            "copierId": done.get("copier", start.copier),
            "id": done.get("copier", start.copier),
            "masterAccountId": master["id"],
            "slaveAccountId": slave["id"],
            "srcId": master["id"],
            "dstId": slave["id"],
        }

    async def _market(self, account: str) -> m.Market:
        shown = await self._models.get(c.ACCOUNTS, account)
        return market_of(shown, await self._models.get(c.OPEN_ORDERS, account), self._clock())

    async def _side(self, user: UserId, given: p.Start, role: Any) -> Doc:
        id_ = given.master_account_id if role == "master" else given.slave_account_id
        if id_ is not None:
            return await self.registration(user, id_)
        inline = given.account(role)
        if inline is None:
            raise bad(f"{role}AccountId", "is required (or the account inline)")
        added = await self.add_account(user, inline)
        return await self.registration(user, str(added["id"]))

    async def _proved(
        self, field: str, registration: Doc, may: Callable[[Doc], bool], deadline: float
    ) -> Doc:
        """The registration once it has the right; as long as its password is being tried, until then."""
        wait_s = POLL_FIRST_S
        while not may(registration):
            if not rights.is_pending(registration) or _now() > deadline:
                if rights.may_read(registration):
                    raise rights.read_only(field)
                raise rights.not_proved(field, registration)
            await asyncio.sleep(wait_s)
            wait_s = min(POLL_CAP_S, wait_s * 1.5)
            registration = await self.registration(None, str(registration["id"]))
        return registration

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
                next_ones = await self._models.find(c.COPIERS, {"master": account})
                ahead.extend(str(doc["slave"]) for doc in next_ones)

    async def copier(self, user: UserId | None, id: str) -> Doc:
        doc = await self._models.get(c.COPIERS, id)
        if doc is None or (user is not None and doc["user"] != user):
            raise unknown("copier")
        return doc

    async def show_copier(self, user: UserId | None, id: str) -> Doc:
        return await self._show(await self.copier(user, id))

    async def user_copiers(self, user: UserId) -> list[Doc]:
        return [await self._show(doc) for doc in await self._copiers_of(user)]

    async def _copiers_of(self, user: UserId) -> Sequence[Doc]:
        return await self._models.find(c.COPIERS, {"user": user})

    async def _show(self, doc: Doc) -> Doc:
        registrations: dict[str, Doc] = {}
        for role in ("master", "slave"):
            id_ = str(doc[f"{role}_registration"])
            registrations[id_] = await self._models.get(c.REGISTRATIONS, id_) or {}
        return shapes.copier(doc, registrations)

    async def remove_copier(self, user: UserId | None, given: p.RemoveCopier) -> Doc:
        doc = await self.copier(user, given.copier_id)
        open_copies = {
            None: m.OpenCopies.FOLLOW,
            True: m.OpenCopies.CLOSE,
            False: m.OpenCopies.FOLLOW,
        }[given.close_trades]
        stop = m.StopCopier(
            copier=CopierId(given.copier_id),
            master=AccountId(str(doc["master"])),
            open_copies=open_copies,
        )
        await self.command((topics.COPIER_COMMANDS, stop.master, stop))
        return {"result": "OK"}

    async def pause_copier(self, user: UserId | None, given: p.CopierPause) -> Doc:
        doc = await self.copier(user, given.copier_id)
        copier, master = CopierId(given.copier_id), AccountId(str(doc["master"]))
        if given.paused:
            wish: Message = m.PauseCopier(copier=copier, master=master, reason=given.reason)
        else:
            await self._readable_master(doc)
            market = await self._market(master)
            wish = m.ResumeCopier(copier=copier, master=master, market=market)
        await self.command((topics.COPIER_COMMANDS, master, wish))
        return {"result": "OK"}

    async def _readable_master(self, copier: Doc) -> None:
        registration = await self.registration(None, str(copier["master_registration"]))
        if not rights.may_read(registration):
            raise rights.not_proved("masterAccountId", registration)

    async def update_copier(self, user: UserId, given: p.UpdateCopier) -> Doc:
        doc = await self.copier(user, given.copier_id)
        master = AccountId(str(doc["master"]))
        update = m.UpdateCopier(
            copier=CopierId(given.copier_id), master=master, options=given.to_options()
        )
        await self.command((topics.COPIER_COMMANDS, master, update))
        return {"result": "OK"}

    async def map_symbol(self, user: UserId | None, given: p.AddSymbolMapping) -> Doc:
        doc = await self.copier(user, given.copier_id)
        name, _, fixed = given.slave_symbol.partition("__")
        lots = given.slave_lots
        if fixed:
            try:
                lots = type(given.slave_lots or p.MOST_LOTS)(fixed)
            except ArithmeticError:
                raise bad("slaveSymbol", f"{fixed} after __ is not a volume") from None
        if lots is not None and not 0 <= lots <= p.MOST_LOTS:
            raise bad("slavelots", f"{lots} is not a volume")
        master = AccountId(str(doc["master"]))
        mapping = SymbolMapping(
            master_symbol=given.master_symbol, slave_symbol=name, slave_lots=lots or None
        )
        wish = m.MapSymbol(copier=CopierId(given.copier_id), master=master, mapping=mapping)
        await self.command((topics.COPIER_COMMANDS, master, wish))
        return {"result": "OK"}

    async def unmap_symbol(self, user: UserId | None, given: p.DeleteSymbolMapping) -> Doc:
        doc = await self.copier(user, given.copier_id)
        master = AccountId(str(doc["master"]))
        wish = m.UnmapSymbol(
            copier=CopierId(given.copier_id), master=master, master_symbol=given.master_symbol
        )
        await self.command((topics.COPIER_COMMANDS, master, wish))
        return {"result": "OK"}

    async def mapped_symbols(self, user: UserId | None, id: str) -> Doc:
        doc = await self.copier(user, id)
        names: dict[str, list[str]] = {}
        for role in ("master", "slave"):
            side = await self._models.get(c.REGISTRATIONS, str(doc[f"{role}_registration"]))
            readable = side is not None and rights.may_read(side)
            pieces = await self._models.find(c.SYMBOLS, {"account": doc[role]}) if readable else []
            names[role] = [str(n) for piece in pieces for n in piece["names"]]  # type: ignore[union-attr]
        mappings: Any = doc.get("mappings", [])
        return {
            "mappedSymbols": [
                {
                    "masterSymbol": mapping["master_symbol"],
                    "slaveSymbol": mapping["slave_symbol"],
                    "slaveLots": shapes.number(mapping.get("slave_lots")) or 0,
                }
                for mapping in mappings
            ],
            "masterSymbols": names["master"],
            "slaveSymbols": names["slave"],
        }

    # --- logs ---------------------------------------------------------------------------------

    async def trade_logs(self, user: UserId | None, id: str, limit: int) -> list[Doc]:
        """Newest first; what was skipped, denied or refused is a row with success false."""
        await self.copier(user, id)
        rows = await self._models.find(
            c.TRADE_LOGS, {"copier": id}, order_by="time", descending=True, limit=limit
        )
        return [shapes.trade_log(row) for row in rows]

    async def trade_logs_all(self, user: UserId, limit: int) -> list[Doc]:
        rows: list[Doc] = []
        for doc in await self._copiers_of(user):
            rows.extend(await self.trade_logs(user, str(doc["id"]), limit))
        rows.sort(key=lambda row: str(row["timeUTC"]), reverse=True)
        return rows[:limit]

    async def logs(self, user: UserId | None, given: p.Logs) -> list[str]:
        await self.copier(user, given.copier_id)
        rows = await self._models.find(
            c.LOGS, {"copier": given.copier_id}, order_by="time", descending=True, limit=given.limit
        )
        wanted = given.log_level
        return [
            f"{row['time']} {row['level']} {row['text']}"
            for row in rows
            if wanted is None or row["level"] == wanted
        ]

    async def alerts(self, user: UserId) -> list[Doc]:
        """Of accounts that the user may read, and of the user's own logins."""
        mine = await self._models.find(c.REGISTRATIONS, {"user": user}, limit=MOST_ACCOUNTS)
        ids = {str(doc["id"]) for doc in mine}
        readable = {str(doc["account"]) for doc in mine if rights.may_read(doc)}
        found: Sequence[Doc] = await self._models.find(c.ALERTS, {"open": True}, limit=None)
        return [
            doc
            for doc in found
            if doc["account"] in readable or doc["numbers"].get("registration") in ids
        ]

    async def unresolved(self, user: UserId) -> list[Doc]:
        mine = await self._models.find(c.REGISTRATIONS, {"user": user}, limit=MOST_ACCOUNTS)
        readable = {str(doc["account"]) for doc in mine if rights.may_read(doc)}
        found = await self._models.find(c.UNRESOLVED, {"open": True}, limit=None)
        return [doc for doc in found if doc["account"] in readable]

    async def settle(self, user: UserId, given: p.Settle) -> Doc:
        registration = await self._readable(user, given.account_id)
        if not rights.may_trade(registration):
            raise rights.read_only("accountId")
        account = AccountId(str(registration["account"]))
        ticket = None if given.ticket is None else Ticket(given.ticket)
        if given.attempt is not None:
            if given.found is True and ticket is None:
                raise bad("ticket", "is needed when the attempt did open")
            wish: Message = m.SettleUnresolved(
                account=account, attempt=AttemptId(given.attempt), ticket=ticket, by=user
            )
        elif ticket is not None:
            wish = m.SettleOtherCopier(account=account, ticket=ticket, by=user)
        else:
            raise bad("attempt", "or ticket is required: `copypro unresolved` lists them")
        await self.command((topics.ACCOUNT_COMMANDS, account, wish))
        return {"result": "OK"}


def _now() -> float:
    return asyncio.get_running_loop().time()


def _wish(id: str, correlation: str, message: Message, time: datetime) -> Envelope:
    return Envelope(
        id=MessageId(id), correlation=MessageId(correlation), time=time, message=message
    )


def _moment(field: str, value: str | None) -> str | None:
    """As stored: the broker's clock in fixed width. Errors: 400 that names the field."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise bad(field, f"{value} is not a time like 2026-01-31T13:30:00") from None
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds")
