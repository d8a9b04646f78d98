"""What the audit trail shows of a call's parameters."""

from __future__ import annotations

import pytest
from copypro_gateway.entry.audit import masked


@pytest.mark.parametrize(
    ("name", "given", "noted"),
    [
        (
            "callbackUrl",
            "https://hooks.example.com/s3cr3t?t=s3cr3t",
            "https://hooks.example.com/***",
        ),
        ("callbackUrl", "https://u:s3cr3t@hooks.example.com/", "https://hooks.example.com/***"),
        ("callbackUrl", "hooks.example.com/s3cr3t", "***"),
        ("frontEndResetUrl", "//hooks.example.com/s3cr3t", "***"),
        ("callbackUrl", "http://[", "***"),
        ("name", "http://[", "***"),
        ("name", "at http://x.example.com/s3cr3t", "***"),
        ("name", "Mine", "Mine"),
        ("accountId", "0123", "0123"),
        ("keyId", "0123", "0123"),
        ("newPassword", "s3cr3t", "***"),
        ("masterApiId", "s3cr3t", "***"),
        ("slaveApiId", "s3cr3t", "***"),
    ],
)
def test_nothing_that_may_be_a_secret_is_noted(name: str, given: str, noted: str) -> None:
    assert masked({name: given}) == {name: noted}
