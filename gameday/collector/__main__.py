"""`python -m gameday.collector`: the settings as a line of JSON on standard input."""

import sys

from gameday.collector.process import main
from gameday.errors import GamedayError

if __name__ == "__main__":
    try:
        status = main()
    except GamedayError as error:
        sys.stderr.write(f"error: {error.message}\n")
        status = error.exit_code
    sys.exit(status)
