"""`python -m tests.matrices.alert_defects [--runs DIR] [NAME …]`: defects of alerting, each named.

The first two short runs (`redis-slow`, `service-kill`) are recorded by gameday as it is, or taken
from DIR. Each defect of the rules is then put into a copy of one of them: its rule file is edited,
and the alerts are those that the rules as they are now give over the samples of the run. The
copy is judged and its draft written: both must say which defect it is, where, and the cure. The
defects of routing are put into a real Alertmanager behind a real Prometheus, where Debian's are
installed, and what these answer is judged.
"""

import argparse
import asyncio
import html
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import yaml

from gameday.core.clock import NS, SystemClock
from gameday.core.network.listen import Listen
from gameday.evidence.model import Evidence
from gameday.evidence.read import read
from gameday.judge import checks
from gameday.judge.alert_replay import load_run, play
from gameday.judge.judge import judge
from gameday.judge.verdict import Validity, Verdict
from gameday.report.inputs import read_material
from gameday.report.messages import Messages
from gameday.report.postmortem import compose
from gameday.run.webhook import block
from gameday.spec.experiment import Expect
from gameday.telemetry.alerts.rules import load_rules
from tests.support.prometheus import alertmanager, free_port, prometheus
from tests.support.rundirs import RUN, RunDir
from tests.telemetry.test_collector_tick import Service
from tests.telemetry.test_prometheus import collecting

