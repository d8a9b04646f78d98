"""What an idle account costs: resident memory of the ring, over 1,000 accounts of ten symbols each.

Each account is connected and has its stream open. Once with nothing open, and once with a position in
each of the ten symbols, whose terms and quotes it then knows.
"""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
from pathlib import Path

from copypro_standalone.demo_rings import simulator_process
from mt_simulator.client import SimulatorControl

from benchmarks.world import PASSWORD, SERVER, register, running, settings_of

SYMBOLS = tuple(f"SYM{number:02}USD" for number in range(10))


def resident() -> int:
    """Bytes of this process in memory (Linux)."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def measure(base: int, added: int, *, positions: bool) -> float:
    """Bytes for each of `added` accounts beyond the first `base`."""
    with tempfile.TemporaryDirectory() as name:
        async with simulator_process(0, 0) as (_, mt5), SimulatorControl(mt5) as control:
            await control.add_server(name=SERVER, platform="MT5")
            for symbol in SYMBOLS:
                await control.add_symbol(SERVER, name=symbol)
                await control.quote(SERVER, symbol, "1.10000", "1.10010")
            for login in range(1, base + added + 1):
                await control.add_account(
                    server=SERVER, platform="MT5", login=login, password=PASSWORD, balance="1000000"
                )
                for symbol in SYMBOLS if positions else ():
                    await control.open(SERVER, login, symbol, "Buy", "0.01")
            async with running(settings_of(mt5, Path(name))) as ring:
                await register(ring.url, range(1, base + 1))
                await settled()
                before = resident()
                await register(ring.url, range(base + 1, base + added + 1))
                await settled()
                return (resident() - before) / added


async def settled() -> None:
    """Until memory has stopped growing."""
    last = 0
    while (now := resident()) > last * 1.002:
        last = now
        await asyncio.sleep(3)


def main(added: int = 1000) -> None:
    import uvloop

    print(f"memory for each of {added} idle accounts (wanted: ≤ 100 kB)")
    for positions, name in ((False, "nothing open"), (True, "ten positions")):
        per_account = uvloop.run(measure(100, added, positions=positions))
        print(f"  {name}: {per_account / 1000:.1f} kB")


if __name__ == "__main__":
    main()
