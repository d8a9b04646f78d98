"""Operators' calls: off without a key, and open to that one key only."""

from __future__ import annotations

import pytest
from copypro_gateway.entry.auth import check_operator, hash_of
from copypro_gateway.wording.errors import ApiError


@pytest.mark.parametrize("key", [None, "", "any"])
def test_without_a_key_of_its_own_the_gateway_refuses_everybody(key: str | None) -> None:
    with pytest.raises(ApiError, match="COPYPRO_MANAGER_KEY") as refused:
        check_operator(key, "")
    assert refused.value.status == 403


def test_the_operators_key_and_no_other_opens() -> None:
    check_operator("mine", hash_of("mine"))
    for other in (None, "", "mine ", hash_of("mine")):
        with pytest.raises(ApiError) as refused:
            check_operator(other, hash_of("mine"))
        assert refused.value.status == 401
