"""Cells of a users file: a shop that repeats them wherever it can, and nothing of a run shows one.

The run directory, the state folder, the screen, and what later commands print are searched for
every cell that is not public, however it is escaped. What a short cell is (`Kim`, `4711`) is in
docs/own-steps.md: it is looked for where its column's name stands before it.
"""

import base64
import csv
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from gameday.console.service_logs import search
from gameday.core.secrets.redaction import MASK
from gameday.traffic import history, step_log
from gameday.traffic.history import Outcome
from tests.support.foreign_runs import ROOT, shop

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
ECHO = ROOT / "tests" / "support" / "echo_shop.py"
MEMBERS = 40
NAMES = ("Kim", "Lee", "Ann", "김철수", "Ärger-Straße", "O'Neil-Ryan", "<b>bold</b>", 'qu"ote99')
SECRET = ("email", "phone", "token", "name")
OUTCOMES = {
    "issued": {"status": 201},
    "duplicate": {"status": 409, "json": {"result": "again"}},
    "sold_out": {"status": 409, "json": {"result": "gone"}},
}


def token(n: int) -> str:
    """As long as those that are cut where they are quoted."""
    head, body = (
        base64.urlsafe_b64encode(f"{part}{n:04d}".encode()).decode() for part in ("h", "b" * 60)
    )
    return f"{head.rstrip('=')}.{body.rstrip('=')}.s1g{n:04d}n4ture"


def member(n: int) -> dict[str, str]:
    return {
        "id": f"m-{n:03d}",
        "email": f"member{n:04d}+x@shop.example",
        "phone": f"8210{n:08d}",
        "token": token(n),
        "pin": str(4711 + n),
        "name": NAMES[n % len(NAMES)],
    }


PEOPLE = [member(n) for n in range(MEMBERS)]
LOGIN = {
    "post": "/login",
    "json": {"email": "{email}", "name": "{name}", "pin": "{pin}", "phone": "{phone}"},
    "capture": {"session": "token"},
    "per": "user",
}
ORDER = {
    "post": "/orders",
    "headers": {"Authorization": "Bearer {session}", "X-Phone": "{phone}"},
    "capture": {"order": {"header": "Location"}},
}
CLAIM: dict[str, Any] = {
    "post": "{order}",
    "headers": {"Authorization": "Bearer {token}"},
    "json": {"email": "{email}"},
    "capture": {"issue_id": "id"},
    "outcomes": OUTCOMES,
}
LATER: dict[str, Any] = {
    **CLAIM,
    "capture": {"ticket": "ticket"},
    "outcomes": {"accepted": {"status": 202}},
    "poll": {
        "get": "/tickets/{ticket}",
        "every": "100ms",
        "within": "2s",
        "until": OUTCOMES,
        "capture": {"issue_id": "id"},
    },
}


