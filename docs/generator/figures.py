"""The small pages: settings, checks, exit codes, metrics. Each is one table of the code."""

import re
from typing import Final, get_args

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from docs.generator.files import ROOT
from gameday.cli.key_markdown import code, paragraphs, prose, table
from gameday.cli.key_reference import Reference, flow
from gameday.core.errors import ExitCode
from gameday.core.settings.keys import KEYS, OF_NO_PROJECT
from gameday.judge.checks import CHECKS, PERFORMANCE
from gameday.spec.experiment import ISSUANCE, CheckName
from gameday.traffic import thresholds

_INVARIANT: Final = re.compile(r"\s*\((?:I\d+(?:, )?)+\)")  # the numbering is the code's own


def settings_page() -> str:
    """Every setting: its variable, its default, and what it is for."""
    lines = ["# Settings\n"]
    lines += [paragraphs(_SETTINGS) + "\n"]
    rows = []
    for key in KEYS.values():
        kind = Reference({}).type_of(key.schema)
        default = "–" if key.default in (None, []) else code(flow(key.default))
        about = key.about
        if key.name in OF_NO_PROJECT and "file" not in about:
            about += " Not in a project's file."
        rows.append((code(key.name), code(key.variable), kind, default, prose(about)))
    lines += table(("setting", "variable", "type", "default", "meaning"), rows)
    return "\n".join(lines)


_SETTINGS: Final = """A dotted name is a key of a table in the file: `bounds.audit_bytes` is
`audit_bytes` under `[bounds]`. `gameday doctor` shows each value and where it comes from."""


def checks_page() -> str:
    """Every check of a verdict: what it holds, and what it is about."""
    lines = ["# Checks\n", _CHECKS + "\n"]
    rows = []
    for name in get_args(CheckName):
        names = get_args(name) or (name,)
        rows += [_check(each) for each in names]
    lines += table(("check", "about", "it holds when"), rows)
    return "\n".join(lines)


_CHECKS: Final = """Each says valid, invalid or unknown, or does not apply, with the reason. How a
verdict comes of them is told in [Reading a verdict](../verdict.md)."""


def _check(name: str) -> tuple[str, str, str]:
    about = "performance" if name in PERFORMANCE else "the run"
    about = "what was issued" if name in ISSUANCE else about
    text = _INVARIANT.sub("", CHECKS[name].__doc__ or "")
    return code(name), about, prose(text)


def exit_codes_page() -> str:
    """The exit codes, in the order in which they apply."""
    lines = ["# Exit codes\n", "Where several apply, the first of this table is the one.\n"]
    lines += table(("code", "meaning"), [(f"{each:d}", prose(each.meaning)) for each in ExitCode])
    return "\n".join(lines)


def metrics_page() -> str:
    """What can be read in PromQL, what thresholds can name, and what the shipped service tells."""
    lines = ["# Metrics\n", "## In PromQL: objectives, guards, rules, playbook steps\n"]
    lines += ["A histogram has `_bucket`, `_sum` and `_count`.\n"]
    series = [(code(name), prose(about)) for name, about in thresholds.SERIES.items()]
    lines += table(("metric", "meaning"), series)
    lines += ["## In thresholds\n"]
    rows = [
        (code(name), kind, ", ".join(map(code, thresholds.STATISTICS[kind])), prose(about))
        for name, kind in thresholds.METRICS.items()
        for about in [thresholds.MEANINGS[name]]
    ]
    lines += table(("metric", "kind", "what of it", "meaning"), rows)
    lines += [f"Tags that may stand in braces: {', '.join(map(code, thresholds.TAGS))}.\n"]
    lines += ["## Of the shipped service\n"]
    rows2 = [(code(each.name), each.type, prose(each.documentation)) for each in _service()]
    lines += table(("metric", "kind", "meaning"), rows2)
    return "\n".join(lines)


def _service() -> list[Metric]:
    """The metrics that the shipped service offers: a kept answer of it, which a test renews."""
    kept = (ROOT / "system_under_test" / "prometheus" / "catalogue.prom").read_text()
    found = text_string_to_metric_families(kept)
    return sorted(found, key=lambda each: str(each.name))
