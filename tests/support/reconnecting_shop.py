"""A shop of 20 clients that connect to PostgreSQL again as soon as their session was ended.

Its last line of output is the number of sessions that are open. A process of its own, since the
driver leaves futures behind that nobody asks when a server ends a session in its first moments.
"""

import asyncio
import contextlib
import os
import sys

import asyncpg

CLIENTS = 20
PAUSE_S = 0.005


async def comes_back(kept: "set[asyncpg.Connection]") -> None:
    while True:
        with contextlib.suppress(OSError, asyncpg.PostgresError, TimeoutError):
            connection = await asyncpg.connect(os.environ["SHOP_DSN"], timeout=5)
            kept.add(connection)
            while not connection.is_closed():
                await asyncio.sleep(PAUSE_S)
            kept.remove(connection)
        await asyncio.sleep(PAUSE_S)


async def main() -> None:
    kept: set[asyncpg.Connection] = set()
    shop = [asyncio.create_task(comes_back(kept)) for _ in range(CLIENTS)]
    while shop:
        sys.stdout.write(f"{sum(not each.is_closed() for each in kept)}\n")
        sys.stdout.flush()
        await asyncio.sleep(PAUSE_S)


if __name__ == "__main__":
    asyncio.run(main())
