"""Faults of processes as data: what they would change, and what a file may not ask for."""

from pathlib import Path

import pytest

from gameday.core.errors import FileError
from gameday.plan.validate import validate
from gameday.spec.changes import ServiceChange
from gameday.spec.faults.service import Kill, Pause, Restart, RestartEmpty
from gameday.spec.inputs import FileWarning, find_experiment, load_inputs

GUARD = "max(issuance_in_flight) > 1000"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A copy of a shipped experiment, to be broken."""
    copy = tmp_path / "service-kill.yaml"
    copy.write_text(find_experiment("service-kill").read_text())
    return copy


def checked(file: Path, old: str = "", new: str = "") -> list[FileWarning]:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1) if old else text)
    return validate(load_inputs(str(file)))


def test_each_says_what_it_would_change() -> None:
    when = {"at": "15s", "duration": "10s"}
    kill = Kill.model_validate({"fault": "service.kill", "target": "redis", **when})
    pause = Pause.model_validate({"fault": "service.pause", "target": "service", **when})
    empty = RestartEmpty.model_validate({"fault": "redis.restart", **when})
    assert kill.changes() == [ServiceChange("redis", "kill")]
    assert pause.changes() == [ServiceChange("service", "pause")]
    assert empty.changes() == [ServiceChange("redis", "kill", forget=True)]
    assert empty.on == "redis"


def test_a_restart_is_looked_at_for_five_seconds_if_nothing_else_is_said() -> None:
    fault = {"fault": "service.restart", "target": "postgres", "at": "15s"}
    restart = Restart.model_validate(fault)
    assert restart.duration.total_seconds() == 5
    assert restart.changes() == [ServiceChange("postgres", "restart")]


@pytest.mark.parametrize("target", ["toxiproxy", "kafka"])
def test_only_the_service_and_its_stores_can_be_struck(file: Path, target: str) -> None:
    with pytest.raises(FileError, match=f"'target': unknown value '{target}'") as caught:
        checked(file, "target: service,", f"target: {target},")
    assert "service-kill.yaml:14:" in caught.value.message


def guarded(file: Path, guard: str) -> list[FileWarning]:
    return checked(file, "abort_if:\n", f"abort_if:\n  - {guard}\n")


def test_a_guard_that_the_fault_would_blind_must_say_that_it_may_be(file: Path) -> None:
    with pytest.raises(FileError, match="takes 'issuance_in_flight' away") as caught:
        guarded(file, f"{{expr: '{GUARD}', for: 5s}}")
    assert "blind: ignore" in caught.value.help


@pytest.mark.parametrize(
    "guard",
    [f"{{expr: '{GUARD}', blind: ignore}}", "{expr: min(up) == 0, for: 30s}"],
)
def test_a_guard_that_may_be_blind_or_is_not_blinded_stands(file: Path, guard: str) -> None:
    assert guarded(file, guard) == []


def test_a_fault_of_a_store_blinds_no_guard_on_the_services_metrics(file: Path) -> None:
    text = file.read_text().replace("target: service,", "target: redis,")
    file.write_text(text)
    assert guarded(file, f"{{expr: '{GUARD}'}}") == []


def test_two_faults_do_not_strike_one_process_at_a_time(file: Path) -> None:
    first = "  - {fault: service.kill, target: service, at: 15s, duration: 10s}\n"
    second = "  - {fault: service.pause, target: service, at: 20s, duration: 2s}\n"
    with pytest.raises(FileError, match="overlaps with 'service-kill-1'"):
        checked(file, first, first + second)
