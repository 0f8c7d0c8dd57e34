"""The commands about files, as a person calls them."""

# ruff: noqa: E501  - a table of broken files reads best with one of them a line

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gameday.cli import main

ROOT = Path(__file__).parents[2]
REDIS_SLOW = (ROOT / "experiments" / "redis-slow.yaml").read_text()


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def gameday(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def child(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    """The real thing, in a process of its own."""
    command = [sys.executable, "-m", "gameday", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=30, check=False
    )


@pytest.mark.parametrize(
    ("old", "new", "message", "help"),
    [
        ("network.latency, target", "network.latancy, target", "12:6: unknown fault 'network.latancy'", "did you mean 'network.latency'?"),
        ("latency: 300ms", "latency: 300", "12:45: 'latency': 300 is not a duration: write a number and ms, s, m or h", None),
        ("seed: 7", "seed: 7\nseed: 8", "6:1: key 'seed' stands here twice: the first is on line 5", None),
        ("hypothesis: I", "hypothesis: [I", "5:5: not YAML", "close what was opened"),
    ],
)  # fmt: skip
def test_a_broken_file_ends_with_one_clear_error_and_exit_code_2(
    tmp_path: Path, old: str, new: str, message: str, help: str | None
) -> None:
    assert old in REDIS_SLOW
    (tmp_path / "broken.yaml").write_text(REDIS_SLOW.replace(old, new, 1))
    done = child("validate", "broken.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: broken.yaml:{message}")
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error:") == 1
    assert ("  help: " in done.stderr) == (help is not None)
    assert (help or "") in done.stderr


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"\x00", b"[" * 100_000, b"a: &a [*a]"])
def test_hostile_bytes_are_one_clear_error_too(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "hostile.yaml"
    path.write_bytes(content)
    done = gameday("validate", str(path))
    assert done.exit_code == 2
    assert done.stderr.count("error:") == 1


def test_without_names_every_experiment_is_checked() -> None:
    done = gameday("validate")
    assert done.exit_code == 0
    assert "ok  experiments/redis-slow.yaml" in done.stdout


def test_the_other_files_are_told_after_a_broken_one(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("name: x\n")
    done = gameday("validate", str(broken), "redis-slow")
    assert done.exit_code == 2
    assert "error:" in done.stderr
    assert "ok  experiments/redis-slow.yaml" in done.stdout


def test_a_playbook_and_a_system_file_can_be_checked_by_path() -> None:
    playbook = str(ROOT / "playbooks" / "redis-slow.md")
    system = str(ROOT / "system_under_test" / "system.yaml")
    done = gameday("validate", playbook, system)
    assert done.exit_code == 0
    assert done.stdout.count("ok  ") == 2


def test_findings_are_had_as_json(tmp_path: Path) -> None:
    warned = tmp_path / "other.yaml"
    warned.write_text(REDIS_SLOW.partition("short:")[0].replace("stock: 4500", "stock: 2000"))
    done = gameday("validate", "--json", str(warned), "no-such")
    [first, second] = json.loads(done.stdout)
    assert done.exit_code == 2
    assert first["ok"]
    assert len(first["warnings"]) == 2
    assert second["error"]["message"] == "no experiment 'no-such'"


def test_warnings_do_not_fail(tmp_path: Path) -> None:
    warned = tmp_path / "other.yaml"
    warned.write_text(REDIS_SLOW.partition("short:")[0])
    done = gameday("validate", str(warned))
    assert done.exit_code == 0
    assert "warning:" in done.stdout
    assert "1 warning" in done.stdout


@pytest.mark.parametrize(
    ("more", "code", "text"),
    [
        ("", 0, "'target': the system has no `proxies`: --service-map"),
        ("toxiproxy: http://127.0.0.1:8474\n", 2, "'redis' is not a service under 'proxies'"),
        ("proxies: {db: db}\n", 2, "'redis' is not a service under 'proxies'"),
    ],
)
def test_files_whose_proxies_a_map_will_name_are_warned_of(
    tmp_path: Path, more: str, code: int, text: str
) -> None:
    """Those of the walk-through, which has no other way to name them."""
    page = (ROOT / "docs" / "own-compose.md").read_text()
    files = dict(re.findall(r"```yaml (\S+)\n(.*?)```", page, re.DOTALL))
    experiment, system = tmp_path / "cache-slow.yaml", tmp_path / "system.yaml"
    experiment.write_text(files["cache-slow.yaml"])
    system.write_text(files["system.yaml"] + more)
    for command in ("validate", "show"):
        done = gameday(command, str(experiment), "--system", str(system))
        assert done.exit_code == code, done.output
        assert text in done.output


def test_a_system_file_that_is_not_there_is_named() -> None:
    done = gameday("validate", "--system", "nowhere.yaml")
    assert done.exit_code == 2
    assert "no system file nowhere.yaml" in done.stderr


def test_the_list_names_every_experiment() -> None:
    done = gameday("list", "--json")
    rows = {row["name"]: row for row in json.loads(done.stdout)}
    assert rows["redis-slow"]["faults"] == ["network.latency redis"]
    assert rows["redis-slow"]["length"] == "1m"
    assert rows["redis-slow"]["drill"] == "medium, 20 min"
    assert rows["peak"]["drill"] is None
    assert "20 min" in gameday("list").stdout
    assert "redis-slow-under-spike" in gameday("list").stdout


def test_the_list_shows_a_broken_file_instead_of_failing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "broken.yaml").write_text("name: [\n")
    monkeypatch.chdir(tmp_path)
    done = gameday("list", "--json")
    assert done.exit_code == 0
    assert "not YAML" in next(
        row["title"] for row in json.loads(done.stdout) if row["name"] == "broken"
    )


def test_show_tells_what_is_asked_broken_and_expected() -> None:
    text = gameday("show", "redis-slow").stdout
    for part in ("100/s for 1m", "15 to 35 of 60 s", "latency toxic", "use-postgres", "RedisSlow"):
        assert part in text


def test_show_of_the_short_form_differs() -> None:
    assert "100/s for 25s" in gameday("show", "redis-slow", "--short").stdout
    shown = json.loads(gameday("show", "redis-slow", "--short", "--json").stdout)
    assert shown["traffic"]["drop"]["duration"] == "25s"


@pytest.mark.parametrize("kind", ["experiment", "system"])
def test_a_schema_describes_every_key(kind: str) -> None:
    schema = json.loads(gameday("schema", kind).stdout)
    assert schema["additionalProperties"] is False
    described = {**schema, "title": ""}["properties"]
    for name, key in described.items():
        assert "description" in key or "$ref" in key or "anyOf" in key or "default" in key, name


def test_the_schema_of_a_playbook_has_both_its_parts() -> None:
    parts = json.loads(gameday("schema", "playbook").stdout)["$defs"]
    assert set(parts) == {"front_matter", "step"}


def test_a_kind_that_is_not_there_is_bad_usage() -> None:
    assert gameday("schema", "other").exit_code == 2
