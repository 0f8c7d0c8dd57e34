"""`python -m gameday.telemetry.collector`: the settings as a line of JSON on standard input."""

import sys

from gameday.core.errors import GamedayError
from gameday.telemetry.collector.process import main

if __name__ == "__main__":
    try:
        status = main()
    except GamedayError as error:
        sys.stderr.write(f"error: {error.message}\n")
        status = error.exit_code
    sys.exit(status)
