"""`make bench`: every ratio, each measured in one run. `ARGS=memory` and the like for one of them."""

import sys

from benchmarks import latency, memory, replicator, statistics, throughput

ALL = {
    "replicator": replicator,
    "latency": latency,
    "throughput": throughput,
    "memory": memory,
    "statistics": statistics,
}

for name in sys.argv[1:] or ALL:
    if name not in ALL:
        sys.exit(f"no benchmark {name}: there are {', '.join(ALL)}")
    ALL[name].main()
