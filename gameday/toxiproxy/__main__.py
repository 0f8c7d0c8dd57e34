"""`python -m gameday.toxiproxy`, and `gameday toxiproxy`: the server as a program of its own.

It prints one line of JSON, `{"listening": [host, port]}`, once the API answers; everything else
it has to say goes to stderr. It ends with 0 on SIGTERM or SIGINT, with 2 for an option or a file
that is wrong, with 4 for an address that cannot be had.
"""

import argparse
import asyncio
import json
import logging
import secrets
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gameday.core.clock import SystemClock
from gameday.core.errors import GamedayError
from gameday.toxiproxy import VERSION
from gameday.toxiproxy.address import HIGHEST_PORT
from gameday.toxiproxy.admission import Admission, allowed_host, allowed_origin, read_token
from gameday.toxiproxy.metrics import Metrics
from gameday.toxiproxy.server import ServerOptions, serve
from gameday.toxiproxy.settings import CONNECTIONS_MAX, Shared, raise_file_limit

log = logging.getLogger("gameday.toxiproxy")


def main(argv: Sequence[str] | None = None, program: str = "python -m gameday.toxiproxy") -> int:
    """Run the server as a program; the exit status."""
    try:
        run(argv, program)
    except GamedayError as error:
        sys.stderr.write(f"error: {error}\n")
        if error.help:
            sys.stderr.write(f"  help: {error.help}\n")
        return error.exit_code
    return 0


def run(argv: Sequence[str] | None, program: str) -> None:
    """Run the server until a signal ends it. `program` is what its help calls it."""
    args = _parser(program).parse_args(argv)
    logging.basicConfig(level=args.log_level.upper(), format="%(levelname)s %(message)s")
    carried, clients = raise_file_limit()
    if args.connections_max is not None and carried < args.connections_max:
        log.warning("the limit on open files allows %d connections", carried)
    shared = Shared(
        clock=SystemClock(),
        seed=args.seed if args.seed is not None else secrets.randbits(32),
        half_close=args.half_close,
        connections_max=min(carried, args.connections_max or carried),
        clients_max=clients,
        metrics=Metrics(proxies=args.proxy_metrics, runtime=args.runtime_metrics),
    )
    log.info("seed %d", shared.seed)
    options = ServerOptions(
        host=args.host, port=args.port, config=args.config, admission=_admission(args)
    )
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(serve(options, shared, _announce))
        # A second Ctrl-C must not break in while the loop gives its signal handlers back.
        signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))


def _admission(args: argparse.Namespace) -> Admission:
    token = None if args.token_file is None else read_token(args.token_file)
    hosts, origins = frozenset(args.allowed_host), frozenset(args.allowed_origin)
    return Admission(hosts=hosts, origins=origins, token=token)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


def _announce(address: tuple[str, int]) -> None:
    sys.stdout.write(json.dumps({"listening": address}) + "\n")
    sys.stdout.flush()


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program, allow_abbrev=False, description="A Toxiproxy-compatible server."
    )
    add = parser.add_argument
    add("--host", default="localhost", help="where the API listens (default: %(default)s)")
    add(
        "--port",
        type=_whole_number(0, HIGHEST_PORT),
        default=8474,
        help="its port, 0 for any (default: %(default)s)",
    )
    add("--config", type=Path, metavar="FILE", help="proxies to start with, a JSON array")
    add(
        "--allowed-host",
        type=_described(allowed_host),
        action="append",
        default=[],
        metavar="NAME",
        help="accept this Host, too, while bound to loopback (may be repeated)",
    )
    add(
        "--allowed-origin",
        type=_described(allowed_origin),
        action="append",
        default=[],
        metavar="ORIGIN",
        help="accept pages of this origin, http://HOST:PORT (may be repeated)",
    )
    add(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="ask for the token in this file (0600) before anything is changed",
    )
    add("--seed", type=int, help="for toxicity, jitter and slices (default: random)")
    add("--half-close", action="store_true", help="let half-closed connections live on")
    add(
        "--connections-max",
        type=_whole_number(1, CONNECTIONS_MAX),
        metavar="N",
        help="refuse more at once (default: what the limit on open files allows)",
    )
    add("--proxy-metrics", action="store_true", help="count bytes at /metrics")
    add("--runtime-metrics", action="store_true", help="the process at /metrics")
    levels = ["debug", "info", "warning", "error"]
    add("--log-level", default="warning", choices=levels, help="(default: %(default)s)")
    add("--version", action="version", version=f"toxiproxy-server version {VERSION}")
    return parser


def _described(read: Callable[[str], str]) -> Callable[[str], str]:
    """`read`, with what it has to say as argparse shows it."""

    def typed(text: str) -> str:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return typed


def _whole_number(lowest: int, highest: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not lowest <= int(text) <= highest:
            problem = f"{text!r} is not a whole number from {lowest} to {highest}"
            raise argparse.ArgumentTypeError(problem)
        return int(text)

    return read


if __name__ == "__main__":
    sys.exit(main())
