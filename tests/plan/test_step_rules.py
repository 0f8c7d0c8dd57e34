"""Rules about users of a file, steps and polls: each error with its place, its value and a cure."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from gameday.core.errors import FileError, UsageError
from gameday.plan.validate import validate, validate_system
from gameday.spec.experiment import Experiment
from gameday.spec.inputs import gather, load_experiment, load_system
from gameday.spec.request import BeforeStep, longest_before_s

USERS = "id,email,token\n1,a@b.c,t1\n2,b@b.c,t2\n"
POLL = {
    "get": "/tickets/{ticket}",
    "until": {"issued": {"status": 200, "json": {"state": "ok"}}},
}


def system(**changes: Any) -> dict[str, Any]:
    login = {"post": "/login", "json": {"email": "{email}"}, "capture": {"session": "t"}}
    issue = {
        "post": "/claim",
        "headers": {"Authorization": "Bearer {session}"},
        "json": {"id": "{id}"},
        "capture": {"issue_id": "id", "ticket": "ticket"},
        "outcomes": {"accepted": {"status": 202}},
        "poll": POLL,
    }
    requests = {"before": {"login": login | changes.pop("login", {})}}
    requests["issue"] = issue | changes.pop("issue", {})
    requests |= changes.pop("requests", {})
    users = {"file": "users.csv", **changes.pop("users", {})}
    told = {"name": "shop", "base_url": "http://127.0.0.1:1", "requests": requests}
    return {**told, "users": users, "audit": {"get": "/audit"}, **changes}


def check(folder: Path, told: dict[str, Any], users: str = USERS) -> list[str]:
    (folder / "users.csv").write_text(users)
    (folder / "shop.yaml").write_text(yaml.safe_dump(told, sort_keys=False))
    return [str(each) for each in validate_system(load_system(folder / "shop.yaml"))]


def test_a_system_with_all_of_it_is_taken(tmp_path: Path) -> None:
    assert check(tmp_path, system()) == []


@pytest.mark.parametrize(("weight", "asked_s"), [(2.5, 30.0), (0.25, 10.0), (4, 40.0)])
def test_a_request_of_a_weight_takes_as_long_as_it_is_asked_often(
    tmp_path: Path, weight: float, asked_s: float
) -> None:
    told = system(login={"timeout": "3s"}, issue={"timeout": "5s"})
    told["requests"]["before"]["browse"] = {"get": "/items", "weight": weight, "timeout": "10s"}
    assert check(tmp_path, told) == []
    requests = load_system(tmp_path / "shop.yaml").system.requests
    assert requests.longest_asked_s([]) == asked_s + 3 + 5
    assert requests.longest_asked_s([{}, {"browse": 7}]) == max(asked_s, 70) + 3 + 5
    assert requests.longest_asked_s([{"browse": 0}]) == 3 + 5


def mixing(folder: Path, mix: dict[str, float]) -> list[str]:
    """What is said of a scenario's `mix` against a system that mixes in `browse`."""
    told = system()
    told["requests"]["before"]["browse"] = {"get": "/items", "weight": 4}
    check(folder, told)
    drop = {"executor": "constant-arrival-rate", "rate": "50/s", "duration": "10s", "mix": mix}
    experiment = {"name": "mixed", "seed": 1, "traffic": {"drop": drop}}
    experiment["campaign"] = {"coupon": "C", "stock": 100, "users": 2}
    (folder / "mixed.yaml").write_text(yaml.safe_dump(experiment))
    loaded = load_experiment(str(folder / "mixed.yaml"))
    return [str(each) for each in validate(gather(loaded, load_system(folder / "shop.yaml")))]


def test_a_scenario_has_a_mix_of_its_own(tmp_path: Path) -> None:
    assert not [each for each in mixing(tmp_path, {"browse": 0.5}) if "mix" in each]
    assert not [each for each in mixing(tmp_path, {"browse": 0}) if "mix" in each]


@pytest.mark.parametrize(
    ("mix", "said"),
    [
        ({"brows": 2}, "no such request"),
        ({"login": 2}, "the issue needs this step"),
        ({"browse": -1}, "'browse'"),
        ({"browse": 101}, "'browse'"),
        ({"browse": math.nan}, "'browse'"),
    ],
)
def test_a_mix_of_what_is_not_mixed_in_is_an_error(
    tmp_path: Path, mix: dict[str, float], said: str
) -> None:
    with pytest.raises(FileError) as found:
        mixing(tmp_path, mix)
    assert said in str(found.value)
    assert "mixed.yaml:" in str(found.value)
    assert found.value.help or set(mix) == {"browse"}


