"""The ports: what the services need of the world, as promises that every adapter keeps.

Each has one contract suite in tests/contract, which asks for its promises by name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime
from enum import IntEnum
from typing import Any, Protocol

from msgspec import Struct

from copypro.callbacks import Receiver
from copypro.topics import Role, Topic
from copypro.trading import (
    AccountInfo,
    CloseRequest,
    DeleteRequest,
    Done,
    History,
    ModifyRequest,
    OpenRequest,
    Quote,
    Snapshot,
    SymbolSpec,
    Update,
)
from copypro.values import Lots, MessageId, OrderKind, RegistrationId, UserId

Clock = Callable[[], datetime]
"""Now, UTC."""
Monotonic = Callable[[], float]
"""Seconds on a clock that never jumps."""
ShortOfRoom = Callable[[], int | None]
"""The bytes that are left where the log is kept, if they are so few that nothing more may be opened: a
close needs room for its attempt. None: there is enough, or it is a server's matter.
"""
NewId = Callable[[], str]
"""32 random hex digits."""


# --- the log ----------------------------------------------------------------------------------


class Outgoing(Struct, frozen=True, gc=False):
    """A record to be. `value` None on a compacted topic removes the key.

    Not tracked by the garbage collector: text and bytes form no cycles, and looking for them in
    the many records in flight took a fifth of the replicator's time.
    """

    topic: str
    key: str
    value: bytes | None
    headers: Mapping[str, str] = {}


class Record(Struct, frozen=True, gc=False):
    topic: str
    partition: int
    offset: int
    key: str
    value: bytes | None
    headers: Mapping[str, str]
    recorded_at: float = 0.0
    """When the log took it in: seconds since 1970, by the log's clock; 0 where unknown."""
    set_aside: bool = False
    """An operator named it: for its readers it is one that nobody can read."""

    @property
    def place(self) -> str:
        """Its name for people: topic/partition/offset."""
        return f"{self.topic}/{self.partition}/{self.offset}"


class EventLog(Protocol):
    async def append(self, messages: Sequence[Outgoing]) -> None:
        """All or nothing; durable on return. For producers that consume nothing (the gateway).

        Errors: LogFull (nothing was written), LogClosed.
        """

    def partitions(self, role: Role) -> AsyncIterator[Partition]:
        """Each partition, as it is assigned to this process; ends when the log closes."""

    async def close(self) -> None:
        """What was acknowledged is durable; what was not is not there. Wakes all readers."""


class Partition(Protocol):
    """One share of a role's work, owned by one process at a time. Crash-only: after any error, restore."""

    @property
    def number(self) -> int: ...

    def restore(self) -> AsyncIterator[Record]:
        """The latest record per key of the role's state topic (none removed), complete up to the
        moment this owner fenced the last one.
        """

    async def read(self) -> Sequence[Record]:
        """The next input records, in order per topic, starting after the last committed ones; waits
        until there is at least one. Durable, unless the log can promise that nothing that is
        committed in consequence becomes durable before them (never for a role that writes elsewhere).
        PartitionLost may come late: it spares work, commit is the fence.
        """

    async def commit(self, outputs: Sequence[Outgoing], consumed: Sequence[Record] = ()) -> None:
        """Outputs (state records included) visible and inputs consumed, or neither. Durable on return.

        A former owner gets PartitionLost. `consumed` is the next prefix, per topic, of what was
        read. Concurrent calls share a transaction and take effect in call order (the order in which
        they were first awaited); once one fails all later ones fail: throw memory away and restore.
        Errors: PartitionLost, LogFull (then nothing of it was written), LogClosed.
        """

    def give_up(self, reason: str) -> None:
        """For an owner that cannot go on: nothing of it takes effect any more, and the log gives the
        partition anew, to this process or another. Once it is lost this changes nothing.
        """

    def end_offset(self, topic: str) -> int:
        """The offset after the last record of an input topic in this partition, as known now."""


# --- what operators see -------------------------------------------------------------------------


class Told(Struct, frozen=True, gc=False):
    """An event and the first cause that it goes back to."""

    event: Any
    correlation: MessageId
    because_at: datetime | None = None
    """When what it answers was decided, where that is known: the plan of a slave order."""


class Journal(Protocol):
    """What became durable, in order, for operators: one line and one count per fact. Never waits,
    never raises; nothing is decided by it.
    """

    def tell(self, told: Sequence[Told], decided_at: datetime, recorded_at: datetime) -> None: ...


