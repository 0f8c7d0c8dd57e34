"""`python -m gameday.toxiproxy`: the server as a program of its own.

It prints one line of JSON, `{"listening": [host, port]}`, once the API answers; everything else
it has to say goes to stderr. It ends with 0 on SIGTERM or SIGINT.
"""

import argparse
import asyncio
import json
import logging
import secrets
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gameday.clock import SystemClock
from gameday.errors import GamedayError
from gameday.toxiproxy import VERSION
from gameday.toxiproxy.metrics import Metrics
from gameday.toxiproxy.server import Options, serve
from gameday.toxiproxy.shared import CONNECTIONS_MAX, Shared, raise_file_limit

log = logging.getLogger("gameday.toxiproxy")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the server; returns the exit status."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=args.log_level.upper(), format="%(levelname)s %(message)s")
    carried = raise_file_limit()
    if carried < args.connections_max:
        log.warning("the limit on open files allows %d connections", carried)
    shared = Shared(
        clock=SystemClock(),
        seed=args.seed if args.seed is not None else secrets.randbits(32),
        half_close=args.half_close,
        connections_max=min(carried, args.connections_max),
        metrics=Metrics(proxies=args.proxy_metrics, runtime=args.runtime_metrics),
    )
    log.info("seed %d", shared.seed)
    options = Options(host=args.host, port=args.port, config=args.config)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(serve(options, shared, _announce))
    except GamedayError as error:
        sys.stderr.write(f"error: {error}\n")
        if error.help:
            sys.stderr.write(f"  help: {error.help}\n")
        return error.exit_code
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _announce(address: tuple[str, int]) -> None:
    sys.stdout.write(json.dumps({"listening": address}) + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="toxiproxy", description="A Toxiproxy-compatible server.")
    parser.add_argument("--host", default="localhost", help="where the API listens")
    parser.add_argument("--port", type=int, default=8474, help="the API's port, 0 for any")
    parser.add_argument("--config", type=Path, help="proxies to start with, a JSON array")
    parser.add_argument("--seed", type=int, help="for toxicity, jitter and slices; default random")
    parser.add_argument("--half-close", action="store_true", help="keep half-closed connections")
    parser.add_argument("--connections-max", type=int, default=CONNECTIONS_MAX, metavar="N")
    parser.add_argument("--proxy-metrics", action="store_true", help="count bytes at /metrics")
    parser.add_argument("--runtime-metrics", action="store_true", help="the process at /metrics")
    levels = ["debug", "info", "warning", "error"]
    parser.add_argument("--log-level", default="warning", choices=levels)
    parser.add_argument(
        "--version", action="version", version=f"toxiproxy-server version {VERSION}"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
