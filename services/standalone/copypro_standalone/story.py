"""What became of one trade: the log's facts about a root and its copies, put in order. Pure.

A story starts from a ticket of a master or of a slave and follows the facts by root and copy id.
It holds everything recorded: how each look saw it, each copier's decision with its numbers, each
attempt and its outcome, and the time that each leg of the way took.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from copypro import messages as m
from copypro.envelope import Envelope
from copypro.values import AccountId, CopierId, CopyId, RootId, Ticket
from msgspec import Struct

from copypro_standalone import telling

LEGS = ("seen", "planned", "sent", "filled", "recorded")
"""The way of a copy: the master's trade received, the order to the slave decided, the first byte
sent, the broker's answer, the outcome durable."""

OPENED = (m.CopyOpened,)
ENDINGS = (
    m.CopySkipped,
    m.CopyDenied,
    m.CopyOpened,
    m.CopyPendingPlaced,
    m.CopyRejected,
    m.CopyUnresolved,
    m.CopyReconciled,
    m.CopyNeedsPerson,
    m.CopyDetached,
    m.CopyClosed,
)


class Fact(Struct, frozen=True):
    """One message as it lies on the log."""

    envelope: Envelope
    recorded_at: datetime
    """When it was durable, UTC."""


class Account(Struct, frozen=True):
    id: AccountId
    platform: str
    server: str
    login: int
    names: tuple[str, ...]
    registrations: tuple[str, ...]

    @property
    def label(self) -> str:
        return f"{self.platform} {self.login} at {self.server}"


class Entry(Struct, frozen=True):
    """One line of the timeline. `at` is when it was known here, UTC."""

    at: datetime
    who: str
    what: str
    numbers: dict[str, str]
    copy: str = ""
    remedy: str = ""


class CopyStory(Struct, frozen=True):
    """One copier's part: what it decided and what came of it."""

    copy: CopyId
    copier: CopierId
    slave: str
    outcome: str
    """copied, or the code of the refusal, or unresolved."""
    tickets: tuple[Ticket, ...]
    legs_ms: dict[str, float]
    """By leg, milliseconds since the one before it; only what was recorded of the first open."""
    numbers: dict[str, str]
    remedy: str


class Story(Struct, frozen=True):
    account: str
    ticket: Ticket
    role: str
    """master, or slave: the ticket is itself a copy of ours."""
    root: str
    entries: tuple[Entry, ...]
    copies: tuple[CopyStory, ...]


def accounts(facts: Iterable[Fact]) -> dict[AccountId, Account]:
    """Every account that was ever registered, with all names and registrations it had."""
    found: dict[AccountId, Account] = {}
    for fact in facts:
        message = fact.envelope.message
        if isinstance(message, m.AccountRegistered):
            former = found.get(message.account)
            found[message.account] = Account(
                message.account,
                message.platform.value,
                message.server,
                message.login,
                (*(former.names if former else ()), message.name),
                (*(former.registrations if former else ()), message.registration),
            )
    return found


def named(text: str, known: dict[AccountId, Account]) -> list[Account]:
    """The accounts that a person may mean by a registration's id, an account's id or a login."""
    return [
        account
        for account in known.values()
        if text in (account.id, str(account.login)) or text in account.registrations
    ]


def tell(
    account: Account, ticket: Ticket, known: dict[AccountId, Account], facts: Iterable[Fact]
) -> Story | None:
    """The whole story of the ticket, from facts in log order per topic; None: nobody saw it."""
    all_facts = list(facts)
    found = _as_slave(account.id, ticket, all_facts)
    role = "slave" if found else "master"
    if found is None:
        root = _as_master(account.id, ticket, all_facts)
        if root is None:
            return None
        found = _Subject(account.id, root, None)
    mine = [fact for fact in all_facts if _belongs(fact.envelope.message, found)]
    # Facts of the same moment keep the order of the way: seen before planned before sent.
    mine.sort(key=lambda fact: fact.recorded_at)
    entries = tuple(_entries(mine, known))
    copies = tuple(_copies(mine, known))
    return Story(account.label, ticket, role, found.root, entries, copies)


def legs_ms(
    seen: datetime,
    planned: datetime | None,
    outcome: m.Outcome,
    recorded: datetime,
) -> dict[str, float]:
    """Milliseconds of each leg; a leg without both of its ends is left out."""
    times = (seen, planned, outcome.sent_at_utc, outcome.answered_at_utc, recorded)
    legs: dict[str, float] = {}
    last = seen
    for name, moment in zip(LEGS[1:], times[1:], strict=True):
        if moment is not None:
            legs[name] = (moment - last).total_seconds() * 1000
            last = moment
    legs["total"] = (recorded - seen).total_seconds() * 1000
    return legs