@pytest.mark.parametrize(
    "header",
    [
        {"Authorization": "Bearer {session}"},
        {"Authorization": "{session}"},
        {"Cookie": "uid={user}"},
        {"Cookie": "a=1; uid=c{user:04d}"},
        {"Cookie": "session_id={session}; theme=dark; lang=ko-KR"},
        {"Cookie": "sid={session}; theme=dark"},
        {"X-User-Token": "user-{user}"},
        {"X-User-Token": "v2.{session}"},
        {"X-User-Token": "tok-{user:08d}-x"},
        {"X-Api-Key": "{id}:{session}"},
        {"Authorization": 'Digest username="{email}", realm="shop"'},
    ],
)
def test_a_secret_header_of_placeholders_is_taken(tmp_path: Path, header: dict[str, str]) -> None:
    assert check(tmp_path, system(issue={"headers": header})) == []


@pytest.mark.parametrize(
    "header",
    [
        {"X-User-Token": "sk_live_9f8e7d6c5b4a-{user}"},
        {"X-User-Token": "{user}.sk_live_9f8e7d6c5b4a"},
        {"Cookie": "admin=sk_live_abc; u={user}"},
        {"Cookie": "u={user}; admin=hunter2"},
        {"Cookie": "u={user}&sk_live_9f8e7d6c5b4a"},
        {"Cookie": "sk_live_9f8e7d6c5b4a11223344=x; u={user}"},
        {"Authorization": "Bearer sk_live_9f8e {user}"},
        {"Authorization": "Bearer abcdefghijkl-{user}"},
        {"Authorization": "Bearer abc{{user}}"},
        {"Authorization": "Bearer letmein {user}"},
        {"Authorization": "letmein{user} open"},
        {"Cookie": "sid=letmein; u={user}"},
        {"Cookie": "session=abc; u={user}"},
        {"Cookie": "u={user} letmein"},
        {"X-Api-Key": "abc12345{user}"},
        {"X-Api-Key": "key123-{user}"},
    ],
)
def test_a_secret_beside_a_placeholder_is_a_secret_written_out(
    tmp_path: Path, header: dict[str, str]
) -> None:
    with pytest.raises(FileError, match="a secret written out") as error:
        check(tmp_path, system(issue={"headers": header}))
    assert error.value.place.line > 0


BROKEN: list[tuple[str, dict[str, Any], str]] = [
    ("a column that is none", {"login": {"json": {"e": "{emial}"}}}, "did you mean 'email'"),
    ("a capture of later", {"login": {"json": {"e": "{ticket}"}}}, "unknown placeholder"),
    ("a format", {"issue": {"json": {"id": "{id:05d}"}}}, "is text, and only a number has zeros"),
    ("a typo of a capture", {"issue": {"capture": {"isue_id": "x", "ticket": "t"}}}, "issue_id"),
    ("a capture twice", {"login": {"capture": {"email": "t"}}}, "of that name already"),
    ("a capture of ours", {"login": {"capture": {"user": "t"}}}, "of that name already"),
    ("a path to nowhere", {"login": {"capture": {"session": "a..b"}}}, "is no path"),
    ("two places", {"login": {"capture": {"session": {"header": "a", "matches": "(b)"}}}}, "write"),
    ("no group", {"login": {"capture": {"session": {"matches": "abc"}}}}, "no group"),
    ("no pattern", {"login": {"capture": {"session": {"matches": "(a"}}}}, "not understood"),
    ("no accepted", {"issue": {"outcomes": {"issued": {"status": 201}}}}, "no outcome"),
    ("too often", {"issue": {"poll": {**POLL, "every": "1ms"}}}, "less than 10 ms"),
    ("too short", {"issue": {"poll": {**POLL, "within": "100ms"}}}, "shorter than `every`"),
    ("a poll of nothing", {"issue": {"poll": {**POLL, "until": {}}}}, "until"),
    ("a column of nobody", {"users": {"public": ["emial"]}}, "did you mean 'email'"),
    ("an id of nobody", {"users": {"id": "emial"}}, "did you mean 'email'"),
    ("another file", {"users": {"sha256": "0" * 64}}, "another file than was meant"),
    ("no file", {"users": {"file": "none.csv"}}, "No such file"),
    ("a cookie", {"requests": {"cookies": True}, "issue": {"headers": {"cookie": "{id}"}}}, "jar"),
    ("weight and capture", {"login": {"weight": 2}}, "captures nothing"),
    ("a weight", {"login": {"weight": 0, "capture": {}}}, "weight"),
    ("a secret", {"issue": {"headers": {"Authorization": "Bearer abc"}}}, "a secret written out"),
    ("a path that is text", {"issue": {"post": "claim"}}, "does not begin with /"),
    ("a whole path of ours", {"issue": {"post": "{user}"}}, "does not begin with /"),
    ("an unknown key", {"login": {"captures": {"a": "b"}}}, "did you mean 'capture'"),
]