class Meter(Protocol):
    """What a process does with its share of the log, counted. Never waits, never raises."""

    def assigned(self, role: str) -> None: ...

    def restored(self, role: str, took_s: float) -> None: ...

    def lost(self, role: str) -> None: ...

    def committed(self, role: str, took_s: float) -> None: ...

    def commit_failed(self, role: str, error: str) -> None: ...

    def call_answered(self, call: str, status: int, took_s: float) -> None:
        """A REST call; `call` is one of the gateway's own names, never what a client wrote."""


class LogHistory(Protocol):
    """All that the log still has, read beside the running program: consumes nothing, changes nothing."""

    async def spans(self, topic: Topic) -> Mapping[int, tuple[int, int]]:
        """By partition: the first offset that is kept, and the one after the last durable record. The
        first is 0 unless records were dropped by age or size (compaction does not count).
        """

    def records(
        self, topic: Topic, spans: Mapping[int, tuple[int, int]]
    ) -> AsyncIterator[Sequence[Record]]:
        """The durable records of these partitions, from the first offset of each span up to but without
        the second, in bounded batches, in order within each partition.
        """


# --- read models ------------------------------------------------------------------------------

Scalar = str | int | float | bool | None
Json = Scalar | list["Json"] | dict[str, "Json"]
Document = dict[str, Json]


class Upsert(Struct, frozen=True, kw_only=True):
    """One source's fields of one document.

    `source` is a topic and partition, `version` the offset that led to them: a version that is not
    newer than the source's stored one changes nothing. `fields` are laid over the earlier ones of that
    source; None removes them all (and the document, once no source has fields left), for good where
    older versions are concerned.
    """

    collection: str
    id: str
    source: str
    version: int
    fields: Document | None


def newest(changes: Sequence[Upsert]) -> dict[str, int]:
    """By source, the newest version among them."""
    found: dict[str, int] = {}
    for change in changes:
        found[change.source] = max(change.version, found.get(change.source, change.version))
    return found


class Projected(Protocol):
    """What a projection needs: to write documents, and to read what it wrote.

    A document is the union of its sources' fields, in the order of the sources' names, plus `id`.
    Values are what JSON makes of them: decimals are text.
    Errors of all: StoreUnavailable (ask again; an upsert is then whole or absent), StoreRefused.
    """

    async def upsert(self, changes: Sequence[Upsert]) -> None:
        """In order; all or nothing, also for readers; durable on return. Two sources never hide each
        other's fields. Readers that ask afterwards see it.
        """

    async def source_fields(self, collection: str, id: str, source: str) -> Document | None:
        """What `source` itself last wrote, for a projection that builds on it."""


class ReadModels(Projected, Protocol):
    """Documents made from events only. Errors: as Projected's."""

    async def get(self, collection: str, id: str) -> Document | None: ...

    async def get_many(self, collection: str, ids: Collection[str]) -> dict[str, Document]:
        """Those of them that there are, by id, as they are at one moment."""

    def revision(self) -> int | None:
        """Another number whenever something may have changed: as long as it is the same, whatever was
        read since it was asked for is what would be read now. None: not known, read again. (A
        `rebuild` of another process, which ends in the same documents, need not show.)
        """

    async def find(
        self,
        collection: str,
        where: Mapping[str, Scalar] | None = None,
        *,
        order_by: str | None = None,
        descending: bool = False,
        since: Scalar = None,
        until: Scalar = None,
        limit: int | None = 1000,
    ) -> list[Document]:
        """Documents whose top-level fields equal `where` (None equals nothing), as they are at one
        moment; with `order_by`, sorted by that field, of which `since` is the first value and `until`
        the first one no longer given; else, and among equals, by id. Fields used here must be declared
        in `copypro.collections`; others: ValueError. `limit` None: all.
        """

    async def reached(self) -> Mapping[str, int]:
        """The newest version of each source in them."""

    async def rebuild(self) -> Rebuild:
        """Begins read models anew, empty, beside these. One that was begun before can no longer switch."""

    async def close(self) -> None: ...


class Rebuild(Projected, Protocol):
    """Read models that are being made anew from the log, which nobody sees before `switch`. Durable
    then, not before. Errors: as Projected's.
    """

    async def hold(self) -> Mapping[str, int]:
        """From here to `switch` or `discard` nothing is written to the live ones, whose writers wait;
        the newest version of each source in them, so that these can be brought at least as far.
        """

    async def switch(self) -> None:
        """Everybody, in all processes, reads and writes these from now on; the former ones are dropped.
        Errors: StoreRefused (held for too long, or another rebuild was begun): nothing has changed.
        """

    async def discard(self) -> None:
        """Given up: the live ones go on. After a switch it changes nothing."""


# --- users and secrets ------------------------------------------------------------------------


