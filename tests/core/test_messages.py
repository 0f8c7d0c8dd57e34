"""Messages: in a file and back, as text in a language, and every id that the code names."""

import ast
import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.core.messages import (
    Message,
    duration_text,
    fill,
    is_message,
    known,
    templates,
)
from gameday.core.particles import FORMS, particle
from gameday.report.markdown import Markup
from gameday.report.messages import Messages

PACKAGE = Path(__file__).parent.parent.parent / "gameday"
SEEN = Message("verify.traffic.moved", before_ms=12.0, during_ms=310.5)
BOTH = Message("verify.agree", probe=SEEN, other="as a driver says it")
LISTED = Message("verify.alone", probe=BOTH, but=Message("verify.unfelt", others=["no", SEEN]))


@pytest.mark.parametrize("message", [SEEN, BOTH, LISTED], ids=str)
def test_a_message_is_read_as_it_was_written(message: Message) -> None:
    raw = json.loads(json.dumps(message.as_json()))
    assert is_message(raw)
    assert Message.from_json(raw).text() == message.text()


@pytest.mark.parametrize(
    "raw",
    ["text", {"id": 7, "values": {}}, {"id": "a"}, {"id": "a", "values": {"b": {"c": 1}}}],
    ids=str,
)
def test_what_is_no_message_is_told_apart(raw: object) -> None:
    assert not is_message(raw)


def test_a_message_of_a_later_version_is_its_english_text() -> None:
    assert known(Message("verify.of_tomorrow"), "as it was written") == "as it was written"
    assert known(Message("verify.agree"), "without its values") == "without its values"
    assert known(None, "of an old journal") == "of an old journal"
    assert known(SEEN, "anything") == SEEN


def ids() -> Iterator[tuple[str, frozenset[str] | None]]:
    """Each id that is written out in the code, with the names of the values it is given."""
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name, first = node.func, node.args[0]
            if getattr(name, "id", "") != "Message" or not isinstance(first, ast.Constant):
                continue
            given = [each.arg for each in node.keywords]
            yield str(first.value), None if None in given else frozenset(filter(None, given))


def test_every_id_in_the_code_has_its_sentence_and_its_values() -> None:
    found, by_id = list(ids()), templates()
    assert len(found) > 100
    for id_, values in found:
        assert id_ in by_id
        wanted = {name for _, name, _, _ in Formatter().parse(by_id[id_]) if name}
        assert values is None or wanted <= values, id_


READ = "영일이삼사오육칠팔구"
UNITS = {1: "십", 2: "백", 3: "천", 4: "만", 5: "만", 8: "억", 9: "억", 12: "조", 16: "경"}
SECOND = {form: after_vowel for form, (_, after_vowel, _) in FORMS.items()}


def expected(form: str, last: str) -> str:
    """The particle after a Hangul syllable, from its decomposed form: another way than the code."""
    jamo = unicodedata.normalize("NFD", last)
    if len(jamo) == 2 or (form == "으로" and jamo[2] == "\u11af"):
        return SECOND[form]
    return form


@pytest.mark.parametrize("form", FORMS)
def test_a_particle_is_right_after_every_syllable(form: str) -> None:
    for code in range(0xAC00, 0xD7A4):
        assert particle(f"말{chr(code)}", form) == expected(form, chr(code))


@pytest.mark.parametrize("form", FORMS)
def test_a_particle_is_right_after_every_number(form: str) -> None:
    for number in range(2000):
        zeros = len(str(number)) - len(str(number).rstrip("0")) if number else 0
        last = UNITS[zeros] if zeros else READ[number % 10]
        assert particle(str(number), form) == expected(form, last), number
    for power, unit in UNITS.items():
        assert particle(f"{3 * 10**power:,}", form) == expected(form, unit), power
    for digit, last in enumerate(READ):
        assert particle(f"0.{digit}", form) == expected(form, last)


