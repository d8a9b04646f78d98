"""What is said on standard error, and what is when nothing can be said there."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import sys

import pytest
import structlog
from copypro_standalone.logs import configure


class Disk(io.StringIO):
    """Behind standard error."""

    error = 0

    def flush(self) -> None:
        if self.error:
            raise OSError(self.error, os.strerror(self.error))


@pytest.mark.usefixtures("heard_again")
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EPIPE])
def test_a_line_that_cannot_be_written_ends_nothing_and_is_counted(
    error: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(as_json=True)
    disk = Disk()
    monkeypatch.setattr(sys, "stderr", disk)
    logger = structlog.get_logger("account-watcher")
    disk.error = error
    logger.info("filled")
    logging.getLogger("aiohttp").error("gone")
    disk.error = 0
    disk.seek(0)
    disk.truncate()
    logger.info("closed")
    logger.info("closed again")
    closed, told, again = map(json.loads, disk.getvalue().splitlines())
    assert (closed["event"], again["event"]) == ("closed", "closed again")
    assert told["event"] == "the log could not be written"
    assert told["lines_left_out"] == 2
    assert told["because"] == os.strerror(error)


@pytest.mark.usefixtures("heard_again")
def test_nobody_waits_for_a_reader_that_does_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that is stopped by Ctrl-S, a log driver that hangs: the trades go on."""
    configure(as_json=True)
    reading, writing = os.pipe()
    with open(reading) as reader, open(writing, "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        logger = structlog.get_logger("account-watcher")
        for number in range(2000):
            logger.info("filled", number=number)
        os.set_blocking(reading, False)
        told = [json.loads(line) for line in reader.read().splitlines()]
        assert [line["number"] for line in told] == list(range(len(told)))
        logger.info("filled", number=2000)
        last, summary = [json.loads(line) for line in reader.read().splitlines()]
    assert last["number"] == 2000
    assert summary["lines_left_out"] == 2000 - len(told)
    assert summary["because"] == "nobody reads it"
