"""`copypro demo`: simulated bridges and the ring as processes of their own, real trades by the
master's hand, everything else through REST; at the end the brokers' own books are compared.
"""

from __future__ import annotations

import asyncio
import json
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from copypro import topics, wiring
from copypro.adapters.sqlite_log import SqliteLogReader
from copypro.envelope import decode
from copypro.errors import CopyProError
from copypro.values import AccountId, Platform, RootId, account_id, is_our_magic, tag_in
from msgspec import Struct
from mt_simulator.client import SimulatorControl

from copypro_standalone import demo_world, processes, replaying, tally
from copypro_standalone.auditing import Books, Finding, audit
from copypro_standalone.demo_world import MASTER, SLAVES, Member
from copypro_standalone.playing import Player
from copypro_standalone.processes import Child
from copypro_standalone.rest import Rest, RestError, Unreachable
from copypro_standalone.screen import Screen
from copypro_standalone.story import Fact
from copypro_standalone.tally import Tally

WATCHED = (topics.ORDER_EVENTS, topics.COPIER_EVENTS, topics.EXECUTIONS)
START_WITHIN_S = 20.0
SETTLE_WITHIN_S = 30.0
LOOK_EVERY_S = 0.2
ENDS_WITHIN_S = 5.0
"""How long the record may lag behind the books of slaves that are flat."""
FRESH_EVERY_S = 2.0


class Wanted(Struct, frozen=True, kw_only=True):
    once: bool
    json: bool
    seconds: float
    trades: Path | None = None
    data: Path | None = None
    picture: Path | None = None


class DemoFailed(CopyProError):
    """Something that the demo needs did not come about in time."""


class Stage(Struct, frozen=True):
    """Everything that runs."""

    simulator: Child
    ring: Child
    control: SimulatorControl
    rest: Rest
    folder: Path
    ports_note: str


async def main(wanted: Wanted) -> int:
    """0: every (master trade, copier) has one copy or one reason. 1: not so."""
    began = time.time()
    trades = replaying.load(wanted.trades or replaying.BUNDLED)
    steps = replaying.steps(trades)
    missing = demo_world.unknown(trade.symbol for trade in trades)
    if missing:
        raise DemoFailed(f"the simulated brokers do not trade {', '.join(sorted(missing))}")
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    async with AsyncExitStack() as stack:
        stage = await stack.enter_async_context(_stage(wanted.data))
        accounts = {_account(member): member for member in SLAVES}
        opens = sum(isinstance(step, replaying.Open) for step in steps)
        screen = Screen(accounts, opens, to_stderr=wanted.json)
        if stage.ports_note:
            screen.say(stage.ports_note)
        await _copiers(stage)
        player = Player(stage.control, MASTER)
        book = Tally(_account(MASTER))
        watch = Watch(wiring.open_log_reader(stage.folder), book)
        played = asyncio.create_task(player.play(steps, wanted.seconds))
        with screen:
            while not played.done() and not stop.is_set():
                _alive(stage)
                watch.look()
                screen.update(book)
                await asyncio.wait([played], timeout=LOOK_EVERY_S)
            played.cancel()
            await asyncio.wait([played])
            if not played.cancelled():
                played.result()
            await _settled(stage, watch, book, screen, accounts)
        finding = await _audit(stage, player, book, accounts)
        legs = tally.summary(book.legs_ms)
        screen.report(book, finding, legs)
        if wanted.picture is not None:
            screen.save(wanted.picture)
        if not wanted.once and not stop.is_set():
            await _stay(stage, screen, player, stop)
    if wanted.json:
        print(json.dumps(_summary(finding, legs, book, began)), flush=True)
    return 0 if finding.is_clean else 1


class Watch:
    """Reads what the ring made durable, as any other process may."""

    def __init__(self, reader: SqliteLogReader, book: Tally) -> None:
        self._reader, self._book = reader, book
        self._offsets = {topic.name: 0 for topic in WATCHED}

    def look(self) -> None:
        for topic in WATCHED:
            for record in self._reader.records(topic.name, self._offsets[topic.name]):
                self._offsets[topic.name] = record.offset + 1
                recorded_at = datetime.fromtimestamp(record.recorded_at, UTC)
                self._book.take(Fact(decode(record), recorded_at))


