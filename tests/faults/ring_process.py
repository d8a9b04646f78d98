"""The ring as a process of its own, as `copypro up` runs it, with the tests' scaled limits."""

from __future__ import annotations

import sys

import uvloop
from copypro import settings as settings_module
from copypro_standalone import logs, ring

from tests.journey.world import QUICK


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    loaded = settings_module.load()
    logs.configure("json", "info", simulated=True)
    uvloop.run(ring.up(loaded, QUICK, say, simulated=True))