class User(Struct, frozen=True, kw_only=True):
    id: UserId
    email: str
    password_hash: str
    created_at: datetime


class KeyScope(IntEnum):
    """What a key may do; each includes the ones before it."""

    READ = 1
    """Look at what is the user's."""
    TRADE = 2
    """Copiers: start, change, pause, remove."""
    ADMIN = 3
    """Accounts and their passwords, and the user's own keys."""


class UserKey(Struct, frozen=True, kw_only=True):
    """`hash` of the key; the key itself is never stored."""

    hash: str
    user: UserId
    name: str
    created_at: datetime
    scope: KeyScope = KeyScope.ADMIN
    expires_at: datetime | None = None
    """From then on it is as if it were not there; None: never."""


class Invite(Struct, frozen=True, kw_only=True):
    """One sign-up for whoever has its code; `hash` of the code, which is never stored."""

    hash: str
    created_at: datetime
    expires_at: datetime


class Reset(Struct, frozen=True, kw_only=True):
    """A new password for whoever has its key; `hash` of the key, which is never stored."""

    hash: str
    user: UserId
    created_at: datetime
    expires_at: datetime


class Users(Protocol):
    """Never rebuilt from the log. E-mails are compared without regard to case."""

    async def add(self, user: User, invite: str | None = None) -> None:
        """`invite`: an invite's hash, used up by this: the user is added and it is gone, or neither.

        Errors: AlreadyThere (the e-mail), NoInvite (unknown, used, or over when the user was made).
        """

    async def by_email(self, email: str) -> User | None: ...

    async def find(self, search: str, first: int, most: int) -> list[User]:
        """A page of those whose e-mail has this text in it, in any case, by e-mail."""

    async def add_reset(self, reset: Reset) -> None:
        """In place of the user's earlier one."""

    async def set_password(
        self, reset: str, password_hash: str, now: datetime, ended: Collection[str]
    ) -> UserId | None:
        """`reset`: a reset's hash, used up by this. The password is set, the reset is gone and so are the
        user's keys of these names, or nothing is. None: it is unknown, used or over.
        """

    async def invite(self, invite: Invite) -> None: ...

    async def add_key(self, key: UserKey) -> None: ...

    async def key(self, hash: str) -> UserKey | None:
        """Also one that is over: who asks knows the time."""

    async def keys(self, user: UserId) -> list[UserKey]:
        """Oldest first."""

    async def remove_key(self, hash: str) -> None:
        """For good: nobody who asks afterwards finds it. One that is not there is no error."""

    async def close(self) -> None: ...


class Rewrapped(Struct, frozen=True, kw_only=True):
    keys: int
    """Data keys that are there."""
    rewrapped: int
    """Of them, those that were (or, in a dry run, would be) under an older key."""


class Repeats(Protocol):
    """What was answered, for a caller who asks the same once more; each until its time is over. Never
    rebuilt from the log. Errors: StoreUnavailable, StoreRefused.
    """

    async def claim(self, key: str, text: str, now: datetime, until: datetime) -> str | None:
        """What is kept under this key; None: nothing was, and now `text` is. Of many who claim at once
        one gets None. Durable on return. Forgets what is over.
        """

    async def keep(self, key: str, text: str, until: datetime) -> None:
        """In place of what is there. Durable on return."""

    async def forget(self, key: str) -> None: ...

    async def close(self) -> None: ...


class Vault(Protocol):
    """One data key per registration; destroying it makes every sealed secret of it unreadable."""

    async def seal(self, registration: RegistrationId, secret: str) -> str:
        """The secret, sealed for this registration and no other; makes its data key on first use,
        durable on return.
        """

    async def seal_known(self, registration: RegistrationId, secret: str) -> str:
        """As `seal`, under the data key that is there: none is made. Errors: KeyDestroyed."""

    async def unseal(self, registration: RegistrationId, sealed: str) -> str:
        """Errors: KeyDestroyed, SecretsError (sealed for another registration, tampered with, or under
        a key of the operator's that is not at hand).
        """

    async def destroy(self, registration: RegistrationId) -> None: ...

    async def rewrap(self, *, dry_run: bool = False) -> Rewrapped:
        """Every data key under the newest of the operator's keys, while others use the vault; on
        return the older keys open nothing here, and are needed no more. Again after a failure: what
        is done stays done. Errors: SecretsError (one does not open with the keys at hand).
        """

    async def close(self) -> None: ...


# --- users' own addresses ---------------------------------------------------------------------


class NotTaken(Struct, frozen=True):
    """Why a receiver did not take a post, without address or secret."""

    reason: str
    refused: bool = False
    """It answered that it does not want this one; of another it may think otherwise."""


