"""What the replicator remembers: a record per copier, one per open root of a master, and one per account
with a registration in whose name nothing may be copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

import msgspec
from copypro import topics
from copypro.envelope import STATE_HEADERS, encoded, of_newer_version
from copypro.messages import Copier, Numbers, PendingPlaced, PositionOpened
from copypro.options import MagicMode
from copypro.ports import Outgoing, Record
from copypro.trading import Figures, SymbolSpec
from copypro.values import (
    AccountId,
    CopierId,
    CopyId,
    Lots,
    MessageId,
    Price,
    RegistrationId,
    RootId,
    magic_of,
    pair_of,
)
from msgspec import Struct

REMOVED = "MasterAccountRemoved"
"""Why nothing is copied in the name of a registration that is gone."""
MOST_REMOVED = 32
"""Of an account, the latest. Such a registration never comes back: what still names it is under way."""


class CopierRecord(Struct, kw_only=True, omit_defaults=True):
    state: Copier
    order_offset: int
    """Of its master's order events: what opened before it was there already."""
    started_at_utc: datetime
    joined_at_utc: datetime | None = None
    """When the trades that were there already were decided on; None: it was started paused and
    wants them (`copyExistingTrades`), so they wait until it first runs.
    """


class Decision(Struct, kw_only=True, omit_defaults=True, gc=False):
    """What was decided for one pair on one root; a planned one holds for the root's whole life."""

    copier: CopierId
    copy: CopyId
    skipped: str = ""
    """The code, or empty: planned."""
    numbers: Numbers = {}
    pending: bool = False
    """Decided when the pending order was placed: what was skipped so is decided anew at the fill."""
    base: Decimal = Decimal(1)
    """The root's fraction when the copy joined a trade that was no longer whole; its own fractions
    count from there.
    """
    ended: bool = False
    """Closed or left on request: nothing more is sent."""

    @property
    def is_followed(self) -> bool:
        return not self.skipped and not self.ended


class Undecided(Struct, kw_only=True, gc=False):
    """A root found too late waits for the rest of the look that found it, which may hold its close.
    All of a look is appended at once: it is known when the log's end of then is reached.
    """

    until_offset: int
    cause: MessageId
    correlation: MessageId
    look_at: datetime | None = None
    """When that look was taken: what its account tells of another time is of a later one."""


class RootRecord(Struct, kw_only=True, omit_defaults=True, gc=False):
    """An open root of a watched account, with every pair's decision on it."""

    account: AccountId
    root: RootId
    offset: int
    """In order-events, of its position; while it is a pending order, of its placing."""
    opened: PositionOpened | None = None
    placed: PendingPlaced | None = None
    """The pending order it was, or still is. Neither of both: see `is_seen`."""
    undecided: Undecided | None = None
    open_lots: Lots = Decimal(0)
    ever_lots: Lots = Decimal(0)
    grown_lots: Lots = Decimal(0)
    """Open when it last grew; it opened with so much if it never did."""
    grown_fraction: Decimal = Decimal(1)
    """What was left of the first leg then."""
    stop_loss: Price | None = None
    take_profit: Price | None = None
    pairs: dict[AccountId, Decision] = {}

    @property
    def is_seen(self) -> bool:
        """False: its account was removed, and nobody knows whether it stands until a look shows it again."""
        return self.opened is not None or self.placed is not None

    @property
    def fraction(self) -> Decimal:
        """What is left of the first leg. A reduction takes the same share of each leg there is; a leg
        added later loses only what is taken after it, so what is left of it is `fraction` now, by
        `fraction` when it was added. Over all legs that is what the master has open.
        """
        left = self.open_lots / self.grown_lots if self.grown_lots > 0 else Decimal(0)
        return self.grown_fraction * min(Decimal(1), left)

    @property
    def followed(self) -> Iterator[tuple[AccountId, Decision]]:
        """The pairs that copy this root."""
        return ((slave, known) for slave, known in self.pairs.items() if known.is_followed)


class BarredRecord(Struct, kw_only=True, omit_defaults=True):
    """The registrations of an account in whose name nothing may be copied now, and why: a command for a
    copier may come after what would have paused it.
    """

    account: AccountId
    why: dict[RegistrationId, str] = {}


class LiveCopier:
    """A copier in memory, with what all its copies share made once."""

    __slots__ = (
        "carries_magic", "has_filters", "id", "magic", "mappings", "options_json", "pair", "record",
        "slave", "state",
    )  # fmt: skip

    def __init__(self, record: CopierRecord) -> None:
        self.record = record
        self.state = state = record.state
        self.id, self.slave = state.copier, state.slave
        self.magic = magic_of(state.master, state.slave)
        self.pair = pair_of(state.master, state.slave)
        self.has_filters = state.options.has_filters
        self.carries_magic = state.options.copy_magic_number is MagicMode.YES
        self.options_json = encoded(state.options)
        self.mappings = {known.master_symbol: known for known in state.mappings}


