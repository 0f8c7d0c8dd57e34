"""An audit that comes in pages: all of them, or none.

Half an audit would accuse a system of losing the other half, so everything that shows that pages do
not fit together makes the whole reading an error: more pages than may be, a page that was read
already, an issue that stands on two pages (the list moved between them, or has no order), a number
in all that is not what came. AuditPages lie where the audit is: no address elsewhere is followed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from gameday.core.errors import GamedayError, UsageError, excerpt
from gameday.core.json import at_path
from gameday.core.network.urls import Base
from gameday.evidence.rows import Rows, quoted
from gameday.plan.audit_shape import ShapeError, number_at
from gameday.spec.audit import AuditRequest, Paging
from gameday.spec.request import path_of
from gameday.spec.template import literal

PAGES_S: Final = 120.0  # all pages of one reading
_NOTHING: Final = object()
T = TypeVar("T")
Ask = Callable[[AuditRequest, Mapping[str, int | str], Rows], Awaitable[Any]]
"""Asks for one page, whose rows go into the last argument; the rest of the answer."""


@dataclass(slots=True)
class AuditPages:
    """Content of all pages: rows, and the answer of the first without its rows."""

    rows: Rows
    first: Any


async def read_pages(audit: AuditRequest, base_url: str, ask: Ask) -> AuditPages:
    """All pages of one reading. Raises ShapeError, and what `ask` raises."""
    try:
        async with asyncio.timeout(PAGES_S):
            return await _Walk(audit, base_url, ask).go()
    except TimeoutError as error:
        raise ShapeError(f"its pages did not all come within {PAGES_S:g} s") from error


class _Walk:
    """The way from page to page."""

    def __init__(self, audit: AuditRequest, base_url: str, ask: Ask) -> None:
        assert audit.paging is not None
        self._audit = audit
        self._paging: Paging = audit.paging
        self._base_url = base_url
        self._ask = ask
        self._rows = Rows()
        self._marks: list[npt.NDArray[np.void]] = []
        self._seen: set[str] = set()
        self._knows_next = False

    async def go(self) -> AuditPages:
        if self._paging.next is None:
            return await self._by_number()
        first: Any = None
        request, values = first_page(self._audit), first_values(self._audit)
        for number in range(self._paging.most):
            page = Rows()
            answer = await self._ask(request, values, page)
            first = answer if number == 0 else first
            self._keep(page)
            onward = self._next(answer)
            if onward is None:
                return self._whole(first)
            request, values = self._at(onward, number + 1)
        raise self._too_many()

    async def _by_number(self) -> AuditPages:
        """Pages that are numbered end with an empty one, or where `total` is reached.

        An empty one may be a hole, so the one behind it is looked at: an error there is an end.
        """
        first: Any = None
        after_empty, request = False, first_page(self._audit)
        for number in range(self._paging.most + 1):
            if number == self._paging.most and not after_empty:
                break
            page = Rows()
            try:
                answer = await self._ask(request, self._values(number, ""), page)
            except GamedayError:
                if not after_empty:
                    raise
                return await self._ended(first)
            first = answer if number == 0 else first
            total = number_at("total", self._audit.total, answer)
            if after_empty and len(page) and total is None:
                raise ShapeError("one of its pages is empty, and not the last: name its `total`")
            self._keep(page)
            if total is not None and len(self._rows) >= total:
                return await self._ended(first)
            if not len(page) and (after_empty or not self._is_numbered):
                return await self._ended(first)
            after_empty = not len(page)
        raise self._too_many()

    async def _ended(self, first: Any) -> AuditPages:
        await self._must_begin_there()
        return self._whole(first)

    def _too_many(self) -> ShapeError:
        most = self._paging.most
        return ShapeError(f"it has more than {most} pages: raise `most` of `paging`")

    @property
    def _is_numbered(self) -> bool:
        return "{page}" in self._audit.model_dump_json()

    async def _must_begin_there(self) -> None:
        """Raise ShapeError where pages are numbered from 0 and were read from 1.

        One that has no page 0 answers with an error, with nothing, or with its first page.
        """
        if self._paging.from_ == 0 or not self._is_numbered:
            return
        page = Rows()
        values = {**self._values(0, ""), "page": 0}
        try:
            await self._ask(first_page(self._audit), values, page)
        except GamedayError:
            return
        known = set().union(*(marks.tolist() for marks in self._marks))
        if _digests(page) - known:
            raise ShapeError("its page 0 has issues that no other page has: write `from: 0`")

    def _values(self, number: int, token: str) -> dict[str, int | str]:
        page = self._paging.from_ + number
        return {"page": page, "offset": len(self._rows), "next": token}

    def _keep(self, page: Rows) -> None:
        """Add the rows of a page, and a digest of each that is 16 bytes however long it is."""
        self._marks.append(np.array(sorted(_digests(page)), dtype="V16"))
        for users, ids in page.pieces:
            self._rows.add(
                [user.decode() if isinstance(user, bytes) else user for user in users.tolist()],
                [id_.decode() for id_ in ids.tolist()],
            )

    def _next(self, answer: Any) -> str | None:
        """Address or token of the next page; None on the last. Raises ShapeError."""
        path = self._paging.next or ""
        found = at_path(answer, path_of(path), _NOTHING)
        if found is not _NOTHING:
            self._knows_next = True
        if found is _NOTHING or found is None or found is False or found == "":
            return None
        if isinstance(found, bool) or not isinstance(found, str | int):
            raise ShapeError(f"`next: {path}` is {quoted(found)}: neither an address nor a token")
        onward = str(found)
        if onward in self._seen:
            raise ShapeError(f"`next: {path}` leads back to {quoted(onward)}: no end of its pages")
        self._seen.add(onward)
        return onward

    def _whole(self, first: Any) -> AuditPages:
        """All rows, if nothing speaks against their being all. Raises ShapeError."""
        marks = np.concatenate(self._marks)
        if len(np.unique(marks)) != len(marks):
            raise ShapeError(
                "an issue stands on two of its pages: the list moved meanwhile, or has no order;"
                " have the audit sort it, and name its `id`"
            )
        if (
            self._paging.next is not None
            and not self._knows_next
            and len(self._rows)
            and self._audit.total is None
        ):
            path = self._paging.next
            raise ShapeError(
                f"`next: {path}` is in none of its answers: nobody can tell whether there are more"
                " pages; is the path right? name `total` where the last page leaves it out"
            )
        return AuditPages(self._rows, first)

    def _at(self, onward: str, number: int) -> tuple[AuditRequest, dict[str, int | str]]:
        """The request for the next page: at its address, or with its token."""
        if _has_token(self._audit):
            return self._audit, self._values(number, onward)
        path = _path(onward, self._base_url, self._audit.path)
        where = {self._audit.method.lower(): literal(path)}
        return self._audit.model_copy(update={**where, "query": {}}), self._values(number, "")


def _digests(page: Rows) -> set[bytes]:
    return {
        blake2b(f"{user}\0{id_}".encode(errors="backslashreplace"), digest_size=16).digest()
        for user, id_ in page
    }


def _has_token(audit: AuditRequest) -> bool:
    return "{next}" in audit.model_dump_json()


def first_page(audit: AuditRequest) -> AuditRequest:
    """The request for the first page, without what would be a token; itself where it has none."""
    if audit.paging is None:
        return audit
    given = {key: getattr(audit, key) for key in ("query", "json_", "form")}
    kept = {key: _without_token(each) for key, each in given.items() if isinstance(each, Mapping)}
    return audit.model_copy(update=kept)


def first_values(audit: AuditRequest) -> dict[str, int | str]:
    """Values of the placeholders for the first page; none where there are no pages."""
    if audit.paging is None:
        return {}
    return {"page": audit.paging.from_, "offset": 0, "next": ""}


def _without_token(given: Mapping[str, T]) -> dict[str, T]:
    return {key: each for key, each in given.items() if "{next}" not in str(each)}


def _path(onward: str, base_url: str, asked: str) -> str:
    """The path of the next page below the base. Raises ShapeError for one that lies elsewhere."""
    base = Base.parse(base_url)
    elsewhere = ShapeError(f"its next page is somewhere else: {quoted(excerpt(onward))}")
    try:
        parts = urlsplit(onward)
        there = Base.parse(onward, query=True) if parts.scheme or parts.netloc else base
    except (ValueError, UsageError) as error:
        raise elsewhere from error
    if (there.scheme, there.host, _port(there)) != (base.scheme, base.host, _port(base)):
        raise elsewhere
    query = f"?{parts.query}" if parts.query else ""
    if not parts.path:
        return asked.partition("?")[0] + query
    if not parts.path.startswith(f"{base.prefix}/"):
        raise elsewhere
    return parts.path.removeprefix(base.prefix) + query


def _port(base: Base) -> int:
    return base.port or (443 if base.is_tls else 80)
