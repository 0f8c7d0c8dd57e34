"""Asking the metrics targets: all at once, each within a limit, none waited for longer.

A target that does not answer in time, answers badly, or says something that is not Prometheus'
format is down for this instant. Its series then end at once, as they do in Prometheus, so that
no expression goes on reading a number that nobody has said again.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import httpx

from gameday.collector.exposition import LONGEST, ExpositionError, Reader
from gameday.collector.settings import Target
from gameday.promql.labels import Labels
from gameday.system import Tls

_ACCEPT = "text/plain;version=0.0.4"


@dataclass(frozen=True, slots=True)
class Answer:
    """What one target said at one instant: its series, or why there are none."""

    target: str
    series: dict[Labels, float]
    problem: str = ""

    @property
    def up(self) -> bool:
        return not self.problem


class Scraper:
    """Keeps one connection to each target, and the series each has been seen to say."""

    def __init__(self, targets: Sequence[Target], timeout_s: float, tls: Tls) -> None:
        """`tls` says whom to believe. Raises UsageError for a `ca` that holds no certificate."""
        self._targets = [(target, Reader({"instance": target.name})) for target in targets]
        self._timeout_s = timeout_s
        self._client = httpx.AsyncClient(
            headers={"accept": _ACCEPT},
            timeout=timeout_s,
            trust_env=False,
            verify=tls.needed_for(*(target.url for target in targets)),
        )

    async def ask_all(self) -> list[Answer]:
        """One answer from each target, after `timeout_s` at the latest."""
        return await asyncio.gather(*[self._ask(*each) for each in self._targets])

    async def close(self) -> None:
        await self._client.aclose()

    async def _ask(self, target: Target, reader: Reader) -> Answer:
        try:
            async with asyncio.timeout(self._timeout_s):
                text = await self._fetch(target.url)
            return Answer(target.name, reader.read(text))
        except TimeoutError:
            return Answer(target.name, {}, f"no whole answer in {self._timeout_s:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, ExpositionError, UnicodeDecodeError) as error:
            return Answer(target.name, {}, f"{type(error).__name__}: {error}")

    async def _fetch(self, url: str) -> str:
        async with self._client.stream("GET", url) as answer:
            if answer.status_code != httpx.codes.OK:
                raise ExpositionError(f"status {answer.status_code}")
            body = bytearray()
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > LONGEST:
                    raise ExpositionError(f"more than {LONGEST} bytes")
        return body.decode()
