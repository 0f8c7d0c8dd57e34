"""Prometheus' HTTP API over a run: beside `gameday run`, and as `gameday alerts serve`."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gameday.cli.console import run_under_way
from gameday.cli.terminal import echo, warn
from gameday.cli.words import say
from gameday.core.errors import GamedayError

if TYPE_CHECKING:
    import socket

    from gameday.run.query_api import LaunchedQueryApi
    from gameday.spec.inputs import Inputs


class QueryApiBeside:
    """The query API of a run, where one is wanted (`port`); a run does without it.

    Its port is taken before anything is started. Raises UsageError where that cannot be.
    """

    def __init__(self, inputs: "Inputs", port: int | None) -> None:
        self._bound: socket.socket | None = None
        self._launched: LaunchedQueryApi | None = None
        if port is None:
            return
        from gameday.run.query_api import refuse_measured_elsewhere
        from gameday.telemetry.query_api.server import bind

        refuse_measured_elsewhere(inputs.experiment.experiment, inputs.system.system)
        self._bound = bind(port)

    def open(self, run_dir: Path) -> None:
        """Start it for a run that has begun, and tell its address."""
        if self._bound is None:
            return
        from gameday.run.query_api import launch
        from gameday.telemetry.query_api.server import url_of

        url = url_of(self._bound)
        try:
            self._launched = launch(run_dir, self._bound)
        except (GamedayError, OSError) as error:
            warn(f"query API: {getattr(error, 'message', error)}")
            return
        echo(say("query_api", url=url), err=True)

    def close(self) -> None:
        """End it with the run."""
        if self._launched is not None:
            self._launched.close()
        if self._bound is not None:
            self._bound.close()


def serve_run(
    ref: str | None,
    runs_dir: Path,
    port: int | None,
    *,
    as_now: bool,
    version: Literal["2", "3"],
) -> None:
    """Serve a run until Ctrl-C. Raises UsageError where a Prometheus has measured it."""
    from gameday.cli.find_run import find_run
    from gameday.core.clock import wall_time_ns
    from gameday.core.network import event_loop
    from gameday.evidence.read import read_effective
    from gameday.run.query_api import ending_at, refuse_measured_elsewhere, settings_of
    from gameday.telemetry.query_api.server import QueryApiServer, bind

    live = run_under_way(ref)
    folder = live or find_run(ref or "last", runs_dir)
    effective = read_effective(folder)
    if effective is not None:
        refuse_measured_elsewhere(effective.experiment, effective.system)
    settings = settings_of(folder, is_over=live is None, prometheus=version)
    if as_now and live is None:
        settings = ending_at(settings, wall_time_ns())
    server = QueryApiServer(settings, bind(port))

    event_loop.run(server.serve(lambda: echo(say("query_api", url=server.url), err=True)))
