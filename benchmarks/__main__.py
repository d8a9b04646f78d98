"""`make bench`: every ratio, each measured in one run. `ARGS=memory` and the like for one of them."""

import sys

from benchmarks import (
    api,
    kafka,
    latency,
    memory,
    read_models,
    replicator,
    statistics,
    takeover,
    throughput,
)

ALL = {
    "replicator": replicator,
    "latency": latency,
    "throughput": throughput,
    "memory": memory,
}
MORE = {
    "statistics": statistics,
    "kafka": kafka,
    "read-models": read_models,
    "takeover": takeover,
    "api": api,
}
"""By name only: they need a server, or minutes."""

for name in sys.argv[1:] or ALL:
    chosen = (ALL | MORE).get(name)
    if chosen is None:
        sys.exit(f"no benchmark {name}: there are {', '.join(ALL | MORE)}")
    chosen.main()
