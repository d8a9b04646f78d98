"""`python -m mt_simulator MT4_PORT MT5_PORT [--until-eof]`: an empty world for another program to fill.

Prints one line, `{"mt4": address, "mt5": address}`, once it listens: on any free ports where one of
these was taken since the other program looked. With `--until-eof` it ends with its standard input too:
with whoever holds the other end, however that ends.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys

import uvloop

from mt_simulator.main import CannotListen, start


async def main() -> None:
    try:
        simulator = await start(int(sys.argv[1]), int(sys.argv[2]))
    except CannotListen:
        simulator = await start()
    stop = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    if "--until-eof" in sys.argv:
        asyncio.get_running_loop().add_reader(sys.stdin, stop.set)
    sys.stdout.write(json.dumps({"mt4": simulator.mt4_url, "mt5": simulator.mt5_url}) + "\n")
    sys.stdout.flush()
    await stop.wait()
    await simulator.close()


try:
    uvloop.run(main())
except CannotListen as error:
    sys.exit(f"mt_simulator: {error}")
