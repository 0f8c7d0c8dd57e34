"""What a file may hold, given to what the commands call: every kind of file, a little changed.

The good files are those that gameday ships and those of the tests. Nothing is started but the
sandbox of k6's scripts, and nothing is connected to.
"""

import atexit
import os
import random
import shutil
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from tests.fuzz import mutations
from tests.fuzz.running import Case

ROOT = Path(__file__).parent.parent.parent
K6_SCRIPTS = ROOT / "tests" / "traffic" / "k6_scripts"
SANDBOXED = 0.1
TOXIPROXY = b"""[
  {"name": "redis", "listen": "127.0.0.1:0", "upstream": "127.0.0.1:6379", "enabled": true},
  {"name": "postgres", "listen": "[::1]:0", "upstream": "localhost:5432"}
]"""
STACK = b"""{"schema_": 1, "state": "running", "started_at": "2026-11-28T08:30:00Z", "name": "x",
  "system_file": "/x/system.yaml", "start": {"argv": ["python", "-m", "x"], "ready": "/"},
  "undo": [{"kind": "process", "pid": 999999, "start_time": "1", "name": "redis", "token": "t",
            "signal": "SIGTERM"}, {"kind": "folder", "path": "/nowhere"}],
  "base_url": "http://127.0.0.1:1", "environment": {"A": "b"}, "direct": {"redis": "redis://h:1"},
  "proxied": {}, "logs": {"redis": "/nowhere/redis.log"}, "secrets": ["abcdefgh"],
  "binaries": {"redis": "/nowhere"}}"""
SETTINGS = b"""runs = "evidence"
[generator]
kept_from = 0.9
lag_ms = 20
[timeouts]
close = "10s"
"""
HOLD = b'{"reason": "why", "by": "ann", "since": "2026-11-28T08:30:00Z"}'
CALIBRATION = b'{"kept_per_s": 9000.0, "top_per_s": 9500, "boot": "b", "version": "0.1.0"}'

Given = tuple[str, bytes]
Change = Callable[[random.Random, bytes], bytes]
Reader = Callable[[Given], None]


def cases() -> Mapping[str, Case]:
    """Every reader of files, by its name."""
    yaml, lines = mutations.of_yaml, mutations.of_lines
    shipped: dict[str, tuple[list[Path], Change, Reader]] = {
        "experiment": (sorted((ROOT / "experiments").glob("*.yaml")), yaml, _experiment),
        "traffic": (sorted((ROOT / "experiments").glob("*.yaml")), yaml, _traffic),
        "system": ([ROOT / "system_under_test" / "system.yaml"], yaml, _system),
        "playbook": (sorted((ROOT / "playbooks").glob("*.md")), mutations.bytewise, _playbook),
        "rules": (sorted(ROOT.glob("*/[rp]*/*.yml")), yaml, _rules),
        "script": (sorted(K6_SCRIPTS.glob("*.js")), mutations.bytewise, _js),
    }
    empty = [name for name, (paths, _, _) in shipped.items() if not paths]
    if empty:  # files that moved away are not files that hold
        raise FileNotFoundError(f"no good file to change: {', '.join(empty)}")
    made: dict[str, tuple[bytes, Change, Reader]] = {
        "toxiproxy": (TOXIPROXY, mutations.of_json, _toxiproxy),
        "settings": (SETTINGS, mutations.bytewise, _settings),
        "stack": (STACK, mutations.of_json, partial(_state, "stack.json")),
        "hold": (HOLD, mutations.of_json, partial(_state, "hold.json")),
        "calibration": (CALIBRATION, mutations.of_json, partial(_state, "calibration.json")),
        "journal": (_run_file("journal.jsonl"), lines, _journal),
    }
    return {
        **{name: Case(partial(_one_of, a, b), read) for name, (a, b, read) in shipped.items()},
        **{name: Case(partial(_changed, a, b), read) for name, (a, b, read) in made.items()},
        "run": Case(_damaged_run, _run),
    }


def _one_of(paths: list[Path], change: Change, draw: random.Random) -> Given:
    path = draw.choice(paths)
    return path.name, change(draw, path.read_bytes())


def _changed(raw: bytes, change: Change, draw: random.Random) -> Given:
    return "", change(draw, raw)


