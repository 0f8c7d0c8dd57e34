"""YAML with positions: what is refused, where, and how it reads."""

# ruff: noqa: E501  - a table of broken files reads best with one of them a line

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gameday.core.errors import FileError
from gameday.spec.experiment import Experiment
from gameday.spec.yaml import Document, compose, load

WHOLE = """\
name: redis-slow
campaign: {coupon: COUPON2025, stock: 4500, users: 100000}
traffic:
  drop: {executor: constant-arrival-rate, rate: 100/s, duration: 60s}
objectives:
  - name: fast
    expr: histogram_quantile(0.95, sum by (le) (rate(k6_vus[5s]))) < 0.2
method:
  - fault: network.latency
    target: redis
    latency: 300ms
    at: 15s
    duration: 20s
expect:
  checks: all
  other_alerts: forbidden
"""


def broken(old: str, new: str) -> str:
    assert old in WHOLE
    return WHOLE.replace(old, new, 1)


# What was done to the file, where the error must point, what it must say, and the help.
BROKEN = [
    ("", "1:1", "is empty", "gameday schema"),
    ("# only a comment\n", "1:1", "is empty", ""),
    ("- name: x\n", "1:1", "is a list, not a mapping", "key: value"),
    ("just text\n", "1:1", "is a single value, not a mapping", ""),
    (WHOLE + "---\nname: x\n", "17:1", "a second document begins here", ""),
    (broken("  drop:", "\tdrop:"), "4:1", "not YAML", "indent with spaces, not with tabs"),
    (broken("4500,", "4500"), "2:49", "not YAML", "quotes"),
    (broken("60s}", "60s"), "5:11", "not YAML", ""),
    (broken("name: fast", "name: fast: yes"), "6:15", "not YAML", "put text that holds ': '"),
    (WHOLE + "name: again\n", "17:1", "key 'name' stands here twice", ""),
    (broken("stock: 4500", "stock: 4500, stock: 1"), "2:45", "key 'stock' stands here twice", ""),
    (broken("4500", "*stock"), "2:39", "alias '*stock' names nothing", ""),
    (broken("campaign: {", "campaign: {<<: {}, "), "2:12", "merge keys", "write the keys out"),
    (broken("campaign: {", "campaign: {'<<': {}, "), "2:12", "unknown key '<<'", ""),
    (broken("4500", "!!int 4500"), "2:39", "tag 'tag:yaml.org,2002:int'", ""),
    (broken("name: redis-slow", "name: redis\x07slow"), "1:12", "cannot stand in YAML", ""),
    (broken("traffic:", "trafic:"), "3:1", "unknown key 'trafic'", "did you mean 'traffic'?"),
    (broken("stock:", "stok:"), "2:32", "unknown key 'stok'", "did you mean 'stock'?"),
    (broken("    latency: 300ms\n", ""), "9:5", "'latency' is missing in 'network.latency'", "gameday explain network.latency"),
    (WHOLE.replace(WHOLE[WHOLE.index("traffic:"):WHOLE.index("objectives:")], ""), "1:1", "'traffic' is missing", ""),
    (broken("network.latency", "network.latancy"), "9:5", "unknown fault 'network.latancy'", "did you mean 'network.latency'?"),
    (broken("fault: network.latency", "kind: network.latency"), "9:5", "'fault' is missing", "network.latency"),
    (broken("300ms", "300"), "11:5", "'latency': 300 is not a duration: write a number and ms, s, m or h", ""),
    (broken("at: 15s", "at: 15 sec"), "12:5", "'at': '15 sec' is not a duration", ""),
    (broken("100/s", "100"), "4:43", "'rate': 100 is not a rate", ""),
    (broken("constant-arrival-rate", "constant-rate"), "4:10", "unknown executor 'constant-rate'", "did you mean 'constant-arrival-rate'?"),
    (broken("  drop:", "  Drop It:"), "4:3", "'Drop It' is not a name", "small letters, digits and dashes"),
    (broken("4500", "1.0e999"), "2:39", "1.0e999 is too large", "quotes"),
    (broken("at: 15s", "at: -" + "9" * 30 + ".0e290"), "12:9", "is too large: the largest number is 1.8e308", "quotes"),
    (broken("4500", ".inf"), "2:32", "'stock': '.inf' is not a whole number", ""),
    (broken("4500", "many"), "2:32", "'stock': 'many' is not a whole number", ""),
    (broken("4500", "true"), "2:32", "'stock': true is not a whole number", ""),
    (broken("4500", "'4500'"), "2:32", "'stock': '4500' is not a whole number", ""),
    (broken("4500", "-1"), "2:32", "'stock': -1 is less than 0", ""),
    (broken("users: 100000", "users: 0"), "2:45", "'users': 0 is less than 1", ""),
    (broken("checks: all", "checks: al"), "15:3", "'checks': unknown value 'al'", "did you mean 'all'?"),
    (broken("checks: all", "checks: [no_fantom]"), "15:12", "'checks': unknown value 'no_fantom'", "did you mean 'no_phantom'?"),
    (broken("name: redis-slow", "name: 7"), "1:1", "'name': 7 is not text", "put it in quotes"),
    (broken("objectives:", "objectives: {}\nplaybook:"), "5:1", "'objectives': a mapping is not a list", ""),
    (broken("  drop: {executor: constant-arrival-rate, rate: 100/s, duration: 60s}", "  []"), "3:1", "'traffic': a list is not a mapping", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "where", "what", "help"), BROKEN)
