"""How many examples a property is shown: all of them in `make test`, a share in `make check`."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

SHARE = float(os.environ.get("COPYPRO_TEST_EXAMPLES", "1"))


def examples(most: int) -> settings:
    return settings(max_examples=max(10, round(most * SHARE)))


def load_profile() -> None:
    """For every property: no deadline and no complaint of slowness, since a machine that is busy is
    no failure.
    """
    slow = [HealthCheck.too_slow]
    settings.register_profile("copypro", examples(100), deadline=None, suppress_health_check=slow)
    settings.load_profile("copypro")