@cache
def _a_run() -> Path:
    """A whole run directory, made once."""
    from tests.support.rundirs import RunDir

    folder = Path(mkdtemp(prefix="gameday-fuzz-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return RunDir().write(folder)


def _run_file(name: str) -> bytes:
    return (_a_run() / name).read_bytes()


def _damaged_run(draw: random.Random) -> Given:
    """One file of a run directory, changed."""
    files = sorted(path for path in _a_run().rglob("*") if path.is_file())
    path = draw.choice(files)
    changes = {".jsonl": mutations.of_lines, ".json": mutations.of_json}
    change = changes.get(path.suffix, mutations.bytewise)
    return str(path.relative_to(_a_run())), change(draw, path.read_bytes())


def _validated(path: Path, system: Path | None = None) -> None:
    from gameday.cli.files import _judge_all

    for judged in _judge_all([str(path)], None if system is None else str(system)):
        if judged.error is not None:
            raise judged.error


def _written(folder: str, name: str, raw: bytes) -> Path:
    path = Path(folder, name)
    path.write_bytes(raw)
    return path


def _experiment(given: Given) -> None:
    from gameday.evidence.effective import dump
    from gameday.spec.inputs import load_inputs
    from gameday.traffic.k6.export_script import export_script

    with TemporaryDirectory(prefix="gameday-fuzz-") as folder:
        shutil.copytree(ROOT / "experiments" / "rules", Path(folder, "rules"))
        path = _written(folder, *given)
        _validated(path)
        inputs = load_inputs(str(path), None)
        dump(inputs.experiment.experiment)
        export_script(inputs.experiment.experiment, inputs.system.system)


def _traffic(given: Given) -> None:
    from gameday.run.load_test.request import (
        Load,
        Target,
        check_traffic,
        lacking,
        system_of,
        with_enough_workers,
    )
    from gameday.spec.inputs import load_experiment

    with TemporaryDirectory(prefix="gameday-fuzz-") as folder:
        loaded = load_experiment(str(_written(folder, *given)))
        check_traffic(loaded)
        system = system_of(Target(url="http://127.0.0.1:9/"))
        load = Load(experiment=loaded.experiment, system=system, workers=1)
        lacking(with_enough_workers(load))


def _system(given: Given) -> None:
    with TemporaryDirectory(prefix="gameday-fuzz-") as folder:
        shutil.copytree(ROOT / "system_under_test" / "prometheus", Path(folder, "prometheus"))
        path = _written(folder, *given)
        _validated(path)
        _validated(ROOT / "experiments" / "redis-slow.yaml", path)


def _playbook(given: Given) -> None:
    with TemporaryDirectory(prefix="gameday-fuzz-") as folder:
        _validated(_written(folder, *given))


def _rules(given: Given) -> None:
    from gameday.telemetry.alerts.rules import load_rules

    with TemporaryDirectory(prefix="gameday-fuzz-") as folder:
        load_rules(_written(folder, *given))


def _js(given: Given) -> None:
    from gameday.spec.yaml import decode
    from gameday.traffic.k6.import_script import import_script
    from gameday.traffic.k6.source import line_of, rewrite

    name, raw = given
    text = decode(raw, name)
    rewrite(text, name)
    line_of(text, "options", "scenarios")
    if random.Random(raw).random() < SANDBOXED:
        with TemporaryDirectory(prefix="gameday-fuzz-") as folder:
            import_script(_written(folder, name, raw), "x", {})


def _settings(given: Given) -> None:
    from gameday.core import settings

    with TemporaryDirectory(prefix="gameday-fuzz-") as folder:
        _written(folder, "gameday.toml", given[1])
        settings.load({"HOME": folder}, Path(folder))


def _toxiproxy(given: Given) -> None:
    from gameday.toxiproxy import config

    with TemporaryDirectory(prefix="gameday-fuzz-") as folder:
        list(config.read(_written(folder, "toxiproxy.json", given[1])))


def _state(name: str, given: Given) -> None:
    from gameday.core.files.private import state_dir
    from gameday.run import hold
    from gameday.stacks import state
    from gameday.traffic.capacity import calibration

    with TemporaryDirectory(prefix="gameday-fuzz-") as folder:
        os.environ["XDG_STATE_HOME"] = folder
        _written(str(state_dir()), name, given[1])
        kept = state.read_kept()
        if kept is not None:
            kept.parts(run=True)
            kept.parts(run=False)
        hold.current()
        calibration.known()


def _journal(given: Given) -> None:
    from gameday.evidence import journal
    from gameday.injection import heal

    with TemporaryDirectory(prefix="gameday-fuzz-") as folder:
        path = _written(folder, "journal.jsonl", given[1])
        records = journal.read(path).records
        heal.left_behind(records)
        heal.controller_lives(records)
        heal.is_under_way(Path(folder))


def _run(given: Given) -> None:
    """What `check`, `report` and `runs` do with it."""
    from gameday.evidence.read import read as read_evidence
    from gameday.judge.judge import judge
    from gameday.report import write_report

    with TemporaryDirectory(prefix="gameday-fuzz-") as folder:
        run = Path(folder, _a_run().name)
        shutil.copytree(_a_run(), run)
        (run / given[0]).write_bytes(given[1])
        (run / "result.json").write_bytes(judge(read_evidence(run)).to_bytes())
        write_report(run)
