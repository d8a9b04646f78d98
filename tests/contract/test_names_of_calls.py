"""How a call may be named, and what is told of one that there is not."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.stores import Place, SqlitePlace
from tests.gateway import OPERATOR, Calling, a_gateway


@pytest.fixture
async def calling(tmp_path: Path) -> AsyncIterator[Calling]:
    place: Place = SqlitePlace(tmp_path)
    async with a_gateway(place, tmp_path, require_key=True) as made:
        yield made
    await place.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path",
    [
        "/Manager/Users",
        "/manager/users",
        "/MANAGER/USERS",
        "/readme",
        "/Manager/Users/",
        "/manager/users/",
    ],
)
async def test_a_call_is_named_in_any_case(calling: Calling, path: str, method: str) -> None:
    """The original takes them so, and its clients write them so. A redirect from a slash at the end would
    lead those who come by a proxy's TLS to plain HTTP, with their key.
    """
    answer = await calling.call(path, key=OPERATOR, method=method)
    assert answer.status_code == 200


async def test_the_limit_of_a_report_does_not_depend_on_how_the_call_is_written(
    calling: Calling,
) -> None:
    key = (await calling.call("/SIGNUP", {"email": "a@b.de", "passwordHash": "7" * 64})).json()
    headers = {"Authorization": f"Bearer {key['userKey']}"}
    file = b" " * 1_100_000
    answer = await calling.client.post("/importstatement", content=file, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_STATEMENT")


@pytest.mark.parametrize("path", ["/NoSuchCall", "/commands", "/Accounts/7"])
async def test_what_is_no_call_is_told_where_they_are(calling: Calling, path: str) -> None:
    answer = await calling.client.get(path)
    assert answer.status_code == 404
    assert answer.json() == {"code": "UNKNOWN_CALL", "message": "there is no such call: see /docs"}


async def test_the_address_alone_leads_to_the_calls_under_whatever_path_it_is_served(
    calling: Calling,
) -> None:
    answer = await calling.client.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "docs")


async def test_each_call_of_the_list_leads_to_where_it_is_tried(calling: Calling) -> None:
    page = (await calling.client.get("/ReadMe")).text
    operations = [call for methods in calling.paths.values() for call in methods.values()]
    there = {f"docs#/{call['tags'][0]}/{call['operationId']}" for call in operations}
    links = re.findall(r'<th><a href="(.*?)">', page)
    assert len(links) == len(calling.paths)
    assert set(links) <= there


@pytest.mark.parametrize(
    ("method", "path", "there"),
    [
        ("PUT", "/Accounts", "GET or POST"),
        ("GET", "/ImportStatement", "POST"),
        ("POST", "/Commands/none", "GET"),
    ],
)
async def test_another_method_is_told_which_there_are(
    calling: Calling, method: str, path: str, there: str
) -> None:
    answer = await calling.client.request(method, path)
    assert answer.status_code == 405
    assert answer.json() == {
        "code": "WRONG_METHOD",
        "message": f"this takes no {method}: use {there}",
    }


@pytest.mark.parametrize("path", ["/Accounts", "/RemoveAccount", "/Start"])
async def test_who_asks_for_a_call_s_head_is_told_that_there_is_none(
    calling: Calling, path: str
) -> None:
    """As the original's server tells it: what a GET would change is changed by no HEAD."""
    answer = await calling.client.head(path)
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "GET, POST"


@pytest.mark.parametrize("path", ["/docs", "/openapi.json"])
async def test_a_page_has_a_head(calling: Calling, path: str) -> None:
    assert (await calling.client.head(path)).status_code == 200
    answer = await calling.client.post(path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD")


async def test_a_post_takes_what_its_address_has_too_and_the_body_wins(calling: Calling) -> None:
    """Programs move from GET to POST by their method alone, with an empty body."""
    wish = {"email": "a@b.de", "passwordHash": "7" * 64}
    answer = await calling.client.post("/SignUp", params=wish)
    assert answer.status_code == 200, answer.text
    given = {"email": "another@b.de", "PASSWORDHASH": wish["passwordHash"]}
    answer = await calling.client.post("/SignIn", params=given, json={"email": wish["email"]})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("empty", ["", None])
async def test_what_is_empty_in_a_body_hides_nothing_of_its_address(
    calling: Calling, empty: str | None
) -> None:
    """Clients fill in each field that they know; an empty value is an absent one wherever it stands."""
    wish = {"email": "a@b.de", "passwordHash": "7" * 64}
    body = {"passwordHash": wish["passwordHash"], "email": empty}
    answer = await calling.client.post("/SignUp", params=wish, json=body)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("header", ["Bearer {key}", "bearer {key}", "BEARER  {key}", "{key}"])
async def test_a_key_comes_with_its_scheme_in_any_case(calling: Calling, header: str) -> None:
    key = await a_key(calling)
    headers = {"Authorization": header.format(key=key)}
    assert (await calling.client.get("/Accounts", headers=headers)).status_code == 200


@pytest.mark.parametrize("header", ["Basic dXNlcjpwYXNz", "Digest username=x", "Bearer", ""])
async def test_what_is_for_a_proxy_in_front_is_no_key(calling: Calling, header: str) -> None:
    """It asks for a name and a password of its own, and the call has its userKey."""
    given, headers = {"userKey": await a_key(calling)}, {"Authorization": header}
    answer = await calling.client.get("/Accounts", params=given, headers=headers)
    assert answer.status_code == 200, answer.text


async def a_key(calling: Calling) -> str:
    answer = await calling.call("/SignUp", {"email": "a@b.de", "passwordHash": "7" * 64})
    key: str = answer.json()["userKey"]
    return key
