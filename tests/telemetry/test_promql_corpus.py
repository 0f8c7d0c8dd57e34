"""Prometheus' own scripts for PromQL, as they lie in the cache of Go's modules.

`go mod download github.com/prometheus/prometheus@v0.313.5` puts them there; `GAMEDAY_PROMETHEUS`
names the module's folder where that is another cache. They are run from there, and never copied.
"""

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.support.promqltest import Outcome, count, run

MODULE = "github.com/prometheus/prometheus@v0.313.5"
SCRIPTS = Path("promql", "promqltest", "testdata")
NO_VALUE = ("is a text, not a value", "is a range, not a value", "Prometheus has no value for")


@cache
def scripts() -> Path | None:
    """The folder of the scripts, where there is one."""
    folder = os.environ.get("GAMEDAY_PROMETHEUS", "")
    if not folder and (go := shutil.which("go")):
        asked = [go, "env", "GOMODCACHE"]
        told = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
        folder = str(Path(told, MODULE)) if told else ""
    found = Path(folder, SCRIPTS)
    return found if folder and found.is_dir() else None


@cache
def outcomes() -> list[Outcome]:
    folder = scripts()
    if folder is None:
        pytest.skip(f"no scripts: `go mod download {MODULE}`, or GAMEDAY_PROMETHEUS=folder")
    return run(folder)


def test_no_script_of_prometheus_is_evaluated_wrongly() -> None:
    assert [str(each) for each in outcomes() if each.sort == "wrong"] == []


def test_what_the_scripts_ask_is_refused_only_where_it_is_no_value() -> None:
    refused = [each for each in outcomes() if each.sort == "refused"]
    assert [str(each) for each in refused if not any(why in each.why for why in NO_VALUE)] == []
    counts = count(outcomes())
    assert counts["right"] >= 0.98 * (counts["right"] + counts["refused"])
    assert counts["right"] > 790