@asynccontextmanager
async def _stage(data: Path | None) -> AsyncIterator[Stage]:
    """The simulated bridges and the ring, started side by side, and the world built meanwhile."""
    async with AsyncExitStack() as stack:
        if data is None:
            data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="copypro-demo-")))
        folder, logs = data / "data", data / "logs"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        logs.mkdir(exist_ok=True)
        wanted = {"MT4": 5004, "MT5": 5005, "gateway": 5020}
        ports = {name: processes.free_port(port) for name, port in wanted.items()}
        moved = [f"{name} on {ports[name]}" for name in wanted if ports[name] != wanted[name]]
        note = f"usual ports are taken: {', '.join(moved)}" if moved else ""
        env = {
            "ApiMT4": f"http://127.0.0.1:{ports['MT4']}",
            "ApiMT5": f"http://127.0.0.1:{ports['MT5']}",
            "COPYPRO_DATA": str(folder),
            "COPYPRO_HOST": "127.0.0.1",
            "COPYPRO_GATEWAY_PORT": str(ports["gateway"]),
            "COPYPRO_LOG_FORMAT": "json",
            "COPYPRO_ALERT_URL": "",
        }
        bridges = ["mt-simulator", "--empty", "--mt4-port", str(ports["MT4"])]
        bridges += ["--mt5-port", str(ports["MT5"])]
        simulator = await stack.enter_async_context(
            processes.child("the simulator", bridges, {}, logs / "simulator.log")
        )
        ring = await stack.enter_async_context(
            processes.child("the ring", ["up", "--simulated"], env, logs / "ring.log")
        )
        control = await stack.enter_async_context(SimulatorControl(env["ApiMT4"]))
        rest = await stack.enter_async_context(Rest(f"http://127.0.0.1:{ports['gateway']}"))
        stage = Stage(simulator, ring, control, rest, folder, note)
        await _answers(stage)
        yield stage


def _alive(stage: Stage) -> None:
    stage.simulator.check()
    stage.ring.check()


async def _answers(stage: Stage) -> None:
    """Waits for the simulator, builds its world, and waits for the ring to be ready."""
    deadline = time.monotonic() + START_WITHIN_S
    built = False
    while True:
        _alive(stage)
        try:
            if not built:
                await stage.control.ledger_counts()
                await demo_world.build(stage.control)
                built = True
            await stage.rest.get("/health/ready")
            return
        except (OSError, Unreachable, RestError) as error:
            if time.monotonic() > deadline:
                raise DemoFailed(f"not ready within {START_WITHIN_S:g} s: {error}") from None
            await asyncio.sleep(0.02)


def _account(member: Member) -> AccountId:
    return account_id(Platform(member.dealer.platform), member.dealer.name, member.login)


async def _copiers(stage: Stage) -> None:
    """A user, the accounts and the copiers, all through REST."""
    rest = stage.rest
    rest.key = _value(
        await rest.post(
            "/SignUp", email="demo@example.org", passwordHash=sha256(b"demo").hexdigest()
        ),
        "userKey",
    )
    members = (MASTER, *SLAVES)
    added = await asyncio.gather(*(_add(rest, member) for member in members))
    ids = {member.name: id_ for member, id_ in zip(members, added, strict=True)}
    await _connected(stage)
    for slave in SLAVES:
        await rest.post(
            "/StartByAccountId",
            masterAccountId=ids[MASTER.name],
            slaveAccountId=ids[slave.name],
            **slave.copier,
        )


async def _add(rest: Rest, member: Member) -> str:
    answer = await rest.post(
        "/AddAccount",
        name=member.name,
        type=member.dealer.platform,
        user=str(member.login),
        password=demo_world.PASSWORD,
        server=member.dealer.name,
    )
    return _value(answer, "accountId")


def _value(answer: object, name: str) -> str:
    """The original answers a bare string here, and an object there."""
    return str(answer[name]) if isinstance(answer, Mapping) else str(answer)


