"""A watcher is killed with a slave's order on the wire: the others take its partitions over and go on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.takeovers import SERVER, a_stage, tag_of
from tests.servers import database_on, topics_on

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


async def test_after_kill_9_other_copies_are_sent_at_once_and_the_one_in_doubt_is_not_sent_again(
    tmp_path: Path, kafka_address: str, mongo_url: str
) -> None:
    async with topics_on(kafka_address, 4) as topics, database_on(mongo_url) as database:
        prefix = {"COPYPRO_TOPIC_PREFIX": topics.prefix}
        async with a_stage(tmp_path, kafka_address, database, **prefix) as stage:
            _, takeovers = await stage.kill_watcher()
            assert takeovers, "it owned something"
            for one in takeovers:
                assert one.connected_s is not None
                assert one.assigned_s <= one.fenced_s <= one.restored_s <= one.connected_s
                assert one.connected_s < one.sent_s
            await stage.flat()
            for login in stage.slaves.values():
                tags = [tag_of(entry) for entry in await stage.sends(login)]
                assert len(tags) == len(set(tags)), (SERVER, login, "one request for each copy")
