"""A query API over samples that a test writes: real uvicorn on a port of this machine."""

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from gameday.core.clock import NS
from gameday.core.network import event_loop
from gameday.telemetry.promql import Labels
from gameday.telemetry.query_api.server import QueryApiServer, bind
from gameday.telemetry.query_api.settings import QueryApiSettings

BEGAN_NS = 40_000 * NS  # of the samples' clock
WALL_NS = 1_700_000_000 * NS + 123_000_000
START_S = 20.0


class SampleFile:
    """A `samples.jsonl` in the making, of a run whose first instant is at `WALL_NS`."""

    def __init__(self, folder: Path, rules: str = "") -> None:
        folder.mkdir(exist_ok=True)
        self.path = folder / "samples.jsonl"
        self.rules = folder / "rules"
        self.rules.mkdir()
        if rules:
            (self.rules / "alerts.yml").write_text(rules)
        self._ids: dict[Labels, int] = {}

    def append(self, second: float, values: Mapping[Labels, float], alerts: object = ()) -> None:
        """One instant: a scrape, and its evaluation."""
        t_ns = BEGAN_NS + round(second * NS)
        new = [each for each in values if each not in self._ids]
        self._ids.update({each: len(self._ids) + n for n, each in enumerate(new)})
        lines: list[object] = []
        if new:
            lines.append({"series": [[self._ids[each], dict(each)] for each in new]})
        lines.append(
            {"t": t_ns, "values": [[self._ids[k], v] for k, v in values.items()], "up": {}}
        )
        lines.append({"t": t_ns, "readings": {}, "alerts": list(alerts)})  # type: ignore[call-overload]
        with self.path.open("a") as file:
            file.write("".join(f"{json.dumps(line)}\n" for line in lines))

    def settings(self, **fields: object) -> QueryApiSettings:
        return QueryApiSettings(
            run="20231114T221320Z-a-run-abcd",
            samples=self.path,
            rules=self.rules,
            wall_offset_ns=WALL_NS - BEGAN_NS,
            **fields,  # type: ignore[arg-type]
        )


@contextmanager
def serving(settings: QueryApiSettings) -> Iterator[str]:
    """Serve it; the address."""
    server = QueryApiServer(settings, bind(0))
    ready = threading.Event()
    thread = threading.Thread(target=lambda: event_loop.run(server.serve(ready.set)), daemon=True)
    thread.start()
    assert ready.wait(START_S)
    try:
        yield server.url
    finally:
        server.close()
        thread.join(START_S)
        assert not thread.is_alive()


def openmetrics(series: Mapping[Labels, Sequence[float]], step_s: int = 1) -> str:
    """The same samples as `promtool tsdb create-blocks-from openmetrics` reads them."""
    lines = []
    for labels, values in series.items():
        pairs = ",".join(f"{k}={json.dumps(v)}" for k, v in labels if k != "__name__")
        name = dict(labels)["__name__"]
        for n, value in enumerate(values):
            t_ns = WALL_NS + n * step_s * NS
            lines.append(f"{name}{{{pairs}}} {value!r} {t_ns // NS}.{t_ns % NS // 1_000_000:03d}")
    return "\n".join([*lines, "# EOF\n"])
