"""Rot: a playbook is held against what there is now, and what is right is left alone."""

# ruff: noqa: E501  - a table of lines reads best with one of them a line

import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner

from gameday.cli import COMMANDS, main
from gameday.cli.rot import understand
from gameday.core.errors import FileError
from gameday.plan.rot import Surroundings, commands, passages, rot, surroundings
from gameday.spec.inputs import LoadedPlaybook, find_system, load_playbook, load_system
from gameday.spec.playbook import read_markdown
from gameday.spec.shipped import all_playbooks
from tests.matrices.rot import Tally
from tests.matrices.rot_mutants import mutants, project
from tests.support.catalogue import service_metrics

ROOT = Path(__file__).parents[2]
BOOK = """\
---
name: slow
alerts: [IssuanceSlow]
severity: page
---

# It is slow

1. Switch.

   ```yaml step
   do: use-postgres
   after: min(issuance_strategy{strategy="postgres"}) == 1
   ```

2. Look.

"""


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


@pytest.fixture(scope="module")
def around() -> Surroundings:
    return surroundings(load_system(ROOT / "system_under_test" / "system.yaml"), understand)


def book(text: str) -> LoadedPlaybook:
    playbook, front, blocks = read_markdown(text, "slow.md")
    return LoadedPlaybook(playbook, ROOT / "playbooks" / "slow.md", text.encode(), front, blocks)


def said(text: str, around: Surroundings) -> list[str]:
    system = load_system(find_system(None))
    return [str(each) for each in rot(book(text), system, around)]


@pytest.mark.parametrize("path", all_playbooks(), ids=lambda path: path.stem)
def test_the_shipped_playbooks_are_not_rotten(path: Path, around: Surroundings) -> None:
    assert rot(load_playbook(path), load_system(find_system(None)), around) == []