ROOT = Path(__file__).parents[2]
CLOCK = SystemClock()
TOKEN = "the-token-of-a-matrix"
RECORDED = ("redis-slow", "service-kill")
REDIS_SLOW = (
    "histogram_quantile(0.95, sum by (le)"
    ' (rate(dependency_seconds_bucket{dependency="redis"}[3s]))) > 0.1'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleDefect:
    """Text of the rule file of a recorded run, and what stands there instead; `says` names it."""

    name: str
    says: Sequence[str]
    edits: Sequence[tuple[str, str]]
    run: str = "redis-slow"
    expects: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingDefect:
    """What is wrong in Alertmanager or beside it; the verdict of the check `routing` names it."""

    name: str
    says: Sequence[str]
    config: Mapping[str, Any]
    silenced: bool = False
    deaf: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """What was said of a defect, and which of the words that name it are missing."""

    name: str
    said: str
    missing: Sequence[str]


def _redis_slow(expr: str = "", **keys: str) -> tuple[str, str]:
    """The rule RedisSlow of the quick rules, and the same with another expression or keys."""
    text = (ROOT / "experiments" / "rules" / "quick.yml").read_text()
    begin = text.index("      - alert: RedisSlow\n")
    whole = text[begin : text.index("      - alert: RedisErrors\n")]
    changed = whole.replace(REDIS_SLOW, expr) if expr else whole
    for key, value in keys.items():
        name = key.rstrip("_")
        old = next((ln for ln in changed.splitlines() if ln.startswith(f"        {name}:")), None)
        new = f"        {name}: {value}"
        changed = (
            changed.replace(old, new)
            if old
            else changed.replace("        for:", f"{new}\n        for:")
        )
    assert changed != whole, (expr, keys)
    return whole, changed


def _without_redis_slow() -> tuple[str, str]:
    whole, _ = _redis_slow(for_="9s")
    return whole, ""


PLACE = "quick.yml:29:9"
RULES = (
    RuleDefect(
        name="bad expression",
        says=["RedisSlow", "cannot be evaluated", "both match", "Mend the expression"],
        edits=[
            _redis_slow("dependency_seconds_bucket > on (dependency) dependency_seconds_bucket - 1")
        ],
    ),
    RuleDefect(
        name="long for", says=["its `for` is 70 s", "A shorter `for`", PLACE],
        edits=[_redis_slow(for_="70s")],
    ),
    RuleDefect(
        name="wrong label",
        says=["severity=''", "labels team: page", "Mend the labels", PLACE],
        edits=[_redis_slow(labels="{team: page}")],
    ),
    RuleDefect(
        name="wrong severity",
        says=["severity='ticket'", "labels severity: ticket", "Mend the labels", PLACE],
        edits=[_redis_slow(labels="{severity: ticket}")],
    ),
    RuleDefect(
        name="wrong threshold", says=["its figure came to 0.", "> 1 is asked", "threshold", PLACE],
        edits=[_redis_slow(REDIS_SLOW.replace("> 0.1", "> 1"))],
    ),
    RuleDefect(
        name="wrong comparison",
        says=["comparison", "the wrong way round", "< 0.1 is asked", PLACE],
        edits=[_redis_slow(REDIS_SLOW.replace("> 0.1", "< 0.1"))],
    ),
    RuleDefect(
        name="rule file not loaded", says=["no rule of that name is loaded", "Load the rule file"],
        edits=[_without_redis_slow()],
    ),
    RuleDefect(
        name="metric renamed",
        says=["dependency_duration_seconds_bucket, which nobody told", "mend the rule", PLACE],
        edits=[_redis_slow(REDIS_SLOW.replace("dependency_s", "dependency_duration_s"))],
    ),
    RuleDefect(
        name="wrong matcher",
        says=["no series has dependency='cache'", "there is: postgres, redis", "Mend the matcher"],
        edits=[_redis_slow(REDIS_SLOW.replace('"redis"', '"cache"'))],
    ),
    RuleDefect(
        name="keep_firing_for too long",
        says=["resolved", "`keep_firing_for` is 60 s", "A shorter one", PLACE],
        edits=[_redis_slow(keep_firing_for="60s")],
    ),
    RuleDefect(
        name="recording rule missing",
        says=["it reads redis:p95, which no rule records", "Load the recording rule", PLACE],
        edits=[_redis_slow("redis:p95 > 0.1")],
    ),
    RuleDefect(
        name="window too long",
        says=["its window of 18 s", "A shorter window", PLACE],
        edits=[_redis_slow(REDIS_SLOW.replace("[3s]", "[18s]"))],
    ),
    RuleDefect(
        name="window too short",
        says=["its window of 1 s holds fewer than two samples", "A longer window", PLACE],
        edits=[_redis_slow(REDIS_SLOW.replace("[3s]", "[1s]"))],
    ),
    RuleDefect(
        name="scrape target gone", run="service-kill",
        says=["RedisSlow", "told nothing", "Mend the target"],
        edits=[],
        expects=[{"alert": "RedisSlow", "fires_within": "4s"}],
    ),
)  # fmt: skip


def _config(route: Mapping[str, Any], port: int, **more: Any) -> dict[str, Any]:
    pasted = yaml.safe_load(block(Listen("127.0.0.1", port)))
    (receiver,) = [each for each in pasted["receivers"] if each["name"] == "gameday"]
    auth = receiver["webhook_configs"][0]["http_config"]["authorization"]
    auth.pop("credentials_file", None)
    auth["credentials"] = TOKEN
    quick = {"group_wait": "0s", "group_interval": "1s", "receiver": "gameday"}
    return {"route": {**quick, **route}, "receivers": [receiver, {"name": "nobody"}], **more}


ROUTING = (
    RoutingDefect(name="nothing is wrong", says=["a receiver was notified"], config={}),
    RoutingDefect(
        name="broken route",
        says=["its route leads to nobody, and not to gameday", "mend the matchers of `route`"],
        config={"route": {"routes": [{"matchers": ["severity=page"], "receiver": "nobody"}]}},
    ),
    RoutingDefect(
        name="silence",
        says=["a silence keeps it back", "by a matrix: forgotten", "Expire the silence"],
        config={},
        silenced=True,
    ),
    RoutingDefect(
        name="inhibition",
        says=["is inhibited by Other", "`inhibit_rules`"],
        config={
            "inhibit_rules": [
                {"source_matchers": ["alertname=Other"], "target_matchers": ["severity=page"]}
            ]
        },
    ),
    RoutingDefect(
        name="receiver down",
        says=["could not deliver to gameday", "is that receiver up"],
        config={},
        deaf=True,
    ),
    RoutingDefect(
        name="group_wait too long",
        says=["gameday waits for 300 s (group_wait)", "never notifies", "a shorter `group_wait`"],
        config={"route": {"group_wait": "5m"}},
    ),
)


def record(name: str, runs: Path) -> Path:
    """A short run of a shipped experiment, which must have held. Raises RuntimeError."""
    found = sorted(path for path in runs.glob(f"*-{name}-????") if (path / "result.json").exists())
    if found:
        return found[-1]
    command = [sys.executable, "-m", "gameday", "run", name, "--short", "--runs", str(runs)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = sorted(runs.glob(f"*-{name}-????"))
    if not found:
        raise RuntimeError(done.stderr[-500:])
    return found[-1]


def seeded(run_dir: Path, defect: RuleDefect, folder: Path) -> Row:
    """The run judged with the defect in its rules: the check `alerts`, and the draft."""
    copy = folder / run_dir.name
    shutil.copytree(run_dir, copy)
    (rules,) = (copy / "inputs" / "rules").iterdir()
    text = rules.read_text()
    for before, after in defect.edits:
        assert before in text, defect.name
        text = text.replace(before, after)
    rules.write_text(text)
    evidence = _with_defect(run_dir, copy, rules, defect)
    found = judge(evidence)
    (copy / "result.json").write_bytes(found.to_bytes())
    said = next(check.summary for check in found.checks if check.name == "alerts")
    draft = compose(read_material(copy), Messages("en"))
    plain = html.unescape(draft.replace("\\", ""))
    missing = [each for each in defect.says if each not in said]
    missing += [f"{each} (draft)" for each in defect.says if each not in plain]
    return Row(defect.name, said, missing)


def _with_defect(run_dir: Path, copy: Path, rules: Path, defect: RuleDefect) -> Evidence:
    """What would have been recorded with these rules. The seal is that of the run as it was."""
    evidence = replace(read(run_dir), folder=copy)
    if defect.expects:
        expect = Expect.model_validate({"alerts": list(defect.expects)})
        experiment = evidence.experiment.model_copy(update={"expect": expect})
        plan = evidence.plan.model_copy(update={"experiment": experiment})
        evidence = replace(evidence, effective=plan)
    run = load_run(copy, evidence)
    played = play(run, [load_rules(rules)])
    alerts, problems = dict(played.lines), played.problems
    lines = tuple(
        replace(line, alerts=alerts[line.t_ns], problems=problems or None)
        for line in evidence.evaluations
    )
    return replace(evidence, evaluations=lines)


async def routed(defect: RoutingDefect, folder: Path) -> Row:
    """A real alert through a real Alertmanager with the defect, and what the check says of it."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # of tasks cut at the end
    port = free_port()
    made = _config(defect.config.get("route", {}), port)
    made |= {key: value for key, value in defect.config.items() if key != "route"}
    heard = free_port() if defect.deaf else port
    rules = "".join(_rule(name, n) for name, n in (("Other", 1), ("RedisSlow", 2)))
    async with Service() as service:
        service.body = "broken 0\n"
        target = [f"127.0.0.1:{service.port}"]
        with (
            alertmanager(folder / "a", yaml.safe_dump(made)) as manager,
            prometheus(
                folder / "p", target, rules=f"groups:\n- name: g\n  rules:\n{rules}",
                alertmanager=manager.removeprefix("http://"),
            ) as url,
        ):  # fmt: skip
            if defect.silenced:
                await _silence(manager)
            receiver = {"host": "127.0.0.1", "port": heard, "token": TOKEN}
            more: dict[str, Any] = {"receiver": receiver, "alertmanager": {"url": manager}}
            async with collecting(folder, url, **more) as grid:
                await grid.open()
                await _is_found(url)
                service.body = "broken 1\n"  # what inhibits is there first
                await grid.until(lambda line: "Other" in _names(line["routing"]), 40)
                service.body = "broken 2\n"
                line = await grid.until(lambda line: _shows(line["routing"], defect), 40)
    found = _judged(line["routing"], folder)
    missing = [each for each in defect.says if each not in found.summary]
    good = found.validity is (
        Validity.INVALID if defect.name != "nothing is wrong" else Validity.VALID
    )
    return Row(defect.name, found.summary, missing if good else [*missing, str(found.validity)])


def _rule(name: str, n: int) -> str:
    severity = "page" if name == "RedisSlow" else "info"
    return f"  - {{alert: {name}, expr: 'broken >= {n}', labels: {{severity: {severity}}}}}\n"


def _names(line: Mapping[str, Any]) -> set[str]:
    """The alerts that Alertmanager has."""
    return {each["alert"] for each in line.get("routed") or ()}


def _shows(line: Mapping[str, Any], defect: RoutingDefect) -> bool:
    """Alertmanager has the alert, and has done with it what it does."""
    known = [each for each in line.get("routed") or () if each["alert"] == "RedisSlow"]
    if not known:
        return False
    told = [each for each in line["notified"] or () if each["labels"]["alertname"] == "RedisSlow"]
    if defect.name == "nothing is wrong":
        return bool(told)
    if defect.deaf:
        return bool(line.get("failed"))
    kept = known[0].get("silenced_by") or known[0].get("inhibited_by")
    return bool(kept) if defect.silenced or "inhibit_rules" in defect.config else "waits" in line


def _judged(line: Mapping[str, Any], folder: Path) -> Verdict:
    """The check `routing` over a run in which the alert fires, with that routing all along."""
    run = RunDir()
    run.expect(alerts=[{"alert": "RedisSlow", "fires_within": "10s", "receiver": "gameday"}])
    for each in run.evaluations:
        notified = [{**one, "at": each["t"]} for one in line["notified"] or ()]
        each["routing"] = {**line, "notified": notified}
    run.write(folder / RUN)
    found = checks.run("routing", checks.CHECKS["routing"], read(folder / RUN))
    assert isinstance(found, Verdict)
    return found


async def _is_found(url: str) -> None:
    """Prometheus knows its Alertmanager: what fires before is sent again a minute later."""
    deadline_ns = CLOCK.now_ns() + 30 * NS
    async with httpx.AsyncClient(trust_env=False) as client:
        while True:
            answer = (await client.get(f"{url}/api/v1/alertmanagers")).json()
            if answer["data"]["activeAlertmanagers"]:
                return
            assert CLOCK.now_ns() < deadline_ns, answer
            await CLOCK.sleep(0.2)


async def _silence(manager: str) -> None:
    body = {
        "matchers": [{"name": "severity", "value": "page", "isRegex": False}],
        "startsAt": "2020-01-01T00:00:00Z",
        "endsAt": "2099-01-01T00:00:00Z",
        "createdBy": "a matrix",
        "comment": "forgotten",
    }
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{manager}/api/v2/silences", json=body)
    assert answer.status_code == 200, answer.text


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--runs", type=Path, help="where short runs stand already")
    asked = parser.parse_args()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        runs = asked.runs or folder / "runs"
        for n, defect in enumerate(d for d in RULES if not asked.names or d.name in asked.names):
            rows.append(seeded(record(defect.run, runs), defect, folder / f"rules-{n}"))
            _show(rows[-1])
        for n, broken in enumerate(d for d in ROUTING if not asked.names or d.name in asked.names):
            there = folder / f"routing-{n}"
            there.mkdir()
            rows.append(asyncio.run(routed(broken, there)))
            _show(rows[-1])
    right = sum(not row.missing for row in rows)
    sys.stdout.write(f"{right} of {len(rows)} are named as they should be\n")
    return 0 if right == len(rows) else 1


def _show(row: Row) -> None:
    state = "named" if not row.missing else f"NOT NAMED, missing {json.dumps(list(row.missing))}"
    sys.stdout.write(f"{row.name}: {state}\n    {row.said}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
