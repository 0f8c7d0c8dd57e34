"""What an experiment may expect of the service's logs, and where `plan` says they come from."""

import json
from pathlib import Path

import pytest

from gameday.core.errors import FileError
from gameday.plan.blast_radius import log_in_words
from gameday.plan.finding import Finding
from gameday.plan.log_checks import checks
from gameday.plan.validate import validate
from gameday.spec.experiment import ExpectedLog
from gameday.spec.inputs import Inputs, find_system, gather, load_experiment, load_system

BASE = {
    "name": "mine",
    "campaign": {"coupon": "COUPON", "stock": 100, "users": 1000},
    "traffic": {"drop": {"executor": "constant-arrival-rate", "rate": "10/s", "duration": "30s"}},
    "method": [{"fault": "network.down", "target": "redis", "at": "10s", "duration": "5s"}],
}


def inputs_of(tmp_path: Path, log: str, *, method: bool = True) -> Inputs:
    """The files of an experiment with one expectation, written on its line 7."""
    tmp_path.mkdir(exist_ok=True)
    keys = {key: BASE[key] for key in BASE if key != "method" or method}
    head = "".join(f"{key}: {json.dumps(value)}\n" for key, value in keys.items())
    head += "" if method else "seed: 1\n"
    path = tmp_path / "mine.yaml"
    path.write_text(f"{head}expect:\n  logs:\n    - {log}\n")
    return gather(load_experiment(str(path)), load_system(find_system(None)))


@pytest.mark.parametrize(
    ("log", "where", "what"),
    [
        ("{name: a, within: 5s}", "7:7", "neither 'pattern' nor 'fields'"),
        ("{name: a, pattern: 'a(', within: 5s}", "7:17", "'a(' is not understood: missing )"),
        ("{name: a, pattern: 'a)(b', within: 5s}", "7:17", "is not understood: unexpected )"),
        (r"{name: a, pattern: '(a)\1', within: 5s}", "7:17", "is not understood: invalid escape"),
        ("{name: a, fields: {level: '['}, within: 5s}", "7:26", "'level': the regular expression"),
        ("{name: a, pattern: a, within: 21s}", "7:29", "has until 31 s (10 + 21s), after the"),
        ("{name: a, pattern: a, at_least: 3, at_most: 2}", "7:29", "'at_least': 3 is more than"),
        ("{name: a, pattern: a, of: redis}", "7:29", "'of': no fault has the id 'redis'"),
        ("{name: a, pattern: a, from: start, of: network-down-1}", "7:42", "no fault is meant"),
        ("{name: a, pattern: a, from: begin}", "7:29", "'from'"),
        ("{name: a, pattern: a, at_least: 0}", "7:29", "'at_least'"),
        ("{name: a, pattern: a, att: 0}", "7:29", "unknown key 'att'"),
        ("{name: A b, pattern: a}", "7:8", "'name'"),
        ("{pattern: a}", "7:7", "'name'"),
    ],
)
def test_a_bad_expectation_is_refused_with_its_place(
    tmp_path: Path, log: str, where: str, what: str
) -> None:
    with pytest.raises(FileError) as raised:
        validate(inputs_of(tmp_path, log))
    assert f"mine.yaml:{where}: " in str(raised.value)
    assert what in str(raised.value)


def test_two_of_one_name_are_refused_and_without_a_fault_only_the_start_counts(
    tmp_path: Path,
) -> None:
    twice = "{name: a, pattern: a}\n    - {name: a, pattern: b}"
    with pytest.raises(FileError, match=r"8:8: 'name': 'a' is there twice"):
        validate(inputs_of(tmp_path, twice))
    with pytest.raises(FileError, match=r"7:7: 'logs': no fault that it could be about"):
        validate(inputs_of(tmp_path, "{name: a, pattern: a}", method=False))
    validate(inputs_of(tmp_path, "{name: a, pattern: a, at_most: 0, from: start}", method=False))


@pytest.mark.parametrize(
    ("stack", "reuse", "said"),
    [
        ("embedded", False, "all that it writes: its standard output and error"),
        ("embedded", True, "what it adds to its log in the run: its standard output and error"),
        ("compose", False, "what the engine has of the service's containers"),
        ("external", False, "the system names no `logs`"),
    ],
)
def test_plan_says_where_the_logs_come_from(
    tmp_path: Path, stack: str, reuse: bool, said: str
) -> None:
    (one,) = checks(inputs_of(tmp_path, "{name: a, pattern: a}"), stack, reuse=reuse)
    assert said in one.found
    assert one.status == ("warn" if stack == "external" else "ok")


def test_plan_warns_of_logs_that_cannot_be_read(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, "{name: a, pattern: a}")
    text = inputs.system.path.read_text() + "logs: [there.json, gone.json]\n"
    path = tmp_path / "system.yaml"
    for name in ("rules", "catalogue"):  # paths that count from the shipped file
        text = text.replace(f"\n{name}:", f"\n# {name}:")
    path.write_text(text)
    (tmp_path / "there.json").write_text("")
    found = list(checks(gather(inputs.experiment, load_system(path)), "external", reuse=False))
    assert [each.status for each in found] == ["warn", "ok"]
    assert "gone.json: No such file" in found[0].found
    assert isinstance(found[1], Finding)


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ({"pattern": "a", "within": "5s"}, "a: at least 1 of 'a', within 5s"),
        (
            {"pattern": "b", "fields": {"level": "ERROR"}, "at_least": 3, "from": "damage"},
            "a: at least 3 of 'b', level 'ERROR', from then on of the damage",
        ),
        ({"pattern": "a", "at_most": 0, "from": "start"}, "a: none of 'a', in all of the traffic"),
        ({"pattern": "a", "at_least": 1, "at_most": 2}, "a: at least 1 and at most 2 of 'a', from"),
    ],
)
def test_an_expectation_is_told_in_words(log: dict[str, object], words: str) -> None:
    assert log_in_words(ExpectedLog.model_validate({"name": "a", **log})).startswith(words)
