"""What a replay keeps in memory: the promises of ReadModels that it needs, by the same suite."""

from __future__ import annotations

import pytest
from copypro.adapters.memory_read_models import MemoryReadModels
from copypro.adapters.memory_vault import MemoryVault
from copypro.errors import KeyDestroyed, SecretsError
from copypro.values import RegistrationId

from tests.contract.test_stores import (
    test_a_batch_takes_effect_in_its_order,
    test_a_document_without_sources_is_gone_and_no_repeat_brings_it_back,
    test_a_repeat_or_an_older_version_changes_nothing,
    test_an_undeclared_field_is_refused_by_name,
    test_every_value_comes_back_as_json_has_it,
    test_fields_are_laid_over_the_sources_earlier_ones,
    test_find_filters_sorts_and_bounds,
    test_find_gives_equals_by_id_and_what_lacks_the_field_first,
    test_find_gives_no_more_than_asked_for_and_all_where_that_is_asked,
    test_sources_are_laid_over_each_other_in_the_order_of_their_names,
    test_two_sources_never_hide_each_other,
)

__all__ = [
    "test_a_batch_takes_effect_in_its_order",
    "test_a_document_without_sources_is_gone_and_no_repeat_brings_it_back",
    "test_a_repeat_or_an_older_version_changes_nothing",
    "test_an_undeclared_field_is_refused_by_name",
    "test_every_value_comes_back_as_json_has_it",
    "test_fields_are_laid_over_the_sources_earlier_ones",
    "test_find_filters_sorts_and_bounds",
    "test_find_gives_equals_by_id_and_what_lacks_the_field_first",
    "test_find_gives_no_more_than_asked_for_and_all_where_that_is_asked",
    "test_sources_are_laid_over_each_other_in_the_order_of_their_names",
    "test_two_sources_never_hide_each_other",
]


@pytest.fixture
def models() -> MemoryReadModels:
    return MemoryReadModels()


async def test_a_secret_opens_only_for_its_registration_and_is_gone_with_it() -> None:
    vault = MemoryVault()
    one, other = RegistrationId("one"), RegistrationId("other")
    sealed, again = await vault.seal(one, "s3cret"), await vault.seal(one, "newer")
    assert "s3cret" not in sealed
    assert [await vault.unseal(one, text) for text in (sealed, again)] == ["s3cret", "newer"]
    with pytest.raises(SecretsError):
        await vault.unseal(other, sealed)
    assert await vault.unseal(one, await vault.seal_known(one, "beside")) == "beside"
    await vault.destroy(one)
    with pytest.raises(SecretsError):
        await vault.unseal(one, sealed)
    with pytest.raises(KeyDestroyed):
        await vault.seal_known(one, "too late")
