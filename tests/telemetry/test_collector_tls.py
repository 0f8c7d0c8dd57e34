"""Metrics behind an https address: the collector believes whom the system file says."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gameday.core.errors import UsageError
from gameday.core.network.allow_list import Allowed
from gameday.run.child_config import collector_config
from gameday.run.context import Run
from gameday.spec.inputs import load_inputs
from gameday.spec.tls import Tls
from gameday.telemetry.collector.scrape import Scraper
from gameday.telemetry.collector.settings import ScrapeTarget, parse_settings
from gameday.telemetry.promql.labels import labels
from gameday.telemetry.sources.source import TargetScrape
from tests.telemetry.test_collector import answering
from tests.traffic.test_tls import certificate, needs_openssl

__all__ = ["certificate"]  # a fixture


@asynccontextmanager
async def metrics_over_tls(folder: Path) -> AsyncIterator[ScrapeTarget]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    server = await asyncio.start_server(answering("m 1\n"), "127.0.0.1", 0, ssl=context)
    try:
        yield ScrapeTarget(name="t", url=f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    finally:
        server.close()


async def asked(target: ScrapeTarget, tls: Tls) -> TargetScrape:
    scraper = Scraper([target], 5.0, tls)
    try:
        return (await scraper.ask_all())[0]
    finally:
        await scraper.close()


@needs_openssl
async def test_metrics_of_a_system_with_an_authority_of_its_own_are_read(certificate: Path) -> None:
    async with metrics_over_tls(certificate) as target:
        for tls in (Tls(ca=str(certificate / "cert.pem")), Tls(insecure=True)):
            answer = await asked(target, tls)
            assert answer.problem == ""
            assert answer.series == {labels("m", instance="t"): 1.0}


@needs_openssl
async def test_metrics_of_a_system_that_nobody_vouches_for_are_not(certificate: Path) -> None:
    async with metrics_over_tls(certificate) as target:
        answer = await asked(target, Tls())
    assert not answer.up
    assert "certificate verify failed" in answer.problem.lower().replace("_", " ")


def test_an_authority_that_is_none_is_told_before_the_first_scrape(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(UsageError, match="holds no certificate"):
        Scraper(
            [ScrapeTarget(name="t", url="https://localhost/")],
            1.0,
            Tls(ca=str(tmp_path / "ca.pem")),
        )


def test_a_run_tells_its_collector_whom_the_system_file_believes(tmp_path: Path) -> None:
    inputs = load_inputs("redis-slow")
    system = inputs.system.system.model_copy(update={"tls": Tls(insecure=True)})
    run: Any = SimpleNamespace(
        experiment=inputs.experiment.experiment,
        system=system,
        rules=inputs.rules,
        playbook=None,
        drill=None,
        environment={"ADMIN_TOKEN": "t", "AUDIT_REDIS": "r", "AUDIT_POSTGRES": "p"},
        secrets=frozenset(),
        dir=tmp_path,
        history_dir=tmp_path,
        options=SimpleNamespace(allowed=Allowed()),
        bridge=None,
    )
    told = parse_settings(collector_config(cast(Run, run), 0).line)
    assert told.tls == Tls(insecure=True)
    assert told.scenarios == ["drop"]
    run.drill = SimpleNamespace(playbooks=(), scenarios=["s1", "s2", "s3"])
    named = parse_settings(collector_config(cast(Run, run), 0).line).scenarios
    assert named == ["s1", "s2", "s3"], "a drill names as many, whatever comes"
