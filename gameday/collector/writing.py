"""The writer of `samples.jsonl`; the format and its reader are `gameday.samples`.

Each instant adds at most three lines: the series met for the first time, every value of the
scrape, and the evaluation. They are handed to the system in one write, so a reader sees whole
instants, and a kill loses at most the last one. NaN and infinities stand as Python's `json`
writes and reads them.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gameday.hiding import hidden_in, nothing
from gameday.promql.labels import Labels


class SamplesWriter:
    """The one writer of one samples file, which must not exist yet."""

    def __init__(self, path: Path, hide: Callable[[str], str] = nothing) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._ids: dict[Labels, int] = {}
        self._hide = hide

    def write(
        self,
        t_ns: int,
        values: Mapping[Labels, float],
        up: Mapping[str, bool],
        evaluation: Mapping[str, Any],
    ) -> None:
        """All of one instant."""
        new = [series for series in values if series not in self._ids]
        lines: list[Mapping[str, Any]] = []
        if new:
            first = len(self._ids)
            self._ids.update((series, first + i) for i, series in enumerate(new))
            told = [[self._ids[series], hidden_in(dict(series), self._hide)] for series in new]
            lines.append({"series": told})
        pairs = [[self._ids[series], value] for series, value in values.items()]
        lines += [{"t": t_ns, "values": pairs, "up": up}, hidden_in(evaluation, self._hide)]
        self._append("".join(f"{json.dumps(line)}\n" for line in lines).encode())

    def close(self) -> None:
        os.close(self._file)

    def _append(self, raw: bytes) -> None:
        while raw:
            raw = raw[os.write(self._file, raw) :]