async def _connected(stage: Stage) -> None:
    deadline = time.monotonic() + START_WITHIN_S
    while True:
        _alive(stage)
        accounts = await stage.rest.get("/Accounts")
        waiting = [account["name"] for account in accounts if not account["connected"]]
        if not waiting:
            return
        if time.monotonic() > deadline:
            raise DemoFailed(f"not connected within {START_WITHIN_S:g} s: {', '.join(waiting)}")
        await asyncio.sleep(0.02)


async def _settled(
    stage: Stage, watch: Watch, book: Tally, screen: Screen, accounts: Mapping[AccountId, Member]
) -> None:
    """Until every pair is decided and every slave of a flat master is flat, or the time is up:
    what is missing then is what the check finds.
    """
    deadline = time.monotonic() + SETTLE_WITHIN_S
    ends_until: float | None = None
    while time.monotonic() < deadline:
        _alive(stage)
        watch.look()
        screen.update(book)
        if not book.undecided(accounts):
            books = [await _open_copies(stage.control, member) for member in accounts.values()]
            if await _master_open(stage.control):
                return
            if not any(books):
                ends_until = ends_until or time.monotonic() + ENDS_WITHIN_S
                if not book.running() or time.monotonic() > ends_until:
                    return
        await asyncio.sleep(LOOK_EVERY_S)


async def _master_open(control: SimulatorControl) -> int:
    book = await control.book(MASTER.dealer.name, MASTER.login)
    return len(book["open"])


async def _open_copies(control: SimulatorControl, member: Member) -> list[str]:
    book = await control.book(member.dealer.name, member.login)
    return [
        f"#{order['ticket']} {order['kind']} {order['lots']} {order['symbol']}"
        for order in book["open"]
        if is_our_magic(int(order["magic"]))
    ]


async def _audit(
    stage: Stage, player: Player, book: Tally, accounts: Mapping[AccountId, Member]
) -> Finding:
    books = []
    for account, member in accounts.items():
        executed: dict[str, int] = {}
        for entry in await stage.control.ledger("OrderSend", member.login):
            tag = tag_in(entry["parameters"].get("comment", ""))
            if tag is not None and entry.get("executed"):
                executed[tag] = executed.get(tag, 0) + 1
        open_copies = await _open_copies(stage.control, member)
        books.append(Books(member.name, account, executed, open_copies))
    roots = [RootId(str(ticket)) for ticket in player.opened]
    return audit(
        _account(MASTER),
        roots,
        books,
        book.pairs.values(),
        master_open=await _master_open(stage.control),
    )


async def _stay(stage: Stage, screen: Screen, player: Player, stop: asyncio.Event) -> None:
    rest = stage.rest
    screen.say("\nIt stays up. Try, in another terminal (SIMULATED):")
    for path in ("Accounts", "UserCopiers", "TradeLogsAll?limit=3"):
        screen.say(f"  curl -s -H 'Authorization: Bearer {rest.key}' '{rest.url}/{path}'")
    ticket = player.opened[-1] if player.opened else 0
    screen.say(f"  copypro explain {MASTER.login} {ticket} --data {stage.folder}")
    screen.say("Ctrl-C ends it.")
    while not stop.is_set():
        _alive(stage)
        await stage.control.tick_again()
        try:
            await asyncio.wait_for(stop.wait(), FRESH_EVERY_S)
        except TimeoutError:
            continue


def _summary(
    finding: Finding, legs: Mapping[str, Mapping[str, float]], book: Tally, began: float
) -> dict[str, object]:
    first = book.first_copy_at
    return {
        "simulated": True,
        "ok": finding.is_clean,
        "trades": finding.trades,
        "pairs": finding.pairs,
        "copies": finding.copies,
        "refused": finding.reasons,
        "partial_closes": book.reductions,
        "ends_not_recorded": book.running(),
        "problems": list(finding.problems),
        "latency_ms": legs,
        "first_copy_s": round(first.timestamp() - began, 2) if first else None,
        "seconds": round(time.time() - began, 1),
    }
