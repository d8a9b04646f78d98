"""The topics: their names, what each carries, what its key is, and which roles read them."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from copypro import messages as m


class Topic(Struct, frozen=True):
    """`messages` is the tagged union of what it carries; None: the owner's own state records."""

    name: str
    key: str
    messages: Any = None
    compacted: bool = False
    writers: tuple[str, ...] = ()
    """The services that append to it; who reads it follows from ROLES, and anybody else may."""


ACCOUNT_COMMANDS = Topic("account-commands", "account", m.AccountCommand, writers=("gateway",))
"""What users and operators want of an account. Each ends in exactly one event that names it."""
COPIER_COMMANDS = Topic(
    "copier-commands", "master account", m.CopierCommand, writers=("gateway", "stats")
)
"""What users want of a copier, and what the protector or the end of its accounts asks. Each ends in exactly one event of
copier-events that names it.
"""
ORDER_EVENTS = Topic("order-events", "account", m.OrderEvent, writers=("account-watcher",))
"""What happened on each watched account, in the order in which it was seen: the facts that copies
and statistics are made of.
"""
ACCOUNT_SNAPSHOTS = Topic(
    "account-snapshots",
    "account",
    m.AccountSnapshot,
    compacted=True,
    writers=("account-watcher",),
)
"""How each account stands now; its age is the account's proof of life."""
ACCOUNT_SYMBOLS = Topic(
    "account-symbols",
    "account and piece, or symbol",
    m.SymbolEvent,
    compacted=True,
    writers=("account-watcher",),
)
"""The symbols that each account may trade, in bounded pieces, and the terms of those that were needed."""
SLAVE_ORDERS = Topic("slave-orders", "slave account", m.SlaveOrder, writers=("replicator",))
"""What copiers ask of a slave account. The slave's agent sizes, checks and sends."""
COPIER_EVENTS = Topic("copier-events", "master account", m.CopierEvent, writers=("replicator",))
"""What became of copiers, and for each master's trade and copier the decision to copy it or not."""
EXECUTIONS = Topic("executions", "slave account", m.ExecutionEvent, writers=("account-watcher",))
"""What was sent to a slave's broker and what came of it, denials included."""
DEAD_LETTERS = Topic(
    "dead-letters",
    "as the source",
    m.DeadLetterEvent,
    writers=("account-watcher", "replicator", "stats", "gateway"),
)
"""Records that could not be read, as they were; and that one was replayed."""
AUDIT = Topic("audit", "the same for all: one order", m.AuditEvent, writers=("gateway",))
"""Every call that may change something: who, with which key, from where, what, and its outcome."""
AUDIT_KEY = "audit"
WATCHER_STATE = Topic(
    "account-watcher-state", "as the role's", compacted=True, writers=("account-watcher",)
)
REPLICATOR_STATE = Topic(
    "replicator-state", "as the role's", compacted=True, writers=("replicator",)
)
STATS_STATE = Topic("stats-state", "as the role's", compacted=True, writers=("stats",))

TOPICS: tuple[Topic, ...] = (
    ACCOUNT_COMMANDS,
    COPIER_COMMANDS,
    ORDER_EVENTS,
    ACCOUNT_SNAPSHOTS,
    ACCOUNT_SYMBOLS,
    SLAVE_ORDERS,
    COPIER_EVENTS,
    EXECUTIONS,
    DEAD_LETTERS,
    AUDIT,
    WATCHER_STATE,
    REPLICATOR_STATE,
    STATS_STATE,
)
BY_NAME = {topic.name: topic for topic in TOPICS}


class Role(Struct, frozen=True):
    """A group of processes that share one job: what it reads and where its memory is kept.

    The inputs are co-partitioned: the same key, the same number of partitions.
    """

    name: str
    inputs: tuple[Topic, ...]
    state: Topic
    writes_elsewhere: bool = False
    """It changes something outside the log before it commits (read models), so it is given only what
    is durable. The others may be given what their own commits cannot overtake.
    """
    takes_effect_at_ends: Topic | None = None
    """A record of this input takes effect at a place in the other inputs: where it is read, their
    ends are known anew (`Partition.end_offset`).
    """


ACCOUNT_WATCHER = Role("account-watcher", (ACCOUNT_COMMANDS, SLAVE_ORDERS), WATCHER_STATE)
REPLICATOR = Role(
    "replicator",
    (COPIER_COMMANDS, ORDER_EVENTS),
    REPLICATOR_STATE,
    takes_effect_at_ends=COPIER_COMMANDS,
)
STATS = Role(
    "stats",
    (ORDER_EVENTS, ACCOUNT_SNAPSHOTS, ACCOUNT_SYMBOLS, COPIER_EVENTS, EXECUTIONS),
    STATS_STATE,
    writes_elsewhere=True,
)
ROLES = (ACCOUNT_WATCHER, REPLICATOR, STATS)
