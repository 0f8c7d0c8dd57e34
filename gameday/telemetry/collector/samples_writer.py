"""The writer of `samples.jsonl`; the format and its reader are `gameday.telemetry.samples`.

Each instant adds at most three lines: the series met for the first time, every value of the
scrape, and the evaluation. They are handed to the system in one write, so a reader sees whole
instants, and a kill loses at most the last one. NaN and infinities stand as Python's `json`
writes and reads them.
"""

import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

from gameday.core.json_objects import plain
from gameday.core.secrets.redaction import distinct, nothing
from gameday.telemetry.promql.labels import Labels
from gameday.telemetry.samples import LiveEvaluation, RoutedLine, RoutingLine

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
        values: Mapping[Labels, float],
        evaluation: LiveEvaluation,
        own: Collection[Labels] = (),
    ) -> None:
        """All of one instant. `own` are the series that gameday itself has made."""
        new = [series for series in values if series not in self._ids]
        lines: list[object] = []
        if new:
            first = len(self._ids)
            self._ids.update((series, first + i) for i, series in enumerate(new))
            shown = [
                [self._ids[each], dict(each) if each in own else self._labels(dict(each))]
                for each in new
            ]
            lines.append({"series": shown})
        pairs = [[self._ids[series], value] for series, value in values.items()]
        scrape = {"t": evaluation.t_ns, "values": pairs, "up": evaluation.up or {}}
        lines += [scrape, plain(self._masked(evaluation))]
        raw = "".join(f"{json.dumps(line)}\n" for line in lines).encode()
        while raw:
            raw = raw[os.write(self._file, raw) :]

    def close(self) -> None:
        os.close(self._file)

    def _masked(self, live: LiveEvaluation) -> LiveEvaluation:
        """What is written of it: labels of alerts, and what says what is wrong, without secrets."""
        return replace(
            live,
            alerts=[replace(each, labels=self._labels(each.labels)) for each in live.alerts],
            problems=None if live.problems is None else self._texts(live.problems),
            down=self._texts(live.down),
            alerts_problem=live.alerts_problem and self._hide(live.alerts_problem),
            routing=None if live.routing is None else self._routing(live.routing),
            up=None,
            late_ms=None,
        )

    def _texts(self, texts: Mapping[str, str]) -> Mapping[str, str]:
        return {name: self._hide(text) for name, text in texts.items()}

    def _routing(self, known: RoutingLine) -> RoutingLine:
        """What is known of routing, without secrets."""
        notified = None
        if known.notified is not None:
            notified = [
                replace(n, receiver=self._hide(n.receiver), labels=self._labels(n.labels))
                for n in known.notified
            ]
        waits = known.waits
        return replace(
            known,
            notified=notified,
            suppressed=[self._hide_label(name) for name in known.suppressed],
            problem=known.problem and self._hide(known.problem),
            routed=None if known.routed is None else list(map(self._routed, known.routed)),
            waits=None if waits is None else {self._hide(k): v for k, v in waits.items()},
        )

    def _routed(self, each: RoutedLine) -> RoutedLine:
        """An alert as Alertmanager has it, without secrets: people write into a silence."""
        return RoutedLine(
            self._hide_label(each.alert),
            *(
                [self._hide(text) for text in texts]
                for texts in (each.receivers, each.silenced_by, each.inhibited_by)
            ),
        )

    def _labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        names = distinct(map(self._hide_label, labels))
        return {
            name: value if key in FIGURES else self._hide_label(value)
            for name, (key, value) in zip(names, labels.items(), strict=True)
        }