ROTTEN = [
    ("`issuance_over_issue` is 0.", "18:2: no metric 'issuance_over_issue': did you mean 'issuance_over_issued'?"),
    ("`lag_seconds` is 0.", "18:2: no metric 'lag_seconds': it is in no catalogue"),
    ("```promql\nsum(rate(issuance_calls_total[10s]))\n```", "19:10: no metric 'issuance_calls_total'"),
    ("```promql\nsum by (store) (pool_live)\n```", "no label 'store'"),
    ("```promql\npool_live{dependency=\"mysql\"}\n```", "no dependency 'mysql': one of postgres, redis"),
    ("```promql\nsum(\n```", "19:1: an expression that is none: 'sum('"),
    ("`pool_live{store=\"redis\"}`", "no label 'store'"),
    ("`curl -s http://127.0.0.1:9103/metrics`", "'http://127.0.0.1:9103/metrics': no part of the system has the port 9103"),
    ("`curl -s http://10.1.2.3:9102/metrics`", "no part of the system is at '10.1.2.3'"),
    ("`curl -X POST http://127.0.0.1:9102/admin/halt`", "the system is asked nothing at '/admin/halt'"),
    ("It listens at `127.0.0.1:8081`.", "no part of the system has the port of '127.0.0.1:8081'"),
    ("Its admin port is 9104.", "18:19: no part of the system has the port '9104'"),
    ("`redis-cli -p 16380 ping`", "the port '16380'"),
    ("`valkey-cli -h 127.0.0.1 --port 6390 info`", "the port '6390'"),
    ("`POST /admin/strategie`", "18:7: the system is asked nothing at '/admin/strategie': did you mean '/admin/strategy'?"),
    ("`POST /admin/strategy {\"mode\": \"postgres\"}`", "no action sends '{\"mode\": \"postgres\"}'"),
    ("`gameday run redis-slow --quick`", "18:25: 'gameday run' has no option '--quick'"),
    ("`gameday acknowledge`", "'gameday' has no command 'acknowledge'"),
    ("`gameday incident claim`", "'gameday incident' has no command 'claim'"),
    ("```sh\n$ A=1 gameday up --with x  # so\n```", "'gameday up' has no option '--with'"),
    ("`python -m gameday traffic --uri http://127.0.0.1:8080/`", "'gameday traffic' has no option '--uri'"),
    ("`gameday run redis-slow --stack docker`", "'run --stack' cannot be 'docker'"),
    ("`gameday incident severity high`", "cannot be 'high'"),
    ("`gameday check last again`", "takes no further 'again'"),
    ("`gameday run redis-slow --runs`", "'--runs' needs a value"),
    ("`gameday run redis-slw`", "18:14: there is no experiment 'redis-slw': did you mean 'redis-slow'?"),
    ("`gameday check last > told.txt again`", "takes no further 'again'"),
    ("`gameday incident act 7`", "18:23: there is no step '7': one of 1, 2"),
    ("`gameday incident act db-gone:1`", "there is no playbook 'db-gone'"),
    ("`gameday drill redis-slow --windows 5m`", "'gameday drill' has no option '--windows'"),
    ("`gameday drill redis-slw`", "there is no experiment 'redis-slw'"),
    ("`gameday run coupon-drop`", "there is no experiment 'coupon-drop'"),
    ("`gameday day coupon-drp`", "there is no experiment or game day 'coupon-drp'"),
    ("`gameday schedule list redis-slow`", "there is no game day 'redis-slow'"),
    ("`gameday incident act use-mysql`", "'use-mysql' is not an action of the system"),
    ("`docker compose up --scale api=3`", "the compose file has no service 'api'"),
    ("[x](redis-slo.md)", "18:5: the link 'redis-slo.md' leads to no file: did you mean 'redis-slow.md'?"),
    ("[x](redis-slow.md#confirm)", "there is no heading 'confirm'"),
    ("[x](#its-slow)", "there is no heading 'its-slow': did you mean 'it-is-slow'?"),
    ("[x](htps://example.com/)", "is no address: did you mean"),
    ("[x](https:/example.com/)", "is no address: write https://HOST/PATH"),
    ("[x]()", "a link to nothing"),
    ("[x]: ../docs/gone.md", "leads to no file"),
    ("The alert `QueueFull` fires.", "18:12: no rule raises 'QueueFull'"),
    ("`IssuanceSlower`", "no rule raises 'IssuanceSlower': did you mean 'IssuanceSlow'?"),
    ("See step 7, or steps 1 and 9.", "there is no step '9': one of 1, 2"),
    ("See step 9 of this playbook.", "there is no step '9': one of 1, 2"),
    ("The experiment `redis-late` drills it.", "there is no experiment 'redis-late'"),
    ("Go on with the playbook `db-gone`.", "there is no playbook 'db-gone'"),
    ("See `experiments/redis-late.yaml`.", "there is no file 'experiments/redis-late.yaml'"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "what"), ROTTEN, ids=[line for line, _ in ROTTEN])
def test_what_is_there_no_more_is_named_with_its_place(
    line: str, what: str, around: Surroundings
) -> None:
    told = said(BOOK + line + "\n", around)
    assert any(what in each for each in told), told
    assert all(each.startswith("slow.md:") for each in told)