@pytest.mark.parametrize(
    ("word", "forms"),
    [
        ("Redis", "가 를 는 와 로"),
        ("PostgreSQL", "이 을 은 과 로"),
        ("p95", "가 를 는 와 로"),
        ("p50", "이 을 은 과 으로"),
        ("#12", "가 를 는 와 로"),
        ("1.2초", "가 를 는 와 로"),
        ("300 ms", "가 를 는 와 로"),
        ("5.00%", "가 를 는 와 로"),
        ("30개", "가 를 는 와 로"),
        ("3명", "이 을 은 과 으로"),
        ("`redis-slow`", "가 를 는 와 로"),
        ("**위반**", "이 을 은 과 으로"),
        ("IssuanceSlow", "가 를 는 와 로"),
        ("<code>redis&#95;down</code>", "이 을 은 과 으로"),
        ("서울(캐시)", "이 을 은 과 로"),
        ("봇", "이 을 은 과 으로"),
        ("서울", "이 을 은 과 로"),
        (unicodedata.normalize("NFD", "서울"), "이 을 은 과 로"),
        ("“완화”", "가 를 는 와 로"),
        ("ㄹ", "이 을 은 과 로"),
        ("ann", "이(가) 을(를) 은(는) 과(와) (으)로"),
        ("漢字", "이(가) 을(를) 은(는) 과(와) (으)로"),
        ("", "이(가) 을(를) 은(는) 과(와) (으)로"),
        ("–", "이(가) 을(를) 은(는) 과(와) (으)로"),
    ],
)
def test_a_particle_after_a_word(word: str, forms: str) -> None:
    assert [particle(word, form) for form in ("이", "을", "은", "과", "으로")] == forms.split()


@given(st.text(), st.sampled_from(sorted(FORMS)))
def test_a_particle_after_any_text_is_one_of_its_forms(word: str, form: str) -> None:
    assert particle(word, form) in FORMS[form]


def test_a_megabyte_before_a_particle_costs_nothing() -> None:
    for text in ("<" * 1_000_000, "(" * 1_000_000, "&" * 1_000_000, "9" * 1_000_000):
        assert particle(text, "이") == "이(가)"  # the suite has a time limit


def test_a_template_says_where_a_particle_stands() -> None:
    assert fill("{name:이} {at_s:.1f이} {n:,을}", {"name": "Redis", "at_s": 1.26, "n": 2000}) == (
        "Redis가 1.3이 2,000을"
    )
    say = Messages("ko")
    assert say("event.guard_tripped", guard=Markup("`p95`")) == "가드 `p95`가 실행을 중단"
    assert say("event.order_severity", by=say.word("bot"), severity="sev1") == (
        "봇이 심각도를 sev1로 판단"
    )
    assert say("ended.other", ended=7) == "7로 끝났다"
    inner = Message("count.users", n=3)
    promised = Message("check.no_over_issuance.promised", users=inner, stock=2000, beyond=1)
    assert promised.text("ko") == "재고는 2,000장인데 사용자 3명이 보유 응답을 받음: 1명 초과"


def test_a_status_is_read_as_a_word_of_the_language() -> None:
    told = Message("check.playbook.steps", steps=Message("count.steps", n=2), statuses="1 done")
    assert told.text("ko") == "플레이북 단계 2개: 완료 1개"
    assert told.text() == "2 steps: 1 done"
    unknown = Message("check.fault_injected.verdict", fault="f", injected="of tomorrow")
    assert unknown.text("ko") == "f 주입: of tomorrow"


def test_a_korean_text_misses_a_value_as_an_english_one_does() -> None:
    with pytest.raises(KeyError):
        Message("event.order_ack").text("ko")


@pytest.mark.parametrize(
    ("text", "korean"),
    [
        ("90d", "90일"),
        ("1m30s", "1분 30초"),
        ("2h", "2시간"),
        ("300ms", "300ms"),
        ("over 1h5m late", "over 1시간 5분 late"),
        ("10msx a5s", "10msx a5s"),
        ("", ""),
    ],
)
def test_a_duration_is_written_as_the_language_has_it(text: str, korean: str) -> None:
    assert duration_text(text) == text
    assert duration_text(text, "ko") == korean


def test_a_duration_takes_its_particle() -> None:
    assert fill("{age!d:이} 지남", {"age": "90d"}, "ko") == "90일이 지남"
    assert fill("{age!d:이} 지남", {"age": "5m"}, "ko") == "5분이 지남"
    assert fill("{age!d:을} 기다림", {"age": "1m3s"}, "ko") == "1분 3초를 기다림"


def test_a_phase_is_named_in_the_language() -> None:
    assert fill("{phase!p}", {"phase": "drain"}, "ko") == "처리 중인 요청 대기"
    assert fill("{phase!p}", {"phase": "`drain`"}, "ko") == "처리 중인 요청 대기"
    assert fill("{phase!p}", {"phase": "of later"}, "ko") == "of later"