class Post(Protocol):
    """One try to post JSON to an address."""

    async def __call__(self, receiver: Receiver, id: str, body: bytes) -> NotTaken | None:
        """None: it was taken. `id` tells a repeat."""


# --- mail -------------------------------------------------------------------------------------


class Email(Struct, frozen=True, kw_only=True):
    """Its text may hold a secret: it is for its reader alone."""

    to: str
    subject: str
    text: str


class Mail(Protocol):
    async def send(self, email: Email) -> None:
        """Taken by whoever carries it on. Errors: MailUnavailable, which says nothing of the text."""


# --- MetaTrader -------------------------------------------------------------------------------


class Credentials(Struct, frozen=True, kw_only=True):
    """Its repr must never show the password."""

    server: str
    login: int
    password: str

    def __repr__(self) -> str:
        return f"Credentials(server={self.server!r}, login={self.login}, password=***)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [("server", self.server), ("login", self.login), ("password", "***")]


class TerminalLimits(Struct, frozen=True, kw_only=True):
    connect_s: float = 60.0
    read_s: float = 20.0
    trade_call_s: float = 65.0
    """Longer than the bridge's own 60 s, so that its answer wins."""
    connection_idle_s: float = 10.0
    """A trade call leaves only on a connection that was alive this recently."""
    ping_s: float = 25.0
    synchronised_s: float = 60.0
    """How long a snapshot may wait for the session to be synchronised."""
    frame_bytes: int = 16_000_000
    read_bytes: int = 64_000_000
    """Of an answer, unpacked: a history that comes as a whole is the largest."""
    first_byte_s: float = 0.25
    """A trade call without a connection by then is not sent: its attempt's commit grew stale."""
    history_page_orders: int = 1000


class Terminal(Protocol):
    """One account at one bridge. Speaks our words; translates, never decides, never retries a change.

    Reads (connect, snapshot, history, symbol, quote …) raise CredentialsRefused, SessionLost,
    Refused or Unavailable. The four trade calls return Done or raise Refused, NotSent or
    OutcomeUnknown, and nothing else but CancelledError; each leaves at most one request on the
    wire, whatever breaks. An answer whose code is of the class "unknown" is OutcomeUnknown.
    No exception, repr or log line carries a password, a session token or a URL.
    """

    async def connect(self) -> AccountInfo:
        """A session for the account, one try. Reconnecting uses the old session where it still lives."""

    async def prove(self) -> AccountInfo:
        """Whether these credentials log in, one try, in a session of its own that is ended at once:
        one that lives already proves nothing, and stays as it is. This terminal stays unconnected.
        """

    async def snapshot(self) -> Snapshot:
        """One consistent look at a session that is connected, synchronised and ours. Raises
        Unavailable rather than giving a list that might be empty or short for another reason.
        """

    def updates(self) -> AsyncIterator[Update]:
        """The streams of orders and quotes, from now on; reopens them by itself (StreamLost, then
        StreamOpened). A malformed or oversized frame is skipped and counted as a StreamLost, since
        what it said is only in a snapshot. Quotes are conflated: only the newest per symbol waits.
        """

    async def history(self, since_broker: datetime, until_broker: datetime) -> History:
        """Everything that ended in the span [since, until), read in pages, complete or an error."""

    async def symbols(self) -> Sequence[str]: ...

    async def symbol(self, name: str) -> SymbolSpec:
        """Errors: Refused (INVALID_SYMBOL)."""

    async def quote(self, name: str, max_age_s: float) -> Quote: ...

    async def margin(self, symbol: str, kind: OrderKind, lots: Lots) -> Lots | None:
        """Margin needed in the account's currency; None where the platform does not tell."""

    async def subscribe(self, names: Sequence[str]) -> None:
        """Quotes of these symbols arrive among the updates, also after a reconnect."""

    def is_warm(self) -> bool:
        """A connection for a trade call is open, alive and idle for less than the limit."""

    async def warm(self) -> None:
        """Makes `is_warm` true. Errors: Unavailable, SessionLost."""

    async def open(self, request: OpenRequest) -> Done: ...

    async def modify(self, request: ModifyRequest) -> Done: ...

    async def close(self, request: CloseRequest) -> Done: ...

    async def delete(self, request: DeleteRequest) -> Done: ...

    async def check(self) -> None:
        """Proof of life of the session, also keeping it alive. Errors: as reads."""

    async def disconnect(self) -> None:
        """Ends streams and connections here. The bridge's session is left to others that use it."""


TerminalFactory = Callable[[Credentials], Terminal]
