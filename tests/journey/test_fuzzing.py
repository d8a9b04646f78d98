"""Whatever the OpenAPI document allows, and what it does not: no 5xx, no answer that contradicts the
document, no hang. COPYPRO_TEST_API_CASES asks for more cases than a usual run has time for.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from itertools import product
from random import Random
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.journey.world import OPERATOR, World

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
CASES = int(os.environ.get("COPYPRO_TEST_API_CASES", "80"))
CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]
NAMES = frozenset(("id", "copierId", "accountId", "masterAccountId", "slaveAccountId"))
LONGEST_ADDRESS = 60_000
HANGS_S = 20.0
"""A call that changes something may wait 5 s, a Start twice that; the rest is a crowded machine's."""


async def test_no_call_fails_hangs_or_contradicts_the_document(world: World) -> None:
    master = await world.account("Alpha-MT4", 1001)
    slave = await world.account("Beta-MT5", 2001)
    ids = {"account": [master.id, slave.id], "copier": [await world.copier(master, slave)]}
    await master.open("EURUSD", "Buy", "0.10")
    await world.eventually(slave.positions)
    assert world.ring is not None
    url, key = world.ring.url, world.key
    made = await asyncio.to_thread(_all, url, key, ids)
    assert made >= CASES * 0.9, "some calls have nothing that can be wrong"
    world.key = key
    await world.call("Accounts")  # it still serves


def _all(url: str, key: str, ids: Mapping[str, list[str]]) -> int:
    """How many cases were made. Errors: what failed, with its request."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    both = list(product(operations, (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)))
    wanted, each = Random(2026).sample(both, min(CASES, len(both))), -(-CASES // len(both))
    made = 0
    with requests.Session() as session:

        def check(case: Any, known: bool, picked: int) -> None:
            nonlocal made
            if known:
                _name_what_is_there(case, ids, picked)
            headers = {"Authorization": f"Bearer {OPERATOR if 'Manager' in case.path else key}"}
            response = case.call(base_url=url, session=session, headers=headers, timeout=HANGS_S)
            if len(response.request.url or "") > LONGEST_ADDRESS:
                return  # the server's own refusal, of what is no HTTP request to it
            case.validate_response(response, checks=CHECKS)
            made += 1

        for operation, mode in wanted:
            run = given(
                case=operation.as_strategy(generation_mode=mode),
                known=st.booleans(),
                picked=st.integers(0, 9),
            )(check)
            try:
                _bounded(each)(run)()
            except Unsatisfiable:
                assert mode is GenerationMode.NEGATIVE, operation.label  # nothing can be wrong
    return made


def _bounded(examples: int) -> Any:
    limits = settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink] if CASES > 1000 else [Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    return lambda run: seed(2026)(limits(run))


def _name_what_is_there(case: Any, ids: Mapping[str, list[str]], picked: int) -> None:
    """Random ids only ever meet the refusal of an unknown one."""
    for place in (case.query, case.body):
        for name in list(place) if isinstance(place, dict) else ():
            known = ids["copier"] if name in ("id", "copierId") else ids["account"]
            if name in NAMES:
                place[name] = known[picked % len(known)]
