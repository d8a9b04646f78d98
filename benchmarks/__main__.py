"""`make bench`: every ratio, each measured in one run."""

from benchmarks import latency, replicator

replicator.main()
latency.main()