@pytest.mark.parametrize(("what", "changes", "told"), BROKEN, ids=[each[0] for each in BROKEN])
def test_what_is_wrong_is_told_with_its_place(
    tmp_path: Path, what: str, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(FileError) as error:
        check(tmp_path, system(**changes))
    assert told in f"{error.value.message} {error.value.help}", what
    assert error.value.place.line > 0


@pytest.mark.parametrize(
    ("request_", "users", "told"),
    [
        ({"headers": {"X-Token": "{token}"}}, 'id,token\n1,"se\r\ncret"\n', "'token' of user 0"),
        ({"post": "/u/{token}"}, "id,token\n1,a\n2,..\n", "'token' of user 1"),
        ({"post": "{token}"}, "id,token\n1,/a\n2,http://elsewhere/\n", "'token' of user 1"),
        ({}, "id,email,token\n1,a,b\n1,c,d\n", "users 0 and 1 have the same 'id'"),
    ],
)
def test_a_cell_that_cannot_stand_where_it_should_is_told_by_its_row(
    tmp_path: Path, request_: dict[str, Any], users: str, told: str
) -> None:
    issue = {"headers": {}, **request_}
    with pytest.raises(UsageError) as error:
        check(tmp_path, system(issue=issue, login={"json": {}}), users)
    assert told in error.value.message
    assert "cret" not in error.value.message and "elsewhere" not in error.value.message


def test_nobody_knows_which_column_the_audit_means(tmp_path: Path) -> None:
    told = system(issue={"json": {}}, login={"json": {"e": "{email}"}})
    with pytest.raises(FileError, match="which column"):
        check(tmp_path, told, "email,token\na,b\n")
    told["users"]["id"] = "email"
    assert check(tmp_path, told, "email,token\na,b\n") == []


def test_an_experiment_has_as_many_users_as_the_file_and_not_more(tmp_path: Path) -> None:
    check(tmp_path, system())
    loaded = load_system(tmp_path / "shop.yaml")
    told: dict[str, Any] = {
        "name": "sale",
        "campaign": {"coupon": "SALE"},
        "traffic": {"t": {"executor": "constant-arrival-rate", "rate": "5/s", "duration": "1s"}},
    }
    path = tmp_path / "sale.yaml"
    path.write_text(yaml.safe_dump(told))
    inputs = gather(load_experiment(str(path)), loaded)
    assert inputs.experiment.experiment.campaign.users == 2
    told["campaign"]["users"] = 3
    path.write_text(yaml.safe_dump(told))
    with pytest.raises(FileError, match="3 are more than the 2"):
        gather(load_experiment(str(path)), loaded)


def test_a_spike_has_the_mix_of_the_system_whatever_the_scenarios_have() -> None:
    steady = {"executor": "constant-arrival-rate", "rate": "9/s", "duration": "9s"}
    spike = {"fault": "traffic.spike", "id": "rush", "rate": "9/s", "at": "1s", "duration": "2s"}
    told = {"name": "mixed", "traffic": {"drop": {**steady, "mix": {"browse": 0}}}}
    experiment = Experiment.model_validate_json(json.dumps({**told, "method": [spike]}))
    assert dict(experiment.mixes) == {"rush": {}, "drop": {"browse": 0}}
    browse = BeforeStep.model_validate_json('{"get": "/items", "weight": 4, "timeout": "10s"}')
    steps = {"browse": browse}
    assert longest_before_s(steps, experiment.mixes.values()) == 40
