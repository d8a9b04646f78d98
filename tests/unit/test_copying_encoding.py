"""What is encoded the short way is byte for byte what the plain way gives; records nobody can read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from copypro import messages as m
from copypro import topics
from copypro.envelope import SCHEMA_VERSION, Consequences, caused, encode, encoded, fact
from copypro.errors import BadRecord
from copypro.messages import Seen
from copypro.options import CopierOptions, PendingMode
from copypro.ports import Record
from copypro.values import CopyId, copy_id, digest
from copypro_replicator.replicating import UNHEEDED, Replicating
from hypothesis import given as each
from hypothesis import strategies as st

from tests.examples import examples
from tests.unit.copying_builders import (
    CONTEXT,
    COPY,
    MASTER,
    ROOT,
    SLAVE,
    T0,
    D,
    closed,
    desk,
    filled,
    increased,
    opened,
    outgoing,
    placed,
    start,
)


@pytest.mark.parametrize(
    "message",
    [
        m.CloseCopy(copy=COPY, slave=SLAVE, reason="MASTER_Client"),
        m.ReduceCopy(copy=COPY, slave=SLAVE, fraction=D(1) / D(3)),
        m.ModifyCopy(copy=COPY, slave=SLAVE, stop_loss=None, take_profit=D("1.20")),
    ],
)
def test_a_consequence_encoded_the_short_way_is_the_plain_one(message: m.SlaveOrder) -> None:
    cause = fact(opened(), T0, "it")
    short = Consequences(cause.id, cause.correlation, T0.isoformat()).encode(
        topics.SLAVE_ORDERS, SLAVE, COPY, message
    )
    plain = encode(topics.SLAVE_ORDERS, SLAVE, caused(cause, COPY, message, T0))
    assert short == plain
    assert list(short.headers) == list(plain.headers)


def test_a_message_with_encoded_parts_has_the_same_bytes() -> None:
    options = CopierOptions(risk_value=D("0.50"), filter_comment_value='ü"\n')
    plain = desk(start(**_changed(options))).when(opened())[1]
    parts = msgspec.structs.replace(plain, context=encoded(CONTEXT), options=encoded(options))
    assert msgspec.json.encode(parts) == msgspec.json.encode(plain)


def test_what_the_replicator_writes_is_what_plain_encoding_writes() -> None:
    given = desk(
        start(pending_mode=PendingMode.MIRROR, risk_value=D("0.50"), filter_comment_value="ü"),
        placed(),
        filled(),
        increased(),
        closed(),
    )
    assert len(given.written) == len(given.told) > 7
    for written, told in zip(given.written, given.told, strict=True):
        assert encode(topics.BY_NAME[written.topic], written.key, told) == written


@examples(300)
@each(root=st.text(max_size=40))
def test_a_copys_id_is_the_digest_of_its_parts(root: Any) -> None:
    assert copy_id(MASTER, SLAVE, root) == CopyId(digest("copy", MASTER, SLAVE, root))


# --- records nobody can read ----------------------------------------------------------------------


def test_a_record_that_cannot_be_decoded_is_put_aside_and_the_next_one_is_read() -> None:
    replicating = Replicating()
    good = outgoing(start())
    bad = Record(topics.ORDER_EVENTS.name, 0, 7, MASTER, b'{"type":"Nonsense"}', good.headers)
    start_record = Record(good.topic, 0, 0, good.key, good.value, good.headers)
    letter, started, state = replicating.step([bad, start_record], 8, T0)
    assert (letter.topic, letter.key) == (topics.DEAD_LETTERS.name, MASTER)
    told = msgspec.json.decode(letter.value or b"", type=m.DeadLetter)
    assert (told.topic, told.offset) == (topics.ORDER_EVENTS.name, 7)
    assert "Nonsense" in told.reason
    assert (started.headers["type"], state.topic) == ("CopierStarted", "replicator-state")


@pytest.mark.parametrize("kind", ["PositionOpened", "EquityRecorded"])
def test_a_record_of_a_newer_version_stops_everything_behind_it(kind: str) -> None:
    out = outgoing(opened())
    headers = {**out.headers, "version": str(SCHEMA_VERSION + 1), "type": kind}
    record = Record(out.topic, 0, 3, out.key, out.value, headers)
    with pytest.raises(BadRecord, match="newer version: upgrade") as raised:
        Replicating().step([record], 4, T0)
    assert raised.value.newer


def test_what_is_unheeded_names_order_events_and_leads_to_nothing() -> None:
    kinds = {kind.__name__ for kind in m.OrderEvent.__args__}
    heeded = {
        "PositionOpened",
        "PositionIncreased",
        "PositionModified",
        "PositionReduced",
        "PositionClosed",
        "PendingPlaced",
        "PendingModified",
        "PendingRemoved",
        "AccountRemoved",
        "AccountUpdated",
        "AccountRefused",
    }
    assert kinds - heeded == UNHEEDED
    fill = m.PendingFilled(account=MASTER, root=ROOT, ticket=filled().ticket, seen_at_utc=T0)
    assert desk(start()).when(fill, opened(seen=Seen.IMPORTED)) == []


def _changed(options: CopierOptions) -> dict[str, Any]:
    return {name: getattr(options, name) for name in options.__struct_fields__}
