"""Makes `drop.json`, the dashboard of a coupon drop: `python make.py` in this folder.

A panel is a title, a unit and its expressions; all the rest of Grafana's format is the same for
each, so it is written once, here. A test holds the file against this program, and asks a real
Prometheus for every expression.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SOURCE = {"type": "prometheus", "uid": "prometheus"}
WIDTH, HEIGHT, COLUMNS = 8, 7, 3
WINDOW = "10s"  # as the alert rules have it
Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture: each expression with the legend of its curves."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    names: tuple[tuple[str, str, str], ...] = ()  # value, what it is called, colour


def percentiles(metric: str) -> tuple[tuple[str, str], ...]:
    """The median and the slow ends of a histogram."""
    rates = f"sum by (le) (rate({metric}_bucket[{WINDOW}]))"
    return tuple((f"histogram_quantile({q / 100:g}, {rates})", f"p{q}") for q in (50, 95, 99))


BY_DEPENDENCY = f"sum by (le, dependency) (rate(dependency_seconds_bucket[{WINDOW}]))"
PANELS = (
    Panel(
        "Issued a second",
        "reqps",
        ((f'sum(rate(issuance_requests_total{{outcome="issued"}}[{WINDOW}]))', "issued"),),
    ),
    Panel("Coupons left", "short", (("min by (coupon) (issuance_remaining)", "{{coupon}}"),)),
    Panel("Issued beyond the stock", "short", (("max(issuance_over_issued)", "too many"),), "stat"),
    Panel(
        "Outcomes, as the service counts them",
        "reqps",
        ((f"sum by (outcome) (rate(issuance_requests_total[{WINDOW}]))", "{{outcome}}"),),
    ),
    Panel(
        "Outcomes, as the clients see them",
        "reqps",
        ((f"sum by (outcome) (rate(k6_http_reqs_total[{WINDOW}]))", "{{outcome}}"),),
    ),
    Panel(
        "Latency, from the time a request was due",
        "s",
        percentiles("k6_http_req_duration_seconds"),
    ),
    Panel("Latency in the service", "s", percentiles("issuance_request_seconds")),
    Panel(
        "Latency of dependencies, p95",
        "s",
        (
            (
                f"histogram_quantile(0.95, {BY_DEPENDENCY})",
                "{{dependency}}",
            ),
        ),
    ),
    Panel(
        "Virtual users",
        "short",
        (("sum(k6_vus)", "vus"), ("sum(k6_vus_max)", "vus_max")),
    ),
    Panel(
        "Dropped iterations",
        "cps",
        ((f"sum by (reason) (rate(k6_dropped_iterations_total[{WINDOW}]))", "{{reason}}"),),
    ),
    Panel(
        "Requests in flight, by replica",
        "short",
        (("sum by (instance) (issuance_in_flight)", "{{instance}}"),),
    ),
    Panel(
        "Redis: commands a second",
        "ops",
        ((f"sum(rate(redis_commands_processed_total[{WINDOW}]))", "commands"),),
    ),
    Panel(
        "Redis: clients",
        "short",
        (
            ("sum(redis_connected_clients)", "connected"),
            ("sum(redis_blocked_clients)", "blocked"),
        ),
    ),
    Panel(
        "Redis: memory",
        "bytes",
        (
            ("sum(redis_memory_used_bytes)", "used"),
            ("sum(redis_memory_max_bytes)", "limit"),
        ),
    ),
    Panel(
        "PostgreSQL: transactions a second",
        "ops",
        (
            (f"sum(rate(pg_stat_database_xact_commit[{WINDOW}]))", "committed"),
            (f"sum(rate(pg_stat_database_xact_rollback[{WINDOW}]))", "rolled back"),
        ),
    ),
    Panel(
        "PostgreSQL: sessions",
        "short",
        (('sum by (state) (pg_stat_activity_count{state=~"active|idle.*"})', "{{state}}"),),
    ),
    Panel(
        "PostgreSQL: exclusive locks",
        "short",
        (('sum by (mode) (pg_locks_count{mode=~".*exclusivelock"})', "{{mode}}"),),
    ),
    Panel(
        "Alerts",
        "short",
        (
            (
                'max by (alertname) (2 * ALERTS{alertstate="firing"} or ALERTS)',
                "{{alertname}}",
            ),
        ),
        "state-timeline",
        (("1", "pending", "yellow"), ("2", "firing", "red")),
    ),
    Panel(
        "Faults",
        "short",
        (("max by (id) (gameday_fault)", "{{id}}"),),
        "state-timeline",
        (("0", "out", "green"), ("1", "in", "red")),
    ),
)
FAULTS = "gameday_fault == 1"


def dashboard() -> Json:
    """The whole dashboard as Grafana reads it."""
    annotations = {
        "name": "Faults",
        "enable": True,
        "datasource": SOURCE,
        "expr": FAULTS,
        "step": "1s",
        "iconColor": "red",
        "titleFormat": "{{fault}}",
        "textFormat": "{{id}} on {{target}}",
    }
    return {
        "uid": "gameday-drop",
        "title": "Coupon drop",
        "tags": ["gameday"],
        "schemaVersion": 39,
        "refresh": "5s",
        "time": {"from": "now-5m", "to": "now"},
        "timezone": "browser",
        "editable": False,
        "annotations": {"list": [annotations]},
        "templating": {"list": []},
        "panels": list(_panels()),
    }


def _panels() -> Iterator[Json]:
    for n, panel in enumerate(PANELS):
        row, column = divmod(n, COLUMNS)
        place = {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT}
        yield {
            "id": n + 1,
            "type": panel.kind,
            "title": panel.title,
            "datasource": SOURCE,
            "gridPos": place,
            "fieldConfig": {"defaults": _look(panel), "overrides": []},
            "targets": [
                {
                    "refId": chr(ord("A") + k),
                    "datasource": SOURCE,
                    "expr": expr,
                    "legendFormat": legend,
                    "range": True,
                }
                for k, (expr, legend) in enumerate(panel.queries)
            ],
        }


def _look(panel: Panel) -> Json:
    """Unit and colours: nothing is fine but zero where one figure stands alone."""
    steps = [{"color": "green", "value": None}, {"color": "red", "value": 1}]
    options = {
        value: {"index": n, "text": text, "color": color}
        for n, (value, text, color) in enumerate(panel.names)
    }
    return {
        "unit": panel.unit,
        "min": 0,
        "thresholds": {"mode": "absolute", "steps": steps},
        "mappings": [{"type": "value", "options": options}] if options else [],
    }


if __name__ == "__main__":
    text = json.dumps(dashboard(), indent=1) + "\n"
    Path(__file__).with_name("drop.json").write_text(text)
