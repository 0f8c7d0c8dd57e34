"""The canary: five small requests a second from the controller, which change nothing.

It asks for what says that the system is healthy, from another process than the traffic's. So it
tells, when the traffic was late, how the system and the machine were meanwhile. It never issues a
coupon, and any answer will do. A system without `start.ready` has named no path for that, and is
sent nothing that it did not declare. The vital signs of the workers go to the same file.
"""

from typing import Final

from gameday.core.clock import NS
from gameday.core.network.http import HttpClient, HttpError
from gameday.core.network.urls import at
from gameday.evidence.events import AnswerUnmatched
from gameday.run.context import Run
from gameday.traffic.vitals import HealthSample, Sample, WorkerSample, line
from gameday.traffic.worker.messages import Event, UnmatchedAnswer

EVERY_S: Final = 0.2  # five a second show a standstill of 0.2 s, and are no load for any system
PATIENCE_S: Final = 1.0  # a longer answer only has to be known as late


def append_vitals(run: Run, sample: Sample) -> None:
    """Write one sample to `vitals.jsonl`; a run that cannot write its evidence ends."""
    try:
        with (run.dir / "vitals.jsonl").open("ab", buffering=0) as file:
            file.write(line(sample))
    except OSError as error:
        run.abort("interrupted", f"vitals.jsonl cannot be written: {error.strerror}")


def on_worker_event(run: Run, worker: int, event: Event) -> None:
    """What a traffic worker says: vital signs and unmatched answers are kept."""
    if isinstance(event, WorkerSample):
        append_vitals(run, event)
    if isinstance(event, UnmatchedAnswer):
        run.journal.write(AnswerUnmatched(status=event.status, said=event.said))
    run.traffic.hear(worker, event)


async def probe_health(run: Run) -> None:
    """Ask until cancelled, and note how long each answer took."""
    url = at(run.system.base_url, run.system.ready_path)
    verify = run.system.tls.needed_for(url)
    async with HttpClient(PATIENCE_S, verify=verify) as client:
        due_ns = run.clock.now_ns()
        while True:
            began_ns = run.clock.now_ns()
            took_ms = await _ask(run, client, url)
            t_s, lag_ms = (began_ns - run.t0_ns) / NS, max(began_ns - due_ns, 0) / 1e6
            sample = HealthSample(t_s=round(t_s, 3), took_ms=took_ms, lag_ms=round(lag_ms, 1))
            append_vitals(run, sample)
            due_ns = max(due_ns + round(EVERY_S * NS), run.clock.now_ns())
            await run.clock.sleep((due_ns - run.clock.now_ns()) / NS)


async def _ask(run: Run, client: HttpClient, url: str) -> float | None:
    """The time until the answer (ms), None without an answer."""
    began_ns = run.clock.now_ns()
    try:
        await client.get(url)
    except HttpError:
        return None
    return round((run.clock.now_ns() - began_ns) / 1e6, 3)
