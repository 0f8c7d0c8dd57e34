"""System files whose audit cannot be read: told before anything is touched, with place and cure."""

import json
from pathlib import Path
from typing import Any

import pytest

from gameday.core.errors import FileError
from gameday.plan.validate import validate, validate_system
from gameday.spec.inputs import gather, load_experiment, load_system

SYSTEM: dict[str, Any] = {
    "name": "own",
    "base_url": "http://127.0.0.1:1",
    "requests": {"issue": {"post": "/", "outcomes": {"issued": {"status": 200}}}},
    "audit": {"get": "/"},
}
MYSQL = {"url": {"env": "X"}, "rows": "SELECT a, b FROM c WHERE d = {coupon}"}
PG = {"dsn": {"env": "X"}}
SH = ["sh", "-c", "exit"]


def check(folder: Path, changes: dict[str, Any]) -> list[str]:
    path = folder / "own.yaml"
    path.write_text(json.dumps({**SYSTEM, **changes}, indent=1))
    return [str(each) for each in validate_system(load_system(path))]


def mysql(**changes: Any) -> dict[str, Any]:
    return {"audit": {"store": "mysql"}, "stores": {"mysql": {**MYSQL, **changes}}}


def redis(holders: Any, **semantics: Any) -> dict[str, Any]:
    stores = {"redis": {"url": {"env": "X"}, "holders": holders}}
    return {"audit": {"store": "redis"}, "stores": stores, "semantics": semantics}


