"""What ImportStatement reads from its address, whose body is a report."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.contract.stores import Place, SqlitePlace
from tests.gateway import a_gateway, a_user
from tests.unit import statement_writer as write

HALF_READABLE = write.mt4_statement(
    [
        write.mt4_operation(1, "2024.04.30 09:00:00", "balance", "1000.00"),
        write.mt4_operation(2, "2024.05.01 09:00:00", "balance", "ten"),
    ],
    [("Balance", "1000.00")],
).encode()


Posting = Callable[[str], Awaitable[tuple[int, str]]]


@pytest.fixture
async def posting(tmp_path: Path) -> AsyncIterator[Posting]:
    """Status and message of a report, a row of which cannot be read, with this address."""
    place: Place = SqlitePlace(tmp_path)
    async with a_gateway(place, tmp_path, require_key=True) as calling:
        user = await a_user(place, "mine")

        async def post(query: str) -> tuple[int, str]:
            address = f"/ImportStatement?{query.replace('KEY', user.key)}"
            headers = {} if "userKey" in query else {"Authorization": f"Bearer {user.key}"}
            answer = await calling.client.post(address, content=HALF_READABLE, headers=headers)
            return answer.status_code, answer.json().get("message", "")

        yield post
    await place.close()


@pytest.mark.parametrize("lenient", ["lenient=true", "Lenient=TRUE", "lenient=0&LENIENT=1"])
async def test_lenient_is_written_as_any_parameter(posting: Posting, lenient: str) -> None:
    assert await posting(lenient) == (202, "")


@pytest.mark.parametrize("strict", ["", "lenient=", "lenient=false"])
async def test_else_what_cannot_be_read_is_told(posting: Posting, strict: str) -> None:
    status, message = await posting(strict)
    assert status == 400
    assert "expected a number" in message


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("leniant=true", "leniant: is no parameter of this call: lenient is"),
        ("lenient=maybe", "lenient: is neither true nor false"),
    ],
)
async def test_what_is_no_such_parameter_is_refused(
    posting: Posting, query: str, told: str
) -> None:
    assert await posting(query) == (400, told)


async def test_a_key_is_taken_from_the_address_too(posting: Posting) -> None:
    assert await posting("userKey=KEY&lenient=true") == (202, "")
    status, _ = await posting("userKey=&lenient=true")
    assert status == 401