def test_a_broken_file_says_where_what_and_how_to_mend_it(
    text: str, where: str, what: str, help: str
) -> None:
    with pytest.raises(FileError) as caught:
        compose(text, "x.yaml").parse(Experiment)
    assert caught.value.message.startswith(f"x.yaml:{where}: ")
    assert what in caught.value.problem
    assert help in caught.value.help
    assert not help or caught.value.help


def test_a_whole_file_is_taken() -> None:
    experiment = compose(WHOLE, "x.yaml").parse(Experiment)
    assert experiment.campaign.stock == 4500
    assert experiment.method[0].fault == "network.latency"


def test_words_that_older_yaml_reads_as_booleans_are_text() -> None:
    document = compose("on: yes\noff: no\nyes: true\n12: 010\ntime: 1:30\nday: 2025-01-01\n", "x")
    assert document.plain() == {
        "on": "yes",
        "off": "no",
        "yes": True,
        "12": "010",
        "time": "1:30",
        "day": "2025-01-01",
    }


def test_numbers_text_and_nothing_keep_their_kind() -> None:
    given = "a: -7\nb: 1.5\nc: '7'\nd: ~\ne:\nf: .5\ng: 1e3\nh: ''\ni: '1.0e999'\nj: .inf\n"
    document = compose(given, "x")
    assert document.plain() == {
        "a": -7,
        "b": 1.5,
        "c": "7",
        "d": None,
        "e": None,
        "f": 0.5,
        "g": "1e3",
        "h": "",
        "i": "1.0e999",
        "j": ".inf",
    }


def test_the_place_of_a_value_is_that_of_its_key() -> None:
    document = compose(WHOLE, "x.yaml")
    assert str(document.place("method", 0, "target")) == "x.yaml:10:5"
    assert str(document.place("method", 0, "no such key")) == "x.yaml:9:5"


def test_an_alias_stands_for_its_anchor() -> None:
    assert compose("a: &x [1, 2]\nb: *x\n", "x").plain() == {"a": [1, 2], "b": [1, 2]}


def test_aliases_of_aliases_do_not_grow_without_end() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for n in range(1, 30):
        lines.append(f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 10) + "]")
    with pytest.raises(FileError, match="more than 10000 values"):
        compose("\n".join(lines), "x")


def test_a_value_cannot_hold_itself() -> None:
    with pytest.raises(FileError, match="names nothing that stands before it"):
        compose("a: &a [*a]\n", "x")


@pytest.mark.parametrize("text", ["[" * 100_000, "a: " + "{b: " * 60 + "}" * 60])
def test_deep_nesting_is_refused_without_recursion(text: str) -> None:
    with pytest.raises(FileError, match="nested deeper than 50"):
        compose(text, "x")


def test_aliases_nest_no_deeper_than_what_they_stand_for_written_out() -> None:
    lists = "[" * 20 + "1" + "]" * 20
    fits = f"a: &a {lists}\nb: &b {lists.replace('1', '*a')}\nc: {{d: {{e: *b}}}}\n"
    assert compose(fits, "x").plain()
    deeper = fits.replace("*b", "[[[[[[[[*b]]]]]]]]")
    with pytest.raises(FileError, match=r"x:3:20: is nested deeper than 50, aliases written out"):
        compose(deeper, "x")
    links = [f"a{n}: &a{n} " + lists.replace("1", f"*a{n - 1}") for n in range(1, 45)]
    with pytest.raises(FileError, match="nested deeper than 50"):
        compose("\n".join([f"a0: &a0 {lists}", *links]), "x")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * 1_000_001)
    with pytest.raises(FileError, match="is larger than 1,000,000 bytes"):
        load(path)


def test_bytes_that_are_not_utf8_are_shown_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"name: x\ntitle: caf\xe9\n")
    with pytest.raises(FileError, match=r"latin\.yaml:2:11: byte 0xe9 is not UTF-8"):
        load(path)


@pytest.mark.parametrize("name", ["nothing-here.yaml", "."])
def test_what_is_no_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileError, match="cannot be read"):
        load(tmp_path / name)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: x\n")
    assert load(path).plain() == {"name": "x"}


def test_laying_over_replaces_whole_keys_and_keeps_their_places() -> None:
    document: Document = compose("a: {x: 1, y: 2}\nb: 3\nshort:\n  a: {x: 9}\n", "x.yaml")
    over = document.overlaid("short")
    assert over.plain() == {"a": {"x": 9}, "b": 3}
    assert str(over.place("a", "x")) == "x.yaml:4:7"


def test_text_inside_another_file_has_the_places_of_that_file() -> None:
    document = compose("do: x\nafter: y\n", "book.md", 20, 4)
    assert str(document.place("after")) == "book.md:21:4"


def test_an_endless_value_is_cut_short_in_the_message() -> None:
    with pytest.raises(FileError) as caught:
        compose(broken("300ms", "x" * 50_000), "x.yaml").parse(Experiment)
    assert len(caught.value.message) < 400


SHARDS = [
    "{",
    "}",
    "[",
    ":",
    "- ",
    "\n",
    "\t",
    "'",
    '"',
    "&a ",
    "*a",
    "!x ",
    "null",
    "-1",
    "---\n",
    "é",
]


@settings(max_examples=150)
@given(
    st.lists(
        st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 9), st.sampled_from(SHARDS)),
        min_size=1,
        max_size=3,
    )
)
def test_any_damage_leaves_a_whole_file_or_an_error_with_a_place(
    damage: list[tuple[int, int, str]],
) -> None:
    text = WHOLE
    for at, cut, shard in damage:
        text = text[:at] + shard + text[at + cut :]
    try:
        compose(text, "x.yaml").parse(Experiment)
    except FileError as error:
        assert str(error.place).startswith("x.yaml:")
        assert error.place.line <= text.count("\n") + 2
