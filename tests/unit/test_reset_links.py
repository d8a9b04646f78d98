"""Where a letter with the key of a new password may link to."""

from __future__ import annotations

import pytest
from copypro_gateway.subjects.passwords import is_below

HOST = "https://mine.example.com"


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("base", "url"),
    [
        (HOST, "https://mine.example.com/"),
        (HOST, "https://mine.example.com#"),
        (HOST, "https://mine.example.com/reset?key="),
        (HOST, "https://MINE.example.com/#reset="),
        (HOST, "https://mine.example.com?key="),
        (f"{HOST}:8443", "https://mine.example.com:8443/reset/"),
        (f"{HOST}/app", "https://mine.example.com/app?key="),
        (f"{HOST}/app", "https://mine.example.com/app/reset/"),
    ],
)
def test_pages_below_the_operator_s_address_are_linked(base: str, slash: str, url: str) -> None:
    assert is_below(url, base + slash)


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    ("base", "url"),
    [
        ("", "https://mine.example.com/"),
        (HOST, "https://mine.example.com"),
        (f"{HOST}:84", "https://mine.example.com:84"),
        (HOST, "https://mine.example.com.evil.net/"),
        (HOST, "https://mine.example.com@evil.net/"),
        (HOST, "https://mine.example.com:x@evil.net/"),
        (HOST, "https://you@mine.example.com/"),
        (HOST, "https://evil.net\\@mine.example.com/"),
        (HOST, "https://mine.example.com:8443/"),
        (HOST, "https://mine.example.com:no/"),
        (HOST, "http://mine.example.com/"),
        (HOST, "//mine.example.com/"),
        (HOST, "https://[mine.example.com/"),
        (HOST, "https://mine.example.com/\nMore: text"),
        (HOST, "https://mine.example.com/ text"),
        (HOST, "https://mine.example.com\u200b/"),
        (f"{HOST}/app", "https://mine.example.com/"),
        (f"{HOST}/app", "https://mine.example.com/apple/"),
        (f"{HOST}/app", "https://mine.example.com/app/../theirs/"),
        (f"{HOST}/app", "https://mine.example.com/app/%2E./theirs/"),
    ],
)
def test_no_other_page_is_linked(base: str, slash: str, url: str) -> None:
    assert not is_below(url, base + slash if base else "")
