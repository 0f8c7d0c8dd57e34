"""The service's doors: what each request is answered, with real stores behind."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.sut_stores import (
    Service,
    listens,
    running_service,
    running_stores,
    wait_until,
)

COUPONS = "/api/v1/coupons"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with running_stores() as stores, running_service(stores) as service:
        yield service


@pytest.fixture(params=["redis", "postgres"])
def coupon(service: Service, request: pytest.FixtureRequest) -> Iterator[str]:
    """A campaign of three coupons, under each strategy."""
    code = service.create(3)
    assert service.admin("strategy", strategy=request.param, campaign=code).status_code == 200
    yield code
    service.close(code)


def test_an_issue_is_answered_with_its_id_and_is_a_row(service: Service, coupon: str) -> None:
    answer = service.issue(7, coupon)
    body = answer.json()
    assert answer.status_code == 200
    assert (body["userId"], body["couponCode"], body["remaining"]) == (7, coupon, 2)
    assert service.audit(coupon)["rows"] == [{"userId": 7, "issueId": body["issueId"]}]


def test_a_second_request_of_a_holder_is_a_duplicate(service: Service, coupon: str) -> None:
    service.issue(7, coupon)
    again = service.issue(7, coupon)
    assert (again.status_code, again.json()["code"]) == (409, "DUPLICATE")


def test_the_fourth_of_three_coupons_is_sold_out(service: Service, coupon: str) -> None:
    for user in range(3):
        assert service.issue(user, coupon).status_code == 200
    fourth = service.issue(3, coupon)
    assert (fourth.status_code, fourth.json()["code"]) == (409, "SOLD_OUT")


def test_a_closed_campaign_issues_nothing(service: Service, coupon: str) -> None:
    service.close(coupon)
    refused = service.issue(1, coupon)
    assert (refused.status_code, refused.json()["code"]) == (404, "CAMPAIGN_CLOSED")
    assert service.audit(coupon)["rows"] == []


def test_a_paused_campaign_says_when_to_come_back_and_goes_on_afterwards(
    service: Service, coupon: str
) -> None:
    assert service.admin("pause", campaign=coupon).status_code == 200
    paused = service.issue(1, coupon)
    assert (paused.status_code, paused.json()["code"]) == (503, "PAUSED")
    assert int(paused.headers["retry-after"]) > 0
    assert service.metrics()["issuance_paused"] == 1
    assert service.admin("resume", campaign=coupon).status_code == 200
    assert service.issue(1, coupon).status_code == 200
    assert service.metrics()["issuance_paused"] == 0


@pytest.mark.parametrize("body", [
    {}, [], None, {"userId": "1", "couponCode": "X"}, {"userId": True, "couponCode": "X"},
    {"userId": 1}, {"userId": -1, "couponCode": "X"}, {"userId": 1.5, "couponCode": "X"},
    {"userId": 1, "couponCode": ""}, {"userId": 1, "couponCode": "X" * 200},
    {"userId": 2**64, "couponCode": "X"}, {"userId": 1, "couponCode": "X\0"},
])  # fmt: skip
def test_a_body_that_is_not_a_request_is_422(service: Service, body: object) -> None:
    assert service.http.post(f"{service.url}{COUPONS}/issue", json=body).status_code == 422


def test_bytes_that_are_not_json_are_422_and_long_ones_too(service: Service) -> None:
    for content in (b"", b"{", b"\xff", b"[" * 10_000, b'"' + b"x" * 100_000 + b'"'):
        answer = service.http.post(f"{service.url}{COUPONS}/issue", content=content)
        assert answer.status_code == 422, content[:20]


def test_an_unknown_campaign_is_404_at_every_door(service: Service) -> None:
    assert service.issue(1, "NOBODY").status_code == 404
    for path in ("NOBODY", "NOBODY/audit"):
        assert service.http.get(f"{service.url}{COUPONS}/{path}").status_code == 404
    assert service.http.post(f"{service.url}{COUPONS}/NOBODY/close").status_code == 404
    assert service.http.get(f"{service.url}/nothing").status_code == 404


def test_a_campaign_is_created_once_and_shows_its_state(service: Service) -> None:
    code = service.create(5)
    again = service.http.post(f"{service.url}{COUPONS}", json={"code": code, "stock": 9})
    assert again.status_code == 409
    state = service.http.get(f"{service.url}{COUPONS}/{code}").json()
    assert (state["stock"], state["strategy"], state["closed"]) == (5, "redis", False)
    bad: list[object] = [{"code": code}, {"code": "", "stock": 1}, {"code": "x", "stock": -1}, []]
    for broken in bad:
        assert service.http.post(f"{service.url}{COUPONS}", json=broken).status_code == 422
    service.close(code)


def test_the_audit_shows_a_current_view_and_one_that_is_not(service: Service) -> None:
    code = service.create(3)
    service.issue(4, code)
    audit = service.audit(code)
    assert audit["views"]["redis"]["current"] is True
    assert (audit["views"]["redis"]["holders"], audit["views"]["redis"]["remaining"]) == ([4], 2)
    assert (audit["stock"], audit["authority"], audit["consistent"]) == (3, "postgres", True)
    assert "remaining" not in audit
    service.admin("strategy", strategy="postgres", campaign=code)
    service.issue(5, code)
    after = service.audit(code)
    assert after["views"]["redis"]["current"] is False
    assert (after["remaining"], len(after["rows"])) == (1, 2)
    service.admin("strategy", strategy="redis", campaign=code)
    assert service.audit(code)["views"]["redis"]["holders"] == [4, 5]
    service.close(code)


def test_the_fourth_request_in_ten_seconds_is_limited_once_that_is_switched_on(
    service: Service,
) -> None:
    code = service.create(3)
    assert service.admin("rate-limit", enabled=True).status_code == 200
    statuses = [service.issue(900, code).status_code for _ in range(4)]
    assert statuses == [200, 409, 409, 429]
    assert service.issue(901, code).status_code == 200
    assert service.admin("rate-limit", enabled=False).status_code == 200
    assert service.issue(900, code).status_code == 409
    service.close(code)


def test_pools_grow_and_shrink_while_coupons_are_issued(service: Service) -> None:
    code = service.create(100)
    before = open_connections(service, "postgres")
    for user, wanted in enumerate((before + 5, before - 2, before)):
        assert service.admin("pools", postgres=wanted).json()["postgres"] == wanted
        assert service.issue(user, code).status_code == 200
        until_open(service, "postgres", wanted)
    assert service.issue(50, code).status_code == 200
    service.close(code)


def until_open(service: Service, store: str, wanted: int) -> None:
    wait_until(lambda: open_connections(service, store) == wanted, 10, f"{wanted} connections")


def open_connections(service: Service, store: str) -> int:
    return int(service.metrics()[f'pool_live{{dependency="{store}"}}'])


def test_a_pool_that_is_not_there_and_a_size_that_is_none_change_nothing(service: Service) -> None:
    before = open_connections(service, "redis")
    for sizes in ({"mongo": 5}, {"redis": 0}, {"redis": True}, {"redis": 1e3}, {"redis": 1001}):
        assert service.admin("pools", **{"redis": 5, **sizes}).status_code == 422
    assert service.admin("pools").json()["redis"] == before


def test_admin_calls_need_the_token_bare_or_as_bearer(service: Service) -> None:
    url = f"{service.admin_url}/admin/pause"
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": ""}):
        assert service.http.post(url, json={}, headers=headers).status_code == 401
    bare = {"Authorization": service.token}
    assert service.http.post(f"{service.admin_url}/admin/resume", headers=bare).status_code == 200


def test_admin_calls_that_make_no_sense_are_refused(service: Service) -> None:
    assert service.admin("strategy", strategy="mongo").status_code == 422
    assert service.admin("strategy").status_code == 422
    assert service.admin("rate-limit", enabled="yes").status_code == 422
    assert service.admin("pause", campaign="NOBODY").status_code == 422
    assert service.admin("reboot").status_code == 404


def test_log_levels_are_read_and_changed_while_it_runs(service: Service) -> None:
    loggers = f"{service.url}/actuator/loggers"
    name = "system_under_test.api"
    assert name in service.http.get(loggers).json()["loggers"]
    changed = service.http.post(f"{loggers}/{name}", json={"configuredLevel": "DEBUG"})
    assert changed.status_code == 204
    assert service.http.get(f"{loggers}/{name}").json() == {
        "configuredLevel": "DEBUG",
        "effectiveLevel": "DEBUG",
    }
    service.http.post(f"{loggers}/{name}", json={"configuredLevel": None})
    assert service.http.get(f"{loggers}/{name}").json()["effectiveLevel"] == "INFO"
    loud = service.http.post(f"{loggers}/{name}", json={"configuredLevel": "LOUD"})
    assert loud.status_code == 422
    assert service.http.get(f"{loggers}/nobody").status_code == 404


def test_the_request_id_comes_back_and_stands_in_the_log(service: Service) -> None:
    headers = {"X-Request-Id": "find-me-42"}
    body = {"code": "WITH-AN-ID", "stock": 1}
    made = service.http.post(f"{service.url}{COUPONS}", json=body, headers=headers)
    assert made.headers["x-request-id"] == "find-me-42"
    wait_until(lambda: '"request_id": "find-me-42"' in service.log.read_text(), 5, "logged")
    service.close("WITH-AN-ID")


def test_every_metric_the_rules_and_the_system_file_name_is_there_from_the_start(
    service: Service,
) -> None:
    folder = Path(__file__).resolve().parents[2] / "system_under_test"
    system = yaml.safe_load((folder / "system.yaml").read_text())
    expressions = [system["drain"]["expr"], *system["dependencies"].values()]
    for rules in ("alerts.yml", "alerts.production.yml"):
        for group in yaml.safe_load((folder / "prometheus" / rules).read_text())["groups"]:
            expressions += [rule["expr"] for rule in group["rules"]]
    named = set(re.findall(r"\b(?:issuance|dependency|pool)_\w+", " ".join(expressions)))
    served = {name.partition("{")[0] for name in service.metrics()}
    assert len(named) >= 8
    assert named <= served


def test_both_rule_files_hold_the_same_rules() -> None:
    folder = Path(__file__).resolve().parents[2] / "system_under_test" / "prometheus"
    drill, production = (
        yaml.safe_load((folder / name).read_text())["groups"][0]
        for name in ("alerts.yml", "alerts.production.yml")
    )
    assert [rule["alert"] for rule in drill["rules"]] == [
        rule["alert"] for rule in production["rules"]
    ]
    for quick, slow in zip(drill["rules"], production["rules"], strict=True):
        renamed = quick["expr"].replace("[10s]", "[1m]").replace("/ 10", "/ 60")
        assert renamed.replace("> 30", "> 300") == slow["expr"]
        # A service that is gone does not come back within three scrapes by chance.
        drilled = "3s" if quick["alert"] == "ServiceDown" else "5s"
        assert (quick["for"], slow["for"]) == (drilled, "1m")


def test_pings_measure_both_stores_five_times_a_second_with_no_traffic(service: Service) -> None:
    def pings() -> dict[str, float]:
        metrics = service.metrics()
        names = ("redis", "postgres")
        return {n: metrics[f'dependency_seconds_count{{dependency="{n}"}}'] for n in names}

    before = pings()
    wait_until(lambda: all(pings()[n] >= before[n] + 5 for n in before), 1.5, "five pings each")


def test_a_replica_that_leaves_fails_its_health_check_and_finishes_what_it_has() -> None:
    with running_stores() as stores, running_service(stores, SUT_DRAIN_S="60") as service:
        code = service.create(10)
        assert service.http.get(f"{service.url}/healthz").status_code == 200
        service.process.terminate()
        wait_until(
            lambda: service.http.get(f"{service.url}/healthz").status_code == 503, 10, "draining"
        )
        assert service.issue(1, code).status_code == 200
        service.process.terminate()  # once more: no need to wait for a balancer
        assert service.process.wait(20) == 0
        assert not listens(service.port)