BROKEN: list[tuple[dict[str, Any], str, str]] = [
    ({"audit": {"get": "/", "rows": "a..b"}}, "'rows': 'a..b' is no path", "dots between"),
    ({"audit": {"get": "/", "rows": ""}}, "'rows': '' is no path", "dots between"),
    ({"audit": {"get": "/", "usr": "m"}}, "unknown key 'usr'", "did you mean 'user'?"),
    ({"audit": {"get": "/", "post": "/"}}, "exactly one of", ""),
    ({"audit": {"get": "/", "url": "shop"}}, "'url': 'shop' is not an address", "http://HOST"),
    ({"audit": {"get": "/", "url": "http://a:b@c"}}, "credentials", "{env: NAME}"),
    ({"audit": {"get": "//evil"}}, "may be read as a host", "begin with /"),
    ({"audit": {"get": "/?p={page}"}}, "stands for pages, and there is no `paging`", "paging"),
    ({"audit": {"get": "/", "paging": {}}}, "nothing in the request says which page", "{page}"),
    ({"audit": {"get": "/", "paging": {"next": "a."}}}, "'next': 'a.' is no path", "dots"),
    ({"audit": {"get": "/?t={next}&p={page}", "paging": {}}}, "`next` does not say where", "next"),
    ({"audit": {"get": "/", "paging": {"most": 0}}}, "0 is less than 1", "1 or more"),
    ({"audit": {"get": "/", "paging": {"from": 2}}}, "2 is more than 1", "1 or less"),
    ({"audit": {"get": "/{user}"}}, "unknown placeholder '{user}'", ""),
    ({"audit": {"store": "mongodb"}}, "unknown value 'mongodb'", "mysql"),
    ({"audit": {"store": "mysql"}}, "there is no 'mysql' under `stores`", "its rows"),
    ({"audit": {"store": "mysql", "rows": "a"}}, "unknown key 'rows'", ""),
    (mysql(rows=None), "'rows' is missing in 'mysql'", ""),
    (mysql(rows="DELETE FROM c"), "does not begin as a query that reads", "SELECT"),
    (mysql(stock="CALL x()"), "'stock': 'CALL x()' does not begin as a query", "SELECT"),
    (mysql(rows="SELECT a, b FROM c WHERE d = '{coupon}'"), "placeholder in quotes", "quotes"),
    (mysql(rows="SELECT a, b FROM c WHERE d = {user}"), "unknown placeholder '{user}'", ""),
    (mysql(url="mysql://a:b@c/d"), "{env: NAME} or {file: PATH}", ""),
    ({"audit": {"store": "postgres"}, "stores": {"postgres": PG}}, "'rows' is missing", ""),
    (redis({"set": "a", "hash": "b"}), "exactly one of set, zset, hash, keys", ""),
    (redis({}), "exactly one of set, zset, hash, keys", ""),
    (redis({"keys": "a:{coupon}"}), "`keys` holds {user} once", ""),
    (redis({"set": "a", "id": "value"}), "a set has no ids", ""),
    (redis({"set": "a", "user": "value"}), "only a hash has users as values", ""),
    (redis({"hash": "a", "id": "field"}), "the user is the field already", ""),
    (redis("a:{user}"), "unknown placeholder '{user}'", ""),
    (redis("a", per_user="many"), "it holds each user once", "a hash whose values"),
    (redis({"hash": "a"}, per_user=2), "it holds each user once", "a hash whose values"),
    ({"audit": {"command": []}}, "must not be empty", ""),
    ({"audit": {"command": "sh x"}}, "'sh x' is not a list", ""),
    ({"audit": {"command": ["./none"]}}, "there is no program './none'", "from the folder"),
    ({"audit": {"command": ["{coupon}"]}}, "the program is '{coupon}'", ""),
    ({"audit": {"command": [*SH, "{user}"]}}, "unknown placeholder '{user}'", ""),
    ({"audit": {"command": [*SH, "{page}"]}}, "unknown placeholder '{page}'", ""),
    ({"audit": {"command": SH, "folder": "no"}}, "there is no folder 'no'", ""),
    ({"audit": {"command": SH, "env": {"TOKEN": "abc"}}}, "a secret written out", "{env: NAME}"),
    ({"audit": {"command": SH, "format": "xml"}}, "unknown value 'xml'", "csv"),
    ({"audit": {"command": SH, "format": "csv", "stock": "a"}}, "CSV has rows alone", ""),
    ({"audit": {"command": SH, "format": "csv", "user": "$"}}, "a user is a column", ""),
    ({"campaign": {"create": {"post": "x"}}}, "does not begin with /", "begin with /"),
    ({"campaign": {"create": {"post": "/"}, "capture": {"id": "x"}}}, "unknown value 'id'", ""),
    (
        {"campaign": {"create": {"post": "/"}, "capture": {"coupon": "a..b"}}},
        "'coupon': 'a..b' is no path",
        "dots",
    ),
    ({"campaign": {"create": {"post": "/{user}"}}}, "unknown placeholder '{user}'", ""),
    ({"before_run": {"post": "/"}}, "a mapping is not a list", ""),
    ({"before_run": [{"post": "//x"}]}, "may be read as a host", ""),
    ({"before_run": [{"sql": "DELETE FROM c"}]}, "'store' is missing", ""),
    ({"before_run": [{"sql": "x", "store": "mysql"}]}, "there is no 'mysql'", "url"),
    ({"before_run": [{"sql": [], "store": "mysql"}]}, "must not be empty", ""),
    (
        {
            "before_run": [{"sql": "DELETE FROM c WHERE d = '{coupon}'", "store": "postgres"}],
            "stores": {"postgres": {**PG, "rows": "SELECT 1, 2"}},
        },
        "'sql': a placeholder in quotes",
        "quotes",
    ),
    ({"before_run": [{"command": ["./none"]}]}, "there is no program './none'", ""),
    ({"before_run": [{"command": SH, "env": {"PASSWORD": "x"}}]}, "a secret written out", ""),
    ({"before_run": [{"command": SH, "rows": "x"}]}, "unknown key 'rows'", ""),
    ({"stores": {"mysql": {"url": {"env": "X"}}}}, "'rows' is missing in 'mysql'", ""),
]


@pytest.mark.parametrize(
    ("changes", "problem", "cure"), BROKEN, ids=[f"{n}" for n in range(len(BROKEN))]
)
def test_a_broken_file_is_told_with_its_place_and_the_cure(
    tmp_path: Path, changes: dict[str, Any], problem: str, cure: str
) -> None:
    with pytest.raises(FileError) as caught:
        check(tmp_path, changes)
    assert problem in caught.value.problem, caught.value
    assert cure in caught.value.help, caught.value.help
    assert caught.value.place.line > 1, "the place is not the beginning of the file"


