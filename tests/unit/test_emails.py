"""What counts as one e-mail address."""

from __future__ import annotations

import pytest
from copypro_gateway.entry.emails import is_one_address


@pytest.mark.parametrize(
    "text",
    ["a@b", "you@example.com", "first.last+tag@sub.example.co.uk", "o'neil@example.com",
     "jörg@müller.example", "_@x-y.example"],
)  # fmt: skip
def test_one_address_is_taken(text: str) -> None:
    assert is_one_address(text)


@pytest.mark.parametrize(
    "text",
    ["", "@", "a@", "@b", "a", "a@b@c", "a@b,c@d", "a@b;c@d", "a@b c@d", "a@b, c", "You <a@b>",
     "group:a@b;", '"a,b"@c', "a@[1.2.3.4]", "a@b.", "a..b@c", ".a@b", "a@b\nBcc: c@d", "a@b\u2028",
     "a@" + "b" * 253],
)  # fmt: skip
def test_several_and_malformed_ones_are_not(text: str) -> None:
    assert not is_one_address(text)
