"""`python healthcheck.py live|ready`: exit code 0 when the process in this container says so.

The gateway answers on its own port, by TLS where it was given a certificate; every other service on
another, plainly. Which of them runs here is not known to the image, so both are asked. Needs nothing
but Python.
"""

from __future__ import annotations

import os
import ssl
import sys
from http.client import HTTPConnection, HTTPException, HTTPSConnection

ANSWER_S = 4.0


def gateway() -> HTTPConnection:
    port = int(os.environ.get("COPYPRO_GATEWAY_PORT") or 5020)
    if not os.environ.get("COPYPRO_TLS_CERT"):
        return HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)
    context = ssl.create_default_context()
    # The certificate is for the name that callers use, and this is the container itself.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return HTTPSConnection("127.0.0.1", port, timeout=ANSWER_S, context=context)


def another() -> HTTPConnection:
    port = int(os.environ.get("COPYPRO_SERVICE_PORT") or 5021)
    return HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)


def says(connection: HTTPConnection, what: str) -> tuple[bool, str]:
    """Whether it is well, and what was answered."""
    try:
        connection.request("GET", f"/health/{what}")
        answer = connection.getresponse()
        return answer.status == 200, answer.read().decode()
    except (OSError, HTTPException) as error:
        return False, f"port {connection.port}: {error!r}"
    finally:
        connection.close()


def main() -> None:
    what = sys.argv[1] if len(sys.argv) > 1 else "live"
    answers = [says(connection, what) for connection in (gateway(), another())]
    print(" ".join(text for _, text in answers))
    sys.exit(0 if any(well for well, _ in answers) else 1)


if __name__ == "__main__":
    main()