SOUND: list[dict[str, Any]] = [
    {"audit": {"get": "/", "rows": "$", "user": "$"}},
    {"audit": {"get": "/?t={next}", "paging": {"next": "t"}}},
    {"audit": {"post": "/", "json": {"page": "{page}"}, "paging": {"from": 0}}},
    mysql(),
    mysql(rows=" (SELECT a, b FROM c) UNION (SELECT d, e FROM f)"),
    redis({"hash": "a:{coupon}", "user": "value", "id": "field"}, per_user="many"),
    {"audit": {"command": SH, "format": "csv", "user": "m"}},
    {"audit": {"store": "redis"}, "stores": {**redis("a")["stores"], "postgres": PG}},
    {"campaign": {"post": "/"}, "before_run": [{"delete": "/"}, {"command": SH}]},
]


@pytest.mark.parametrize("changes", SOUND, ids=range(len(SOUND)))
def test_a_sound_file_is_taken(tmp_path: Path, changes: dict[str, Any]) -> None:
    check(tmp_path, changes)


@pytest.mark.parametrize(
    ("audit", "tells"),
    [
        ({"get": "/"}, True),
        ({"get": "/", "rows": "$", "user": "$"}, False),
        ({"get": "/", "rows": "a", "stock": "b"}, True),
        ({"command": SH}, True),
        ({"command": SH, "format": "csv"}, False),
        ({"store": "mysql"}, False),
    ],
)
def test_the_stock_is_asked_of_the_experiment_where_the_audit_does_not_tell_it(
    tmp_path: Path, *, audit: dict[str, Any], tells: bool
) -> None:
    check(tmp_path, {"audit": audit, "stores": {"mysql": MYSQL}})
    some = {"executor": "constant-arrival-rate", "rate": "9/s", "duration": "30s"}
    (tmp_path / "e.yaml").write_text(
        json.dumps({"name": "e", "campaign": {"coupon": "C"}, "traffic": {"some": some}})
    )
    inputs = gather(load_experiment(str(tmp_path / "e.yaml")), load_system(tmp_path / "own.yaml"))
    if tells:
        validate(inputs)
    else:
        with pytest.raises(FileError, match="the audit does not tell how many there are"):
            validate(inputs)


def test_a_kind_of_audit_that_is_misspelt_is_named(tmp_path: Path) -> None:
    for wrong, right in (("stor", "store"), ("comand", "command"), ("gett", "get")):
        with pytest.raises(FileError) as caught:
            check(tmp_path, {"audit": {wrong: "x"}})
        assert caught.value.help == f"did you mean {right!r}?"


ISSUE = {"issue": {"post": "/{coupon}", "outcomes": {"issued": {"status": 200}}}}
OF_ANY = [
    ({"audit": {"get": "/claims"}}, "'audit': its address, query, headers and body hold no"),
    ({"audit": {"command": SH}}, "'audit': its arguments and its environment hold no {coupon}"),
    (mysql(rows="SELECT a, b FROM c"), "'rows' holds no {coupon}"),
    (mysql(remaining="SELECT 77"), "'remaining' holds no {coupon}"),
    (redis({"hash": "a"}), "'holders' holds no {coupon}"),
    (
        {
            "audit": {"get": "/{coupon}"},
            "stores": {"postgres": {**PG, "rows": "SELECT a, b FROM c", "stock": "SELECT 1"}},
        },
        "'stock' holds no $1",
    ),
]


@pytest.mark.parametrize(("changes", "says"), OF_ANY, ids=range(len(OF_ANY)))
def test_what_would_tell_the_same_of_every_campaign_is_warned_of(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    assert not any("of every campaign" in each for each in check(tmp_path, changes))
    warned = check(tmp_path, {**changes, "requests": ISSUE})
    assert any(says in each for each in warned), warned


def test_what_names_the_campaign_anywhere_is_not_warned_of(tmp_path: Path) -> None:
    for audit in (
        {"get": "/claims", "query": {"sale": "{coupon}"}},
        {"post": "/claims", "json": {"sale": ["{coupon}"]}},
        {"get": "/", "headers": {"X-Sale": "{coupon}"}},
        {"command": [*SH, "{coupon}"]},
        {"command": SH, "env": {"SALE": "{coupon}"}},
    ):
        warned = check(tmp_path, {"audit": audit, "requests": ISSUE})
        assert not any("of every campaign" in each for each in warned)
