"""`python -m system_under_test`: one replica of the issuance service, told by the environment."""

import sys

import asyncpg
import uvloop
from redis.exceptions import RedisError

from system_under_test import logs
from system_under_test.program import serve
from system_under_test.settings import SettingsError, from_environment


def main() -> int:
    """Serve until told to stop; 1 when a store is not there or a port is taken, 2 for a setting."""
    try:
        settings = from_environment()
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    logs.start(settings.log_level)
    try:
        uvloop.run(serve(settings))
    except (OSError, TimeoutError, RedisError, asyncpg.PostgresError) as error:
        sys.stderr.write(f"error: cannot start: {error!r}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
