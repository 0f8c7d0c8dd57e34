"""Notifications: they arrive as they should, and whatever the other side does, nothing waits."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from gameday.core.errors import excerpt
from gameday.core.secrets.redaction import Hidden, telling
from gameday.report.notify import (
    FILE,
    Attempt,
    AttemptLog,
    Notice,
    Outbox,
    announce,
    channels,
    day_announced,
    day_finished,
    day_soon,
    day_started,
    environment_problems,
    trial_notice,
)
from gameday.report.notify.channels import Letter, payload, signature
from gameday.report.notify.delivery import DeliveryLimits
from gameday.report.notify.notice import RunTitle, alerts_fire, cleaned, run_aborted, run_started
from gameday.report.notify.slack import (
    MOST_FALLBACK,
    MOST_HEADER,
    blocks,
    escaped,
    fallback,
    fitting,
)
from tests.attacks.server import (
    Peer,
    Script,
    Server,
    answer,
    floods,
    in_turn,
    resets,
    says,
    sends,
    stalls,
    trickles,
)

PATH = "/services/T0SECRET/B0SECRET/xoxSECRETxox"
KEY = "a-key-that-nobody-has"
FAST = DeliveryLimits(attempts=3, attempt_s=0.5, first_wait_s=0.01)
HEAD = b"HTTP/1.1 200 OK\r\n"
TITLE = RunTitle(run="r-1", experiment="redis-slow", title="Redis answers late", stack="embedded")


def of(server: Server) -> dict[str, str]:
    return {"GAMEDAY_SLACK_WEBHOOK": server.url + PATH}


def deliver(
    environment: Mapping[str, str],
    *notices: Notice,
    limits: DeliveryLimits = FAST,
    within_s: float = 20.0,
    log: Path | None = None,
) -> list[Attempt]:
    noted = AttemptLog(log)
    outbox = Outbox(channels(environment), noted, limits)
    for notice in notices or (trial_notice(),):
        outbox.put(notice)
    outbox.close(within_s)
    return noted.attempts


def timed(*scripts: Script) -> tuple[Script, list[float]]:
    """One script after the other, the last one again and again; when each was asked."""
    asked = list[float]()
    chosen = in_turn(scripts)

    def script(peer: Peer) -> bool | None:
        asked.append(time.monotonic())
        return chosen(peer)

    return script, asked


def bodies(server: Server) -> list[Any]:
    return [json.loads(body) for _, _, _, body in server.asked]


def test_slack_is_sent_blocks_and_a_text_that_both_say_that_it_is_an_exercise() -> None:
    with Server({PATH: says("ok")}) as server:
        attempts = deliver(of(server), run_started(TITLE))
        (body,) = bodies(server)
    assert [(each.outcome, each.status, each.channel) for each in attempts] == [
        ("delivered", 200, "slack")
    ]
    assert body["text"].startswith("EXERCISE – Redis answers late: the run has begun\n")
    assert body["blocks"][0]["type"] == "header"
    assert body["blocks"][0]["text"]["text"].startswith("EXERCISE – ")
    assert {"type": "plain_text", "text": "Run: r-1", "emoji": False} in body["blocks"][1]["fields"]


def every_notice() -> list[Notice]:
    drill = RunTitle(run="20261130T101010Z-drill-ab12", is_drill=True)
    return [
        run_started(TITLE),
        alerts_fire(TITLE, ["IssuanceSlow"], 17.2),
        run_aborted(TITLE, "guard", "too many unknown"),
        run_started(drill),
        run_aborted(drill, "operator", "stop"),
        day_announced("Rehearsal", "We begin at ten."),
        day_soon("Rehearsal", datetime(2026, 12, 1, 10, tzinfo=UTC)),
        day_started("Rehearsal", ["redis-slow", "db-slow"]),
        day_finished("Rehearsal", [("redis-slow", "passed"), ("db-slow", "failed")]),
        trial_notice("hello"),
    ]


@pytest.mark.parametrize("notice", every_notice(), ids=lambda notice: notice.event)
def test_every_message_says_first_that_it_is_an_exercise(notice: Notice) -> None:
    assert notice.plain("en").startswith("EXERCISE")
    assert fallback(notice, "en").startswith("EXERCISE")
    assert payload(Letter("1", notice), "now").exercise is True


def test_a_message_of_a_drill_names_nothing_but_the_run() -> None:
    told = RunTitle(
        run="20261130T101010Z-drill-ab12",
        experiment="redis-slow",
        title="Redis answers late",
        stack="embedded",
        is_drill=True,
    )
    for notice in (run_started(told), run_aborted(told, "guard", "p95 of redis > 1")):
        whole = json.dumps([asdict(payload(Letter("1", notice), "now")), blocks(notice, "en")])
        assert "redis" not in whole.lower()
        assert "guard" not in whole
        assert told.run in whole


HOSTILE = "<!channel> <@U123> & *bold* <https://evil.example|click> @here \u202egnp.exe\x1b[2J"


def test_nothing_of_a_foreign_text_calls_people_links_or_hides() -> None:
    of_file = RunTitle(run="r-1", experiment="x", title=HOSTILE, stack="embedded")
    for notice in (run_started(of_file), day_announced(HOSTILE, HOSTILE), trial_notice(HOSTILE)):
        whole = json.dumps([blocks(notice, "en"), fallback(notice, "en")], ensure_ascii=False)
        assert "<" not in whole
        assert ">" not in whole
        assert "@here" not in whole
        assert "@U123" not in whole
        assert "\u202e" not in whole
        assert "\\u001b" not in whole
        assert '"mrkdwn"' not in whole  # a block that would be formatted


@pytest.mark.parametrize("text", ["&" * 9_999, "@a" * 9_999, "가" * 9_999, "<" * 149, "a" * 150])
def test_a_cut_text_fits_and_holds_no_half_an_escape(text: str) -> None:
    shown = fitting(text, MOST_HEADER)
    assert len(shown) <= MOST_HEADER
    assert shown == escaped(text) or shown.endswith("…")
    assert not shown.removesuffix("…").endswith(("&", "&a", "&am", "&amp", "&l", "&lt"))


def test_megabytes_of_a_title_make_a_message_that_slack_takes() -> None:
    big = "x<" * 2_000_000
    notice = day_announced(big, "\n".join([big] * 3))
    assert len(cleaned(big)) == 300
    assert len(json.dumps(blocks(notice, "en"))) < 20_000
    assert len(fallback(notice, "en")) <= MOST_FALLBACK


def test_the_generic_webhook_is_sent_json_that_its_key_signs() -> None:
    with Server({"/hook": says("", 204)}) as server:
        environment = {"GAMEDAY_WEBHOOK": f"{server.url}/hook", "GAMEDAY_WEBHOOK_SECRET": KEY}
        (attempt,) = deliver(environment, alerts_fire(TITLE, ["IssuanceSlow"], 17.2))
        ((_, _, head, raw),) = server.asked
    body = json.loads(raw)
    assert attempt.outcome == "delivered"
    assert {name: body[name] for name in ("schema", "event", "kind", "run", "experiment")} == {
        "schema": 1,
        "event": "run.alert",
        "kind": "run",
        "run": "r-1",
        "experiment": "redis-slow",
    }
    assert body["headline"] == "EXERCISE – Redis answers late: IssuanceSlow fires"
    assert {"name": "since", "label": "After the start of the traffic", "value": "17.2 s"} in body[
        "facts"
    ]
    heads = dict(
        line.split(": ", 1) for line in head.decode().lower().split("\r\n") if ": " in line
    )
    t, _, digest = heads["x-gameday-signature"].removeprefix("t=").partition(",v1=")
    expected = hmac.new(KEY.encode(), t.encode() + b"." + raw, hashlib.sha256).hexdigest()
    assert digest == expected
    assert heads["x-gameday-delivery"] == body["id"]
    assert heads["x-gameday-event"] == "run.alert"
    assert signature(b"another", int(t), raw) != heads["x-gameday-signature"]


def test_both_channels_are_told_and_one_that_hangs_does_not_hold_up_the_other() -> None:
    arrived = threading.Event()

    def takes(peer: Peer) -> bool:
        peer.send(answer("ok"))
        arrived.set()
        return True

    with Server({PATH: stalls(), "/hook": takes}) as server:
        outbox = Outbox(
            channels({**of(server), "GAMEDAY_WEBHOOK": f"{server.url}/hook"}),
            limits=DeliveryLimits(attempt_s=60.0),
        )
        outbox.put(trial_notice())
        assert arrived.wait(20)
        outbox.close(0.2)


def test_a_retry_after_is_obeyed_and_the_message_sent_again_under_its_id() -> None:
    script, asked = timed(says("slow down", 429, "Retry-After: 1"), says("ok"))
    with Server({"/hook": script}) as server:
        attempts = deliver({"GAMEDAY_WEBHOOK": f"{server.url}/hook"})
        ids = {body["id"] for body in bodies(server)}
    assert [each.outcome for each in attempts] == ["retried", "delivered"]
    assert attempts[0].why == "429, retry-after 1 s"
    assert asked[1] - asked[0] >= 1.0
    assert len(ids) == 1


@pytest.mark.parametrize(
    "after",
    ["3600", "99999999999999999999", "Wed, 21 Oct 2099 07:28:00 GMT"],
    ids=["an hour", "for ever", "a date"],
)
def test_a_retry_after_beyond_the_bound_gives_the_message_up_at_once(after: str) -> None:
    with Server({PATH: says("", 429, f"Retry-After: {after}")}) as server:
        (attempt,) = deliver(of(server))
    assert attempt.outcome == "given_up"
    assert attempt.status == 429


@pytest.mark.parametrize("after", ["", "soon", "-5", "1e9", "nan"])
def test_a_retry_after_that_is_none_waits_as_ever(after: str) -> None:
    script, _ = timed(says("", 429, f"Retry-After: {after}"), says("ok"))
    with Server({PATH: script}) as server:
        attempts = deliver(of(server))
    assert [each.outcome for each in attempts] == ["retried", "delivered"]


def test_a_date_that_is_over_is_no_time_to_wait() -> None:
    past = format_datetime(datetime(2020, 1, 1, tzinfo=UTC), usegmt=True)
    script, _ = timed(says("", 503, f"Retry-After: {past}"), says("ok"))
    with Server({PATH: script}) as server:
        assert [each.outcome for each in deliver(of(server))] == ["retried", "delivered"]


FAILURES: dict[str, tuple[Script, int, str]] = {
    "500": (says("no", 500), 3, "500"),
    "503": (says("no", 503), 3, "503"),
    "a hang": (stalls(), 3, "no whole answer within"),
    "a reset": (resets(), 3, "no HTTP answer"),
    "no HTTP": (sends(b"SSH-2.0-x\r\n"), 3, "no HTTP answer"),
    "a head that drips": (trickles(b"", HEAD + b"A: b\r\n" * 900, 0.01), 3, "no whole answer"),
    "403": (says("invalid_token", 403), 1, "403"),
    "404": (says("no_service", 404), 1, "404"),
    "a redirect": (says("", 302, "Location: http://127.0.0.1:9/x"), 1, "302, redirect"),
}


@pytest.mark.parametrize("case", FAILURES.values(), ids=FAILURES.keys())
def test_what_fails_is_tried_as_often_as_it_makes_sense(
    case: tuple[Script, int, str], tmp_path: Path
) -> None:
    script, times, why = case
    with Server({PATH: script}) as server:
        attempts = deliver(of(server), log=tmp_path / FILE)
        assert len(server.asked) <= times
    assert [each.outcome for each in attempts] == ["retried"] * (times - 1) + ["given_up"]
    assert why in attempts[-1].why
    noted = (tmp_path / FILE).read_text()
    assert [json.loads(line)["attempt"] for line in noted.splitlines()] == [*range(1, times + 1)]
    assert "SECRET" not in noted
    assert "127.0.0.1" not in noted


@pytest.mark.parametrize(
    "script",
    [
        floods(HEAD + b"\r\n", b"a" * 9_000),
        trickles(HEAD + b"Content-Length: 900\r\n\r\n", bytes(900)),
        sends(HEAD + b"Content-Length: 9\r\n\r\nabc"),
    ],
    ids=["a huge answer", "a body that drips", "a body that is cut"],
)
def test_an_answer_that_began_with_success_was_taken_and_is_not_sent_twice(script: Script) -> None:
    with Server({PATH: script}) as server:
        (attempt,) = deliver(of(server))
    assert (attempt.outcome, attempt.status) == ("delivered", 200)


def test_nobody_listens() -> None:
    with Server({}) as server:
        environment = of(server)
    attempts = deliver(environment)
    assert [each.why for each in attempts] == ["connection refused"] * 3


def test_the_end_of_a_run_does_not_wait_for_a_channel_that_hangs() -> None:
    with Server({PATH: stalls()}) as server:
        began = time.monotonic()
        attempts = deliver(of(server), limits=DeliveryLimits(attempt_s=60.0), within_s=4.0)
        assert time.monotonic() - began < 30
    assert [each.outcome for each in attempts] == ["given_up"]  # and it is noted


def test_an_outbox_that_was_closed_ends_its_threads() -> None:
    script, asked = timed(says("", 429, "Retry-After: 50"))
    with Server({PATH: script}) as server:
        before = threading.active_count()
        outbox = Outbox(channels(of(server)), limits=DeliveryLimits())
        outbox.put(trial_notice())
        until(lambda: asked)
        outbox.close(0.2)
        until(lambda: not [t for t in threading.enumerate() if t.name == "notify slack"])
        assert threading.active_count() <= before + 2  # those of the server
    assert [each.outcome for each in outbox.log.attempts][-1] in ("retried", "given_up")


def until(true: Callable[[], object], within_s: float = 20.0) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_waits_is_bounded_and_what_is_too_much_is_noted_as_dropped() -> None:
    with Server({PATH: stalls()}) as server:
        log = AttemptLog()
        outbox = Outbox(channels(of(server)), log, DeliveryLimits(waiting=5, attempt_s=60.0))
        for _ in range(100):
            outbox.put(trial_notice())
        dropped = [each for each in log.attempts if each.outcome == "dropped"]
        assert len(dropped) >= 94
        assert {each.why for each in dropped} == {"queue_full"}
        outbox.close(0.1)
        outbox.put(trial_notice())
    assert log.attempts[-1].why == "over"


UNUSABLE = [
    "hooks.slack.com/services/SECRET",
    "ftp://hooks.slack.com/SECRET",
    "https://user:SECRET@hooks.slack.com/",
    "https://hooks.slack.com/SECRET#x",
    "https://hooks.slack.com/SE CRET",
    "https:///SECRET",
    "http://hooks.slack.com/SECRET",
    "SECRET" * 9_999,
]


@pytest.mark.parametrize("text", UNUSABLE, ids=excerpt)
def test_an_address_that_cannot_be_used_is_told_without_being_shown(text: str) -> None:
    environment = {"GAMEDAY_SLACK_WEBHOOK": text}
    (problem,) = environment_problems(environment)
    assert str(problem).startswith("GAMEDAY_SLACK_WEBHOOK: ")
    assert "SECRET" not in str(problem)
    assert channels(environment) == []


def test_the_address_is_in_no_picture_of_a_channel_and_masked_in_a_program_s_output() -> None:
    environment = {
        "GAMEDAY_SLACK_WEBHOOK": f"https://hooks.slack.com{PATH}",
        "GAMEDAY_WEBHOOK": f"http://hooks.internal{PATH}?x=1",
        "GAMEDAY_WEBHOOK_SECRET": KEY,
    }
    assert "SECRET" not in repr(channels(environment))
    assert KEY not in repr(channels(environment))
    masked = Hidden(telling(environment))(" ".join(environment.values()))
    assert "SECRET" not in masked
    assert KEY not in masked


def test_off_is_off_and_another_word_is_a_problem() -> None:
    hook = {"GAMEDAY_WEBHOOK": "http://127.0.0.1:9/x"}
    assert channels({**hook, "GAMEDAY_NOTIFY": "off"}) == []
    assert announce(trial_notice(), environment={**hook, "GAMEDAY_NOTIFY": "OFF"}) == ()
    assert len(channels({**hook, "GAMEDAY_NOTIFY": "everything"})) == 1
    assert len(environment_problems({"GAMEDAY_NOTIFY": "everything"})) == 1
    assert announce(trial_notice(), environment={}) == ()


def test_the_console_says_it_in_plain_lines(tmp_path: Path) -> None:
    lines: list[str] = []
    notice = day_announced("Rehearsal", "We begin at ten.\nNobody is harmed.")
    environment = {"GAMEDAY_NOTIFY": "console"}
    (attempt,) = announce(notice, tmp_path, environment=environment, say=lines.append)
    assert attempt.outcome == "delivered"
    assert lines == ["EXERCISE (game day) – Rehearsal\nWe begin at ten.\nNobody is harmed."]


def test_a_log_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / FILE).symlink_to(tmp_path / "elsewhere")
    with Server({PATH: says("ok")}) as server:
        (attempt,) = announce(trial_notice(), tmp_path, environment=of(server))
        assert attempt.outcome == "delivered"
        (attempt,) = announce(trial_notice(), tmp_path / "gone", environment=of(server))
        assert attempt.outcome == "delivered"
    assert (tmp_path / "elsewhere").read_text() == ""


def test_messages_come_in_their_order() -> None:
    with Server({"/hook": says("ok")}) as server:
        notices = [trial_notice(f"{n}") for n in range(20)]
        deliver({"GAMEDAY_WEBHOOK": f"{server.url}/hook"}, *notices)
        assert [body["announcement"] for body in bodies(server)] == [str(n) for n in range(20)]
