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


ACCOUNT_COMMANDS = Topic("account-commands", "account", m.AccountCommand)
COPIER_COMMANDS = Topic("copier-commands", "master account", m.CopierCommand)
ORDER_EVENTS = Topic("order-events", "account", m.OrderEvent)
ACCOUNT_SNAPSHOTS = Topic("account-snapshots", "account", m.AccountSnapshot, compacted=True)
ACCOUNT_SYMBOLS = Topic("account-symbols", "account and piece", m.AccountSymbols, compacted=True)
SLAVE_ORDERS = Topic("slave-orders", "slave account", m.SlaveOrder)
COPIER_EVENTS = Topic("copier-events", "master account", m.CopierEvent)
EXECUTIONS = Topic("executions", "slave account", m.ExecutionEvent)
DEAD_LETTERS = Topic("dead-letters", "as the source", m.DeadLetter)
WATCHER_STATE = Topic("account-watcher-state", "as the role's", compacted=True)
REPLICATOR_STATE = Topic("replicator-state", "as the role's", compacted=True)
STATS_STATE = Topic("stats-state", "as the role's", compacted=True)

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