class Memory:
    """One partition's copiers and open roots, and which of their records must be written."""

    def __init__(self) -> None:
        self._copiers: dict[CopierId, LiveCopier] = {}
        self._of_master: dict[AccountId, dict[AccountId, LiveCopier]] = {}
        self._roots: dict[AccountId, dict[RootId, RootRecord]] = {}
        self._undecided: dict[str, RootRecord] = {}
        self._barred: dict[AccountId, BarredRecord] = {}
        self._touched: dict[str, BarredRecord | CopierRecord | RootRecord | None] = {}
        self._specs: dict[str, SymbolSpec] = {}

    # --- copiers ------------------------------------------------------------------------------

    def copier(self, copier: CopierId) -> LiveCopier | None:
        return self._copiers.get(copier)

    def copiers_of(self, master: AccountId) -> dict[AccountId, LiveCopier]:
        """By slave: a pair has one copier."""
        return self._of_master.get(master, {})

    def put_copier(self, record: CopierRecord) -> LiveCopier:
        self._touched[_copier_key(record.state.copier)] = record
        return self._add_copier(record)

    def remove_copier(self, copier: LiveCopier) -> None:
        master = copier.state.master
        del self._copiers[copier.id]
        del self._of_master[master][copier.slave]
        if not self._of_master[master]:
            del self._of_master[master]
        self._touched[_copier_key(copier.id)] = None

    # --- registrations ------------------------------------------------------------------------

    def barred(self, account: AccountId, registration: RegistrationId) -> str:
        """Why nothing may be copied in its name; empty: it may."""
        record = self._barred.get(account)
        return "" if record is None else record.why.get(registration, "")

    def bar(self, account: AccountId, registration: RegistrationId, why: str) -> None:
        if why == self.barred(account, registration):
            return
        record = self._barred.setdefault(account, BarredRecord(account=account))
        others = {other: kept for other, kept in record.why.items() if other != registration}
        record.why = _bounded({**others, registration: why} if why else others)
        self._touched[_barred_key(account)] = record if record.why else None

    # --- roots --------------------------------------------------------------------------------

    def root(self, account: AccountId, root: RootId) -> RootRecord | None:
        known = self._roots.get(account)
        return None if known is None else known.get(root)

    def roots_of(self, account: AccountId) -> list[RootRecord]:
        return list(self._roots.get(account, {}).values())

    def put_root(self, root: RootRecord) -> None:
        key = self._add_root(root)
        self._touched[key] = root

    def remove_root(self, root: RootRecord) -> None:
        key = _root_key(root)
        known = self._roots[root.account]
        del known[root.root]
        if not known:
            del self._roots[root.account]
        self._undecided.pop(key, None)
        self._touched[key] = None

    def undecided(self, until_offset: int) -> list[RootRecord]:
        """Those of which all that was in the log when they were found has now been read."""
        return [
            root
            for root in self._undecided.values()
            if root.undecided is not None and root.undecided.until_offset <= until_offset
        ]

    def undecided_of(self, account: AccountId) -> list[RootRecord]:
        return [root for root in self._undecided.values() if root.account == account]

    # --- the log ------------------------------------------------------------------------------

    def restore(self, record: Record) -> None:
        """Errors: BadRecord for a kind that only a newer version knows."""
        value = record.value or b""
        if record.key.startswith("copier/"):
            self._add_copier(_copier_decoder.decode(value))
        elif record.key.startswith("barred/"):
            barred = _barred_decoder.decode(value)
            self._barred[barred.account] = barred
        elif record.key.startswith("root/"):
            self._add_root(_root_decoder.decode(value))
        else:
            raise of_newer_version(record)

    def changes(self) -> list[Outgoing]:
        """The state records since the last call, one per key; a tombstone for what is over."""
        name = topics.REPLICATOR_STATE.name
        changes = [
            Outgoing(name, key, None if state is None else _encoder.encode(state), STATE_HEADERS)
            for key, state in self._touched.items()
        ]
        self._touched = {}
        return changes

    # --- inside -------------------------------------------------------------------------------

    def _add_copier(self, record: CopierRecord) -> LiveCopier:
        live = LiveCopier(record)
        self._copiers[live.id] = live
        self._of_master.setdefault(record.state.master, {})[live.slave] = live
        return live

    def _add_root(self, root: RootRecord) -> str:
        key = _root_key(root)
        if root.account not in self._of_master:
            self._share(root)
        known = self._roots.get(root.account)
        if known is None:
            known = self._roots[root.account] = {}
        known[root.root] = root
        if root.undecided is not None:
            self._undecided[key] = root
        elif self._undecided:
            self._undecided.pop(key, None)
        return key

    def _share(self, root: RootRecord) -> None:
        """Most accounts have no copiers, and each of their positions brings its symbol's terms and the
        account's figures: equal ones are kept once.
        """
        opened = root.opened
        if opened is None or opened.context is None:
            return
        context = opened.context
        former = next(reversed(self._roots.get(root.account, {}).values()), None)
        figures = _figures_of(former)
        spec = context.spec if context.spec is None else self._shared_spec(context.spec)
        if figures != context.figures:
            figures = context.figures
        if spec is not context.spec or figures is not context.figures:
            context = msgspec.structs.replace(context, spec=spec, figures=figures)
            root.opened = msgspec.structs.replace(opened, context=context)

    def _shared_spec(self, spec: SymbolSpec) -> SymbolSpec:
        known = self._specs.get(spec.name)
        if known == spec:
            return known
        self._specs[spec.name] = spec
        return spec


def _figures_of(root: RootRecord | None) -> Figures | None:
    if root is None or root.opened is None or root.opened.context is None:
        return None
    return root.opened.context.figures


def _bounded(why: dict[RegistrationId, str]) -> dict[RegistrationId, str]:
    """Without the removals that came longest ago."""
    removed = [registration for registration, kept in why.items() if kept == REMOVED]
    over = set(removed[:-MOST_REMOVED])
    return {registration: kept for registration, kept in why.items() if registration not in over}


def _copier_key(copier: CopierId) -> str:
    return f"copier/{copier}"


def _barred_key(account: AccountId) -> str:
    return f"barred/{account}"


def _root_key(root: RootRecord) -> str:
    return f"root/{root.account}/{root.root}"


_encoder = msgspec.json.Encoder()
_copier_decoder = msgspec.json.Decoder(CopierRecord)
_barred_decoder = msgspec.json.Decoder(BarredRecord)
_root_decoder = msgspec.json.Decoder(RootRecord)
