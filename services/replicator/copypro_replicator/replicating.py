"""One partition's masters: their copiers and open roots, and what each input does to them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from copypro import messages as m
from copypro import topics
from copypro.envelope import Envelope, consequence
from copypro.messages import Copier, OpenCopies, Seen
from copypro.ports import Outgoing, Record
from copypro.values import AccountId, CopierId, RootId
from msgspec.structs import replace

from copypro_replicator import copying
from copypro_replicator.copying import Planned
from copypro_replicator.state import CopierRecord, RootRecord, copier_key, root_key

_encoder = msgspec.json.Encoder()


class Replicating:
    """State of one partition. `step` is the only way in; what it returns must be committed with it."""

    def __init__(self) -> None:
        self.copiers: dict[CopierId, CopierRecord] = {}
        self.of_master: dict[AccountId, dict[CopierId, CopierRecord]] = {}
        self.roots: dict[AccountId, dict[RootId, RootRecord]] = {}
        self._outputs: list[Outgoing] = []
        self._touched: dict[str, msgspec.Struct | None] = {}
        self._now = datetime.min.replace(tzinfo=UTC)

    def restore(self, record: Record) -> None:
        kind, _, _ = record.key.partition("/")
        value = record.value or b""
        if kind == "copier":
            self._add(msgspec.json.decode(value, type=CopierRecord))
        else:
            root = msgspec.json.decode(value, type=RootRecord)
            self.roots.setdefault(root.account, {})[root.root] = root

    def step(
        self, inputs: Iterable[tuple[Record, Envelope]], end_offset: int, now: datetime
    ) -> list[Outgoing]:
        """All that these inputs lead to, state records included. `end_offset`: of order-events."""
        self._outputs, self._touched, self._now = [], {}, now
        for record, envelope in inputs:
            if record.topic == topics.COPIER_COMMANDS.name:
                self._command(envelope, end_offset)
            else:
                self._event(envelope, record.offset)
        name = topics.REPLICATOR_STATE.name
        for key, state in self._touched.items():
            value = None if state is None else _encoder.encode(state)
            self._outputs.append(Outgoing(name, key, value))
        return self._outputs

    # --- commands ---------------------------------------------------------------------------------

    def _command(self, envelope: Envelope, end_offset: int) -> None:
        command = envelope.message
        if isinstance(command, m.StartCopier):
            self._start(envelope, command, end_offset)
            return
        record = self.copiers.get(command.copier)
        if record is None:
            self._deny(envelope, command.master, "UNKNOWN_COPIER", "no such copier")
            return
        state = record.state
        match command:
            case m.UpdateCopier():
                self._change(envelope, record, m.CopierUpdated, options=command.options)
            case m.PauseCopier():
                self._change(
                    envelope, record, m.CopierPaused, paused=True, pause_reason=command.reason
                )
            case m.ResumeCopier():
                self._change(envelope, record, m.CopierResumed, paused=False, pause_reason="")
            case m.MapSymbol():
                name = command.mapping.master_symbol
                kept = tuple(k for k in state.mappings if k.master_symbol != name)
                self._change(envelope, record, m.CopierUpdated, mappings=(*kept, command.mapping))
            case m.UnmapSymbol():
                kept = tuple(k for k in state.mappings if k.master_symbol != command.master_symbol)
                self._change(envelope, record, m.CopierUpdated, mappings=kept)
            case m.StopCopier():
                self._stop(envelope, command, record)

    def _start(self, envelope: Envelope, command: m.StartCopier, end_offset: int) -> None:
        if command.master == command.slave:
            text = "master and slave are the same account"
            return self._deny(envelope, command.master, "SAME_ACCOUNT", text)
        known = next(
            (
                record
                for record in self.of_master.get(command.master, {}).values()
                if record.state.slave == command.slave
            ),
            None,
        )
        if known is not None and known.state.user != command.user:
            text = "another user's copier already links these two accounts"
            return self._deny(envelope, command.master, "PAIR_IN_USE", text)
        state = Copier(
            copier=known.state.copier if known is not None else command.copier,
            user=command.user,
            master=command.master,
            slave=command.slave,
            master_registration=command.master_registration,
            slave_registration=command.slave_registration,
            same_server=command.same_server,
            options=command.options,
            mappings=command.mappings or (known.state.mappings if known is not None else ()),
            paused=command.paused,
        )
        if known is not None:
            known.state = state
            record = known
        else:
            record = CopierRecord(state=state, order_offset=end_offset, started_at_utc=self._now)
            self._add(record)
        self._touched[copier_key(state.copier)] = record
        started = m.CopierStarted(
            state=state, order_offset=record.order_offset, started_at_utc=record.started_at_utc
        )
        self._tell(envelope, state.master, "", started)
        if known is None:
            self._existing(envelope, record)
        return None

    def _existing(self, envelope: Envelope, copier: CopierRecord) -> None:
        """Every root that is already open: joined where the copier wants that, else recorded as skipped."""
        for root in self.roots.get(copier.state.master, {}).values():
            if copier.state.slave in root.pairs:
                continue
            event = root.opened
            if event is None:
                if root.placed is not None:
                    planned = copying.decide_placed(root, root.placed, copier, root.offset)
                    self._emit(envelope, root, planned)
                continue
            self._emit(envelope, root, self._join(root, event, copier, root.offset))

    def _join(
        self, root: RootRecord, event: m.PositionOpened, copier: CopierRecord, offset: int
    ) -> Planned:
        planned = copying.decide_opened(root, event, copier, offset)
        skipped = planned.event
        if (
            copier.state.options.copy_existing_trades
            and isinstance(skipped, m.CopySkipped)
            and skipped.code == "EXISTING"
            and event.context is not None
        ):
            options = copier.state.options
            refused = copying.filtered(options, event.side, event.lots, event.magic, event.comment)
            if refused is not None:
                return copying.skip(root, copier.state, refused, leg=0)
            return copying.plan_open(root, event, copier, joined=True)
        return planned

    def _change(self, envelope: Envelope, record: CopierRecord, event: Any, **changes: Any) -> None:
        record.state = replace(record.state, **changes)
        self._touched[copier_key(record.state.copier)] = record
        self._tell(envelope, record.state.master, "", event(state=record.state))

    def _stop(self, envelope: Envelope, command: m.StopCopier, record: CopierRecord) -> None:
        state = record.state
        del self.copiers[state.copier]
        del self.of_master[state.master][state.copier]
        self._touched[copier_key(state.copier)] = None
        stopped = m.CopierStopped(
            copier=state.copier,
            master=state.master,
            slave=state.slave,
            user=state.user,
            reason=command.reason,
            open_copies=command.open_copies,
        )
        self._tell(envelope, state.master, "", stopped)
        if command.open_copies is OpenCopies.FOLLOW:
            return
        for root in self.roots.get(state.master, {}).values():
            decision = root.pairs.get(state.slave)
            if decision is None or decision.skipped or decision.ended:
                continue
            decision.ended = True
            self._remember(root)
            if command.open_copies is OpenCopies.CLOSE:
                order: m.SlaveOrder = m.CloseCopy(
                    copy=decision.copy, slave=state.slave, reason="COPIER_STOPPED"
                )
            else:
                order = m.DetachCopy(
                    copy=decision.copy, slave=state.slave, reason=f"COPIER_{command.reason}"
                )
            self._order(envelope, order)

    # --- order events -----------------------------------------------------------------------------

    def _event(self, envelope: Envelope, offset: int) -> None:
        event = envelope.message
        match event:
            case m.PositionOpened():
                if event.seen is not Seen.IMPORTED:
                    self._opened(envelope, event, offset)
            case m.PositionIncreased():
                self._increased(envelope, event)
            case m.PositionModified():
                root = self._root(event.account, event.root)
                if root is not None:
                    root.stop_loss, root.take_profit = event.stop_loss, event.take_profit
                    self._remember(root)
                    for slave, decision in copying.active(root):
                        modify = m.ModifyCopy(
                            copy=decision.copy,
                            slave=slave,
                            stop_loss=event.stop_loss,
                            take_profit=event.take_profit,
                        )
                        self._order(envelope, modify)
            case m.PositionReduced():
                root = self._root(event.account, event.root)
                if root is not None:
                    root.open_lots, root.ever_lots = event.open_lots, event.ever_lots
                    self._remember(root)
                    for slave, decision in copying.active(root):
                        fraction = copying.fraction_of(root, decision)
                        reduce = m.ReduceCopy(copy=decision.copy, slave=slave, fraction=fraction)
                        self._order(envelope, reduce)
            case m.PositionClosed():
                self._flat(envelope, event.account, event.root, event.reason.value)
            case m.PendingPlaced():
                self._placed(envelope, event, offset)
            case m.PendingModified():
                self._pending_modified(envelope, event)
            case m.PendingRemoved():
                self._pending_removed(envelope, event)

    def _opened(self, envelope: Envelope, event: m.PositionOpened, offset: int) -> None:
        roots = self.roots.setdefault(event.account, {})
        root = roots.get(event.root)
        if root is None:
            root = roots[event.root] = RootRecord(
                account=event.account, root=event.root, offset=offset
            )
        root.opened = event
        root.open_lots = root.ever_lots = event.lots
        root.stop_loss, root.take_profit = event.stop_loss, event.take_profit
        self._remember(root)
        for copier in self.of_master.get(event.account, {}).values():
            if copier.state.options.copy_existing_trades:
                planned = self._join(root, event, copier, offset)
            else:
                planned = copying.decide_opened(root, event, copier, offset)
            self._emit(envelope, root, planned)

    def _increased(self, envelope: Envelope, event: m.PositionIncreased) -> None:
        root = self._root(event.account, event.root)
        if root is None:
            return
        root.open_lots, root.ever_lots = event.open_lots, event.ever_lots
        self._remember(root)
        for slave, decision in list(root.pairs.items()):
            if decision.ended:
                continue
            if decision.skipped:
                skipped = copying.skipped_again(root, event, slave)
                self._tell(envelope, root.account, f"{slave}/{event.leg}", skipped)
                continue
            copier = self.of_master.get(event.account, {}).get(decision.copier)
            self._emit(envelope, root, copying.increase(root, event, copier, slave))

    def _flat(self, envelope: Envelope, account: AccountId, root_id: RootId, reason: str) -> None:
        root = self.roots.get(account, {}).pop(root_id, None)
        if root is None:
            return
        self._touched[root_key(account, root_id)] = None
        for slave, decision in copying.active(root):
            close = m.CloseCopy(copy=decision.copy, slave=slave, reason=f"MASTER_{reason}")
            self._order(envelope, close)

    # --- pending orders -----------------------------------------------------------------------------

    def _placed(self, envelope: Envelope, event: m.PendingPlaced, offset: int) -> None:
        root = RootRecord(account=event.account, root=event.root, placed=event, offset=offset)
        self.roots.setdefault(event.account, {})[event.root] = root
        self._remember(root)
        for copier in self.of_master.get(event.account, {}).values():
            self._emit(envelope, root, copying.decide_placed(root, event, copier, offset))

    def _pending_modified(self, envelope: Envelope, event: m.PendingModified) -> None:
        root = self._root(event.account, event.root)
        if root is None or root.placed is None:
            return
        root.placed = replace(
            root.placed,
            price=event.price,
            stop_limit_price=event.stop_limit_price,
            stop_loss=event.stop_loss,
            take_profit=event.take_profit,
            expires_at_broker=event.expires_at_broker,
            expires_at_utc=event.expires_at_utc,
        )
        self._remember(root)
        for slave, decision in copying.active(root):
            modify = m.ModifyPendingCopy(
                copy=decision.copy,
                slave=slave,
                price=event.price,
                stop_limit_price=event.stop_limit_price,
                stop_loss=event.stop_loss,
                take_profit=event.take_profit,
                expires_at_utc=event.expires_at_utc,
            )
            self._order(envelope, modify)

    def _pending_removed(self, envelope: Envelope, event: m.PendingRemoved) -> None:
        root = self.roots.get(event.account, {}).pop(event.root, None)
        if root is None:
            return
        self._touched[root_key(event.account, event.root)] = None
        for slave, decision in copying.active(root):
            reason = event.reason or "REMOVED"
            remove = m.RemovePendingCopy(copy=decision.copy, slave=slave, reason=reason)
            self._order(envelope, remove)
            close = m.CloseCopy(copy=decision.copy, slave=slave, reason=f"MASTER_PENDING_{reason}")
            self._order(envelope, close)

    # --- outputs --------------------------------------------------------------------------------------

    def _emit(self, envelope: Envelope, root: RootRecord, planned: Planned) -> None:
        self._remember(root)
        if planned.event is not None:
            event = planned.event
            self._tell(envelope, root.account, f"{event.slave}/{event.leg}", event)
        if planned.order is not None:
            self._order(envelope, planned.order)

    def _tell(
        self, envelope: Envelope, master: AccountId, discriminator: str, event: m.Message
    ) -> None:
        self._outputs.append(
            consequence(
                topics.COPIER_EVENTS,
                master,
                envelope.id,
                envelope.correlation,
                discriminator,
                event,
                self._now,
            )
        )

    def _order(self, envelope: Envelope, order: m.SlaveOrder) -> None:
        self._outputs.append(
            consequence(
                topics.SLAVE_ORDERS,
                order.slave,
                envelope.id,
                envelope.correlation,
                order.copy,
                order,
                self._now,
            )
        )

    def _deny(self, envelope: Envelope, master: AccountId, code: str, message: str) -> None:
        self._tell(envelope, master, "", m.CommandDenied(code=code, message=message))

    def _add(self, record: CopierRecord) -> None:
        state = record.state
        self.copiers[state.copier] = record
        self.of_master.setdefault(state.master, {})[state.copier] = record

    def _root(self, account: AccountId, root: RootId) -> RootRecord | None:
        return self.roots.get(account, {}).get(root)

    def _remember(self, root: RootRecord) -> None:
        self._touched[root_key(root.account, root.root)] = root