class _Subject(Struct, frozen=True):
    master: AccountId
    root: RootId
    copy: CopyId | None
    """Set: only this copy's part."""
    slave: AccountId | None = None


def _as_slave(account: AccountId, ticket: Ticket, facts: Iterable[Fact]) -> _Subject | None:
    for fact in facts:
        message = fact.envelope.message
        if (
            isinstance(message, m.Execution)
            and message.slave == account
            and _ticket(message) == ticket
        ):
            return _Subject(message.master, message.root, message.copy, account)
    return None


def _as_master(account: AccountId, ticket: Ticket, facts: Iterable[Fact]) -> RootId | None:
    """The newest root that had this ticket: numbers may come again after years."""
    newest: RootId | None = None
    for fact in facts:
        message = fact.envelope.message
        if (
            getattr(message, "account", None) == account
            and getattr(message, "root", None) is not None
            and getattr(message, "ticket", None) == ticket
        ):
            newest = message.root
    return newest


def _ticket(message: m.Execution) -> Ticket | None:
    if isinstance(message, m.CopyReconciled):
        return message.found.ticket if message.found is not None else None
    ticket: Ticket | None = getattr(message, "ticket", None)
    return ticket


def _belongs(message: object, subject: _Subject) -> bool:
    copy = getattr(message, "copy", None)
    root = getattr(message, "root", None)
    if isinstance(message, m.OrderEvent):
        account = message.account if not isinstance(message, m.CommandDenied) else None
        if account == subject.master and root == subject.root:
            return True
        # The slave's own look at a copy.
        return copy is not None and copy == subject.copy
    if copy is None:
        return False
    if subject.copy is not None:
        return bool(copy == subject.copy)
    if root is not None:
        master = getattr(message, "master", None)
        return bool(root == subject.root and master == subject.master)
    return False


def _entries(facts: Iterable[Fact], known: dict[AccountId, Account]) -> Iterator[Entry]:
    for fact in facts:
        message = fact.envelope.message
        yield Entry(
            fact.recorded_at,
            _who(message, known),
            telling.sentence(message),
            telling.numbers(message),
            getattr(message, "copy", None) or "",
            getattr(message, "remedy", ""),
        )


def _who(message: object, known: dict[AccountId, Account]) -> str:
    id_: AccountId | None = getattr(message, "slave", None) or getattr(message, "account", None)
    if id_ is None:
        return ""
    account = known.get(id_)
    return account.label if account else id_


def _copies(facts: Iterable[Fact], known: dict[AccountId, Account]) -> Iterator[CopyStory]:
    parts: dict[CopyId, list[Fact]] = {}
    seen: datetime | None = None
    for fact in facts:
        message = fact.envelope.message
        if isinstance(message, (m.CopyPlanned, m.CopySkipped, m.Execution)):
            parts.setdefault(message.copy, []).append(fact)
        elif isinstance(message, m.PositionOpened) and message.copy is None:
            seen = message.seen_at_utc
    for copy, part in parts.items():
        yield _copy(copy, part, seen, known)


def _copy(
    copy: CopyId, facts: list[Fact], seen: datetime | None, known: dict[AccountId, Account]
) -> CopyStory:
    first = facts[0].envelope.message
    planned: datetime | None = None
    legs: dict[str, float] = {}
    outcome, figures, remedy = "planned", {}, ""
    tickets: dict[Ticket, None] = {}
    for fact in facts:
        message = fact.envelope.message
        if isinstance(message, m.CopyPlanned) and planned is None:
            planned = fact.recorded_at
        if isinstance(message, m.AttemptStarted):
            seen = seen or message.seen_at_utc
        if isinstance(message, m.CopyOpened) and not legs and seen is not None:
            legs = legs_ms(seen, planned, message, fact.recorded_at)
        if isinstance(message, m.Execution) and (ticket := _ticket(message)) is not None:
            tickets[ticket] = None
        if isinstance(message, ENDINGS):
            outcome = telling.outcome(message)
            figures, remedy = telling.numbers(message), getattr(message, "remedy", "")
    return CopyStory(
        copy,
        first.copier,
        _who(first, known),
        outcome,
        tuple(tickets),
        legs,
        figures,
        remedy,
    )
