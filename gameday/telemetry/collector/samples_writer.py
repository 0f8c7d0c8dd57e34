"""The writer of `samples.jsonl`; the format and its reader are `gameday.telemetry.samples`.

Each instant adds at most three lines: the series met for the first time, every value of the
scrape, and the evaluation. They are handed to the system in one write, so a reader sees whole
instants, and a kill loses at most the last one. NaN and infinities stand as Python's `json`
writes and reads them.
"""

import json
import os
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from gameday.core.secrets.redaction import distinct, nothing
from gameday.telemetry.promql.labels import Labels

FIGURES = ("le", "quantile")  # labels that hold a number


class SamplesWriter:
    """The one writer of one samples file, which must not exist yet.

    `hide` takes secrets out of a text, `hide_label` out of a label's name or value.
    """

    def __init__(
        self,
        path: Path,
        hide: Callable[[str], str] = nothing,
        hide_label: Callable[[str], str] = nothing,
    ) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._ids: dict[Labels, int] = {}
        self._hide = hide
        self._hide_label = hide_label

    def write(
        self,
        t_ns: int,
        values: Mapping[Labels, float],
        up: Mapping[str, bool],
        evaluation: Mapping[str, Any],
        own: Collection[Labels] = (),
    ) -> None:
        """All of one instant. `own` are the series that gameday itself has made."""
        new = [series for series in values if series not in self._ids]
        lines: list[Mapping[str, Any]] = []
        if new:
            first = len(self._ids)
            self._ids.update((series, first + i) for i, series in enumerate(new))
            shown = [
                [self._ids[each], dict(each) if each in own else self._labels(dict(each))]
                for each in new
            ]
            lines.append({"series": shown})
        pairs = [[self._ids[series], value] for series, value in values.items()]
        lines += [{"t": t_ns, "values": pairs, "up": up}, self._evaluation(evaluation)]
        raw = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
        while raw:
            raw = raw[os.write(self._file, raw) :]

    def close(self) -> None:
        os.close(self._file)

    def _evaluation(self, line: Mapping[str, Any]) -> Mapping[str, Any]:
        """The line with the labels of alerts, and what says what is wrong, without secrets."""
        alerts = [{**each, "labels": self._labels(each["labels"])} for each in line["alerts"]]
        texts: dict[str, Any] = {
            key: {name: self._hide(text) for name, text in line[key].items()}
            for key in ("problems", "down")
            if key in line
        }
        if "alerts_problem" in line:
            texts["alerts_problem"] = self._hide(line["alerts_problem"])
        if "routing" in line:
            texts["routing"] = self._routing(line["routing"])
        return {**line, "alerts": alerts, **texts}

    def _routing(self, told: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is known of routing, without secrets."""
        shown = {**told, "suppressed": [self._hide_label(name) for name in told["suppressed"]]}
        if told["notified"] is not None:
            shown["notified"] = [
                {**n, "receiver": self._hide(n["receiver"]), "labels": self._labels(n["labels"])}
                for n in told["notified"]
            ]
        return {**shown, "problem": self._hide(told["problem"])} if "problem" in told else shown

    def _labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        names = distinct(map(self._hide_label, labels))
        return {
            name: value if key in FIGURES else self._hide_label(value)
            for name, (key, value) in zip(names, labels.items(), strict=True)
        }