class Place:
    """A folder with the files of a run, and all that was said of it."""

    def __init__(self, folder: Path, loud: Sequence[str], **changes: Any) -> None:
        self.folder = folder
        self.told = ""
        text = io.StringIO()
        rows = csv.DictWriter(text, [*PEOPLE[0]])
        rows.writeheader()
        rows.writerows(PEOPLE)
        (folder / "users.csv").write_text(text.getvalue())
        self.setting = {"members": PEOPLE, "stock": 20, "loud": list(loud)}
        (folder / "setting.json").write_text(json.dumps(self.setting))
        self.changes = changes

    def write(self, url: str, **more: Any) -> None:
        """The experiment and the system file."""
        rate = {"executor": "constant-arrival-rate", "rate": "40/s", "duration": "2s"}
        campaign = {"coupon": "SALE", "stock": 20}
        experiment = {"name": "e", "seed": 7, "campaign": campaign, "traffic": {"drop": rate}}
        system: dict[str, Any] = {
            "name": "shop",
            "base_url": url,
            "users": {"file": "users.csv", "id": "email", "public": ["id"]},
            "requests": {"before": {"login": LOGIN, "order": ORDER}, "issue": CLAIM},
            "audit": {"get": "/audit"},
            "metrics": [f"{url}/metrics"],
            "settle": "200ms",
            **self.changes,
            **more,
        }
        (self.folder / "e.yaml").write_text(json.dumps(experiment))
        (self.folder / "s.yaml").write_text(json.dumps(system))

    def gameday(self, *arguments: str) -> int:
        done = subprocess.run(
            [sys.executable, "-m", "gameday", *arguments],
            cwd=self.folder,
            env={
                **os.environ,
                "XDG_STATE_HOME": str(self.folder / "state"),
                "PYTHONPATH": str(ROOT),
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        self.told += done.stdout + done.stderr
        return done.returncode

    def run(self, *more: str) -> int:
        code = self.gameday("run", "e.yaml", "--system", "s.yaml", *more)
        found = sorted((self.folder / "runs").glob("2*"))
        for folder in found:
            for command in (("runs",), ("runs", "--json"), ("report", str(folder))):
                self.gameday(*command)
        return code

    @property
    def dir(self) -> Path:
        (found,) = (self.folder / "runs").glob("2*")
        return found

    def everything(self) -> str:
        """All that was said and kept."""
        return "\n".join(self.texts().values())

    def texts(self) -> dict[str, str]:
        """All of it by its place, a byte a letter."""
        texts = {"the screen": self.told.encode().decode("latin-1")}
        for top in ("runs", "state"):
            for each in (self.folder / top).rglob("*"):
                if each.is_file():
                    texts[str(each.relative_to(self.folder))] = each.read_bytes().decode("latin-1")
        assert len(texts) > 3
        return texts

    def leaks(self) -> list[str]:
        """Where a cell stands, and which."""
        return [
            f"{where}: {cell}" for where, text in self.texts().items() for cell in in_text(text)
        ]


FORMS = {
    form.encode().decode("latin-1"): cell
    for person in PEOPLE
    for column in SECRET
    if len(cell := person[column]) > 3 or not cell.isascii()
    for raw in (cell, quote(cell), quote(cell, safe=""), json.dumps(cell)[1:-1])
    for form in (raw, raw.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))
}
BEGINNINGS = re.compile("|".join(re.escape(each["token"][:30]) for each in PEOPLE))
ANY = re.compile("|".join(map(re.escape, FORMS)), re.IGNORECASE)
SHORT = re.compile(r"[\"'\\]*(name|pin)[\"'\\]*\s*[:=]\s*[\"'\\]*(Kim|Lee|Ann|47[1-5][0-9])\b")


def in_text(text: str) -> set[str]:
    found = {match[0] for match in ANY.finditer(text)}
    found |= {match[0] for match in BEGINNINGS.finditer(text)}
    return found | {match[0] for match in SHORT.finditer(text)}


def test_the_search_itself_finds_them() -> None:
    for cell in ("member0007+x@shop.example", "member0007%2Bx%40shop.example", "821000000007"):
        assert in_text(f"a {cell}.")
    assert in_text(f"a {token(7)[:36]}…")
    assert in_text('"name": "Kim"') and in_text("'pin': 4712") and in_text("pin=4712")
    assert not in_text("m-007, Kim and 4711")


QUIET = (  # refused by a sentence that names keys alone
    *("the audit's command prints something else", "the audit's rows are none"),
    "the audit's command tells of rows of the file",
    *("the audit is of another shape", "the audit is a page"),
)
EXTERNAL: Mapping[str, tuple[Sequence[str], Mapping[str, Any]]] = {
    "all goes well": ((), {}),
    "logins and orders are refused": (("refuses", "breaks"), {}),
    "ids of issues hold cells": (("ids",), {}),
    "the outcome comes later": (
        ("later", "ids"),
        {"requests": {"before": {"login": LOGIN, "order": ORDER}, "issue": LATER}},
    ),
    "users are told by a template": (
        ("strangers",),
        {
            "users": {"file": "users.csv", "public": ["id"]},
            "requests": {
                "before": {"login": LOGIN, "order": ORDER},
                "issue": {**CLAIM, "json": {"n": "{user}", "email": "{email}"}},
            },
        },
    ),
    "the campaign cannot be closed": (("close",), {"close": {"post": "/close"}}),
    "nothing can be reset": (("reset",), {"before_run": [{"post": "/reset"}]}),
    "the audit's rows are none": (("rows",), {}),
    "the audit is of another shape": (("shape",), {}),
    "the audit is a page": (("text",), {}),
    "the audit has other paths": (
        (),
        {"audit": {"get": "/audit", "rows": "lastBuyer", "user": "x"}},
    ),
    "the audit is told apart by phone": (("strangers",), {}),
    "its metrics are none": (("metrics",), {}),
}


@pytest.mark.parametrize("case", EXTERNAL)
def test_no_cell_of_a_users_file_is_shown(tmp_path: Path, case: str) -> None:
    loud, changes = EXTERNAL[case]
    place = Place(tmp_path, loud, **changes)
    with shop(tmp_path, ECHO, setting=str(tmp_path / "setting.json")) as url:
        place.write(url)
        place.gameday("plan", "e.yaml", "--system", "s.yaml", "--stack", "external")
        place.gameday("plan", "e.yaml", "--system", "s.yaml", "--stack", "external", "--json")
        place.run("--stack", "external", "--json")
    assert place.leaks() == []
    assert MASK in place.everything() or case in QUIET


START = {"argv": ["python", str(ECHO), "setting.json", "{port}"], "ready": "/ready"}
EMBEDDED: Mapping[str, tuple[Sequence[str], Mapping[str, Any]]] = {
    "its log says all": (("refuses", "breaks", "ids"), {}),
    "it does not start": (("start",), {}),
    "its setup says all and fails": (
        (),
        {"start": {**START, "setup": [["sh", "-c", "cat users.csv; exit 3"]]}},
    ),
    "a command says all and fails": (
        (),
        {"before_run": [{"command": ["sh", "-c", "cat users.csv >&2; exit 3"]}]},
    ),
    "the audit's command says all and fails": (
        (),
        {"audit": {"command": ["sh", "-c", "tail -3 users.csv >&2; exit 3"], "user": "$"}},
    ),
    "the audit's command prints something else": (
        (),
        {"audit": {"command": ["cat", "users.csv"], "format": "csv", "user": "none"}},
    ),
    "the audit's command tells of rows of the file": (
        (),
        {
            "audit": {
                "command": ["cat", "users.csv"],
                "format": "csv",
                "user": "phone",
                "id": "token",
            }
        },
    ),
}


@pytest.mark.parametrize("case", EMBEDDED)
def test_no_cell_is_shown_of_a_service_that_gameday_starts(tmp_path: Path, case: str) -> None:
    loud, changes = EMBEDDED[case]
    place = Place(tmp_path, loud, **{"start": START, **changes})
    place.write("http://127.0.0.1:1", metrics=[])
    place.run()
    assert place.leaks() == []
    assert MASK in place.everything() or case in QUIET


def test_traffic_alone_has_the_users_of_the_file_and_shows_nothing_of_them(tmp_path: Path) -> None:
    place = Place(tmp_path, ["refuses", "breaks", "ids"])
    with shop(tmp_path, ECHO, setting=str(tmp_path / "setting.json")) as url:
        place.write(url)
        (tmp_path / "runs").mkdir()
        words = ("traffic", "e.yaml", "--system", "s.yaml")
        code = place.gameday(*words, "--out", "runs/out", "--summary", "runs/own.json")
    assert code in (0, 3), place.told
    assert place.leaks() == []
    assert MASK in place.everything()
    log = step_log.read(tmp_path / "runs" / "out" / "history" / "drop-0.steps")
    assert (log.of("login")["outcome"] == Outcome.ACCEPTED).any()
    starts = history.read(tmp_path / "runs" / "out" / "history" / "drop-0.bin").records
    assert set(starts["user"].tolist()) <= set(range(MEMBERS))
    assert (starts["outcome"] == Outcome.ISSUED).any()


def test_traffic_for_more_users_than_the_file_has_is_refused_as_a_run_is(tmp_path: Path) -> None:
    place = Place(tmp_path, [])
    place.write("http://127.0.0.1:1")
    experiment = json.loads((tmp_path / "e.yaml").read_text())
    experiment["campaign"]["users"] = MEMBERS + 1
    (tmp_path / "e.yaml").write_text(json.dumps(experiment))
    told = []
    for words in (("traffic",), ("run",)):
        place.told = ""
        assert place.gameday(*words, "e.yaml", "--system", "s.yaml") == 2
        told.append([line for line in place.told.splitlines() if "users" in line])
    assert told[0] == told[1] != []
    assert "41 are more than the 40 in the system's users file" in place.told


BY_PHONE = {"file": "users.csv", "id": "email", "also": ["phone"], "public": ["id"]}


@pytest.mark.parametrize(
    ("users", "is_known"),
    [
        ({"file": "users.csv", "id": "phone", "public": ["id"]}, True),
        (BY_PHONE, True),
        ({"file": "users.csv", "public": ["id"]}, False),
    ],
)
def test_an_audit_by_another_column_is_judged_where_that_is_said_and_asked_about_where_not(
    tmp_path: Path, users: dict[str, Any], is_known: bool
) -> None:
    place = Place(tmp_path, ["strangers"], users=users)
    with shop(tmp_path, ECHO, setting=str(tmp_path / "setting.json")) as url:
        place.write(url)
        place.run("--stack", "external")
    result = json.loads((place.dir / "result.json").read_bytes())
    said = {each["name"]: each["verdict"] for each in result["checks"]}
    for name in ("one_per_user", "no_lost_issuance"):
        assert said[name] == ("valid" if is_known else "unknown"), place.told
    assert "invalid" not in {said[name] for name in ("no_over_issuance", "one_per_user")}
    asked = "all stand in the column 'phone'" in (place.dir / "journal.jsonl").read_text()
    assert asked is not is_known
    assert place.leaks() == []


def test_an_issue_that_was_told_is_found_lost_though_its_id_is_hidden(tmp_path: Path) -> None:
    place = Place(tmp_path, ["ids", "loses"])
    with shop(tmp_path, ECHO, setting=str(tmp_path / "setting.json")) as url:
        place.write(url)
        assert place.run("--stack", "external") == 1, place.told
    result = json.loads((place.dir / "result.json").read_bytes())
    said = {each["name"]: each["verdict"] for each in result["checks"]}
    assert (said["no_lost_issuance"], said["no_phantom"]) == ("invalid", "valid")
    assert place.leaks() == []


def test_logs_that_are_still_written_are_shown_without_cells(tmp_path: Path) -> None:
    place = Place(tmp_path, [])
    place.write("http://127.0.0.1:1")
    folder = tmp_path / "runs" / "r"
    (folder / "logs").mkdir(parents=True)
    (folder / "inputs").mkdir()
    lines = [f"claim of {each['email']} (m-001) with {each['token']}" for each in PEOPLE]
    (folder / "logs" / "service.log").write_text("\n".join([*lines, "all is well", ""]))
    users = {"file": str(tmp_path / "users.csv"), "public": ["id"], "sha256": None}
    effective = folder / "inputs" / "effective.json"
    effective.write_text(json.dumps({"system": {"users": users}}))
    shown = search(folder, "service.log", "")
    assert not shown.problem and shown.matched == MEMBERS + 1
    assert not in_text("\n".join(shown.lines)) and "m-001" in shown.lines[0]
    assert search(folder, "service.log", "m-001").matched == MEMBERS
    assert search(folder, "service.log", PEOPLE[7]["email"]).matched == 0  # nor told by a count
    (tmp_path / "users.csv").write_text("id\n1\n")
    effective.write_text(json.dumps({"system": {"users": {**users, "sha256": "0" * 64}}}))
    changed = search(folder, "service.log", "")
    assert changed.problem and not changed.lines
