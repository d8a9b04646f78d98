"""Where users' callbacks may go, and how a receiver knows that a post is ours."""

from __future__ import annotations

import pytest
from copypro.callbacks import (
    Receiver,
    is_not_public_literal,
    is_public,
    masked,
    plain,
    problem_with,
    receiver_of,
    signature,
)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::",
        "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::a00:1",
        "2002:7f00:1::", "2002:a00:1::1", "2001:0:4136:e378:8000:63bf:80ff:fffe", "2001:db8::1",
        "64:ff9b:1::7f00:1", "64:ff9b:1:a9fe:a9:fe00::", "::127.0.0.1", "::ffff:0:127.0.0.1", "5f00::1",
    ],
)  # fmt: skip
def test_what_only_some_can_reach_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "64:ff9b::8.8.8.8"])
def test_what_everybody_can_reach_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "is not an address"),
        ("example.com/hook", "is not an address"),
        ("ftp://example.com", "is not an address"),
        ("file:///etc/passwd", "is not an address"),
        ("https://", "is not an address"),
        ("https://example.com:99999/", "is not an address"),
        ("https://[::1/", "is not an address"),
        ("https://example.com/\r\nHost: other", "is not an address"),
        ("https://u:p@example.com/", "has a user or password"),
        ("http://①②⑦.0.0.1/", "has letters outside of ASCII"),
        ("http://127。0。0。1/", "has letters outside of ASCII"),
        ("https://bücher.example/", "has letters outside of ASCII"),
        ("https://example.com/" + "x" * 2048, "has more than 2048"),
    ],
)
def test_what_is_no_address_is_refused_and_not_repeated(url: str, said: str) -> None:
    problem = problem_with(url)
    assert problem.startswith(said)
    assert "passwd" not in problem


def test_an_address_as_most_write_it_is_taken() -> None:
    url = "https://example.com:8443/hook/s3cr3t?token=s3cr3t"
    assert problem_with(url) == ""
    assert masked(url) == "https://example.com/***"
    assert problem_with("https://xn--bcher-kva.example/") == ""
    receiver = Receiver(url, "s3cr3t")
    assert "s3cr3t" not in repr(receiver)
    assert receiver_of(plain(receiver)) == receiver


def test_only_written_addresses_are_judged_before_they_are_used() -> None:
    assert is_not_public_literal("http://10.0.0.1/x")
    assert is_not_public_literal("http://[::1]:80/x")
    assert not is_not_public_literal("http://localhost/x")
    assert not is_not_public_literal("http://93.184.216.34/x")


def test_the_example_of_docs_api_md_verifies() -> None:
    signed = signature("0123456789abcdef", "1772442900", b'{"id":"test"}')
    assert signed == "v1=dac7cae72ed35dcbb27935228f2dc521ca3b4d53ca45beabd9e1064997ea99bd"
