"""`python healthcheck.py live|ready`: exit code 0 when the process in this container says so.

The gateway answers on its own port, every other service on another; which of them runs here is not
known to the image, so both are asked. Needs nothing but Python.
"""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection, HTTPException

PORTS = (("COPYPRO_GATEWAY_PORT", "5020"), ("COPYPRO_SERVICE_PORT", "5021"))
ANSWER_S = 4.0


def says(port: int, what: str) -> tuple[bool, str]:
    """Whether it is well, and what was answered."""
    connection = HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    try:
        connection.request("GET", f"/health/{what}")
        answer = connection.getresponse()
        return answer.status == 200, answer.read().decode()
    except (OSError, HTTPException) as error:
        return False, f"port {port}: {error!r}"
    finally:
        connection.close()


def main() -> None:
    what = sys.argv[1] if len(sys.argv) > 1 else "live"
    answers = [says(int(os.environ.get(name) or port), what) for name, port in PORTS]
    print(" ".join(text for _, text in answers))
    sys.exit(0 if any(well for well, _ in answers) else 1)


if __name__ == "__main__":
    main()