RIGHT = [
    "`gameday show redis-slow 2> errors >>told.txt`, `gameday completion bash > gameday.bash 2>&1`",
    "`issuance_request_seconds` is below 0.2, `nr_throttled` in its cgroup grows, `pg_isready` says yes.",
    "`dependency_seconds{dependency=\"postgres\"}` falls; `issuance_requests_total` rises.",
    "```promql\nsum by (dependency, instance) (rate(dependency_errors_total[10s])) and up == 1\n```",
    "`curl -fsS http://localhost:9102/metrics | grep issuance_paused` at port 8404 or ports 9102.",
    "`POST /admin/pools {\"postgres\": 32}`, then `GET /healthz`; `/etc/hosts` and `/proc/1/stat` are files.",
    "<https://grafana.example.com/d/abc?orgId=1#x> and https://wiki.example.com/runbooks.",
    "[mail](mailto:owner@example.com), [chat](slack://channel?id=1), [a](redis-slow.md#do-not), [b](../docs/)",
    "`gameday run EXPERIMENT --short`, `gameday check <run>`, `gameday incident ack|declare`, `gameday --version`",
    "```sh\nGAMEDAY_RUNS=x gameday run redis-slow \\\n  --stack compose --responder none && gameday check last --json | jq .\n```",
    "```sh\ngameday traffic --url http://127.0.0.1:8080/x --rate 1000/s --duration 30s --threshold 'http_req_duration:p(95)<200'\n```",
    "`gameday drill redis-slow --window 5m`, `gameday drill score last`, `gameday incident act db-slow:2`",
    "`gameday incident act 1`, `gameday incident act use-redis --undo`, `gameday incident note \"it's done\"`",
    "Step 2 is for people. In 2 steps of 300 ms it is there at 10:15, on port 9102.",
    "See step 9 of the Redis manual, steps 3 and 4 in [the\nguide](https://example.com/), step 5 of `redis-down`.",
    "The experiment `redis-slow` drills it; the playbook `db-slow` is another. `IssuanceSlow` fires first.",
    "`gameday toxiproxy --port 8474`",
    "`kubectl get pods -n shop`, `HTTPServer`, `CamelCase`, `docker compose up --scale service=3`",
    "```json\n{\"strategy\": \"postgres\"}\n```",
]  # fmt: skip


@pytest.mark.parametrize("line", RIGHT)
def test_what_is_right_or_of_others_is_left_alone(line: str, around: Surroundings) -> None:
    assert said(BOOK + line + "\n", around) == []


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("[IssuanceSlow]", "[IssuanceLate]", "3:10: 'alerts': no rule raises 'IssuanceLate'"),
        ("severity: page", "do_not: [pause, halt]", "4:17: 'do_not': 'halt' is not an action"),
        ("severity: page", "severity: pager", "4:1: 'severity': unknown severity 'pager'"),
        ("severity: page", "severity: warning", "'warning', and the rules of its alerts say page"),
        ("issuance_strategy", "issuance_mode", "13:4: 'after': no metric 'issuance_mode'"),
        ("{strategy=", "{mode=", "13:4: 'after': no label 'mode'"),
        ('"postgres"', '"mysql"', "13:4: 'after': no strategy 'mysql': one of postgres, redis"),
    ],
)
def test_the_head_and_the_probes_are_looked_at_too(
    old: str, new: str, what: str, around: Surroundings
) -> None:
    told = said(BOOK.replace(old, new), around)
    assert any(what in each for each in told), told


OWN = """\
name: own
base_url: http://127.0.0.1:8000
requests: {issue: {post: /buy, outcomes: {accepted: {status: 200}}}}
dependencies: {db: max(db_wait_seconds)}
proxies: {db: db}
actions: {cut: {post: /ops/cut}}
"""


def test_without_a_catalogue_only_what_is_nearly_a_known_name_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "system.yaml").write_text(OWN)
    system = load_system(tmp_path / "system.yaml")
    own = surroundings(system, understand)
    text = "---\nname: slow\nalerts: [Anything]\n---\n\n`my_queue_length` is 0, `db_wait_second` too.\n"
    told = [each.text for each in rot(book(text), system, own)]
    assert told == ["no metric 'db_wait_second': did you mean 'db_wait_seconds'?"]


def test_a_catalogue_that_cannot_be_read_has_its_place(tmp_path: Path) -> None:
    (tmp_path / "system.yaml").write_text(f"{OWN}catalogue: [gone.prom]\n")
    with pytest.raises(
        FileError, match=r"system.yaml:7:13: 'catalogue': 'gone.prom' cannot be read"
    ):
        surroundings(load_system(tmp_path / "system.yaml"))


def series(text: str) -> set[str]:
    return {re.sub(r" \S+$", "", line) for line in text.splitlines() if not line.startswith("#")}


def test_the_catalogue_is_what_the_service_tells() -> None:
    kept = (ROOT / "system_under_test" / "prometheus" / "catalogue.prom").read_text()
    assert series(kept) == series(service_metrics()), "python -m tests.support.catalogue > …"


PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_commands_in_our_own_pages_are_those_that_there_are(
    path: Path, around: Surroundings
) -> None:
    pages = passages.read(path.read_text(), path.name)
    told = [str(each) for each in commands.of_pages(pages, around)]
    coming = () if "console" in COMMANDS else ("--console",)
    of_steps, inside = "there is no step", "--given"  # of the playbook of a run; what a drill calls
    own = [
        f"experiment {name!r}"
        for name in re.findall(r"^```yaml (\S+)\.yaml", path.read_text(), re.MULTILINE)
    ]
    known = (*coming, *own, of_steps, inside)
    assert not [line for line in told if not any(words in line for words in known)]


HOSTILE = {
    "code spans": "`1:" * 40_000,
    "names": "".join(f"`issuance_{n}` " for n in range(8_000)),
    "backticks": "`" * 100_000,
    "brackets": "](" * 80_000,
    "calls": "`GET /a {GET /a {` " * 8_000,
    "commands": "`gameday x;` " * 15_000,
    "anchors": "".join(f"[a](redis-slow.md#a{n}) " for n in range(8_000)),
    "one word": "`" + "a_" * 200_000 + "`",
}  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_playbook_is_looked_through_in_bounded_time(
    text: str, around: Surroundings
) -> None:
    assert len(said(f"{BOOK}{text[:99_000]}\n", around)) <= 50


def test_a_playbook_that_nobody_could_have_written_is_not_looked_through(
    around: Surroundings,
) -> None:
    assert said(BOOK + "x " * 60_000 + "\n", around) == [
        "slow.md:2:1: more than 100,000 bytes: not held against what there is now"
    ]


def test_a_sample_of_seeded_rot_is_found() -> None:
    """The whole is `python -m tests.matrices.rot`."""
    files, tally = project(), Tally()
    for mutant in mutants(files, 10, seed=7):
        tally.look_at(mutant, files)
    assert len(tally.missed) <= 1, [mutant.title for mutant in tally.missed]
    assert tally.alarms == []


class Site(BaseHTTPRequestHandler):
    """A site with one page, one that has moved, and one that nobody may see."""

    def do_GET(self) -> None:
        self.send_response({"/there": 200, "/moved": 301, "/closed": 403}.get(self.path, 404))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def site() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_links_are_asked_where_they_may_be(site: str, tmp_path: Path) -> None:
    page = tmp_path / "slow.md"
    there = "".join(f"[x]({site}/{path}) " for path in ("there", "moved", "closed", "gone"))
    page.write_text(f"{BOOK}{there}\n\n[y](http://192.0.2.1/) [z](http://nowhere.invalid/)\n")
    told = CliRunner().invoke(main, ["validate", "--links", str(page)]).stdout
    assert f"the link '{site}/gone': dead: it answers 404" in told
    assert "'http://192.0.2.1/': not looked at" in told
    assert "--allow-target 192.0.2.1" in told
    assert "nowhere.invalid" in told
    for path in ("there", "moved", "closed"):
        assert f"{site}/{path}': dead" not in told
    quiet = CliRunner().invoke(main, ["validate", str(page)]).stdout
    assert "dead" not in quiet


def test_validate_looks_at_playbooks_and_at_that_of_an_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("experiments", "playbooks"):
        (tmp_path / name).mkdir()
    whole = (ROOT / "playbooks" / "redis-slow.md").read_text()
    (tmp_path / "playbooks" / "redis-slow.md").write_text(f"{whole}\nSee step 8.\n")
    experiment = (ROOT / "experiments" / "redis-slow.yaml").read_text()
    own = experiment.replace("rules/quick.yml", f"{ROOT}/experiments/rules/quick.yml")
    (tmp_path / "experiments" / "redis-slow.yaml").write_text(own)
    for name in ("db-slow.md", "db-down.md"):
        (tmp_path / "playbooks" / name).write_text((ROOT / "playbooks" / name).read_text())
    monkeypatch.chdir(tmp_path)
    for arguments in ([], ["redis-slow"], ["playbooks/redis-slow.md"]):
        done = CliRunner().invoke(main, ["validate", *arguments])
        assert done.stdout.count("there is no step '8'") == 1, done.output
