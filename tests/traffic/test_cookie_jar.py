"""Cookie jars: a user's own, bounded, and sent where they belong."""

import pytest

from gameday.core.clock import NS
from gameday.core.network.urls import Base
from gameday.traffic.worker.cookie_jar import MOST_COOKIES, CookieJar


def jar(url: str = "http://shop.test:80") -> CookieJar:
    return CookieJar(Base.parse(url), wall_ns=1_700_000_000 * NS)


def line(kept: CookieJar, *lines: str, path: str = "/", now_ns: int = 0) -> str:
    kept.keep(1, "\n".join(lines), "/login/now?x=1", 0)
    return kept.line(1, path, now_ns).decode()


def test_a_cookie_goes_back_to_its_own_user_alone() -> None:
    kept = jar()
    assert line(kept, "sid=a b; Path=/; HttpOnly", "t=1; path=/") == "Cookie: sid=a b; t=1\r\n"
    assert kept.line(2, "/", 0) == b""


@pytest.mark.parametrize(
    ("told", "path", "sent"),
    [
        ("a=1; Path=/api", "/api/x", True),
        ("a=1; Path=/api", "/apix", False),
        ("a=1; Path=/api", "/", False),
        ("a=1", "/login/other", True),  # of the folder that it was told in
        ("a=1", "/other", False),
        ("a=1; Path=/; Domain=elsewhere.test", "/", False),
        ("a=1; Path=/; Domain=.test", "/", True),
        ("a=1; Path=/; Secure", "/", False),
        ("a=1; Path=/; Max-Age=0", "/", False),
        ("a=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "/", False),
        ("a=1; Path=/; Expires=nonsense", "/", True),
        ("a b=1; Path=/", "/", False),
        ("=1; Path=/", "/", False),
        ("nothing", "/", False),
        ("a=\x01; Path=/", "/", False),
        (f"a={'x' * 5000}; Path=/", "/", False),
    ],
)
def test_a_cookie_is_sent_where_it_belongs(told: str, path: str, *, sent: bool) -> None:
    assert bool(line(jar(), told, path=path)) is sent


def test_a_cookie_ends_with_its_age_and_is_replaced_or_deleted() -> None:
    kept = jar()
    assert line(kept, "a=1; Path=/; Max-Age=10", now_ns=9 * NS) == "Cookie: a=1\r\n"
    assert kept.line(1, "/", 11 * NS) == b""
    assert line(kept, "a=2; Path=/") == "Cookie: a=2\r\n"
    assert line(kept, "a=; Path=/; Max-Age=-1") == ""


def test_the_longest_path_comes_first_and_the_number_is_bounded() -> None:
    assert line(jar(), "a=1; Path=/", "b=2; Path=/login", path="/login/x") == "Cookie: b=2; a=1\r\n"
    many = line(jar(), *(f"c{n}=1; Path=/" for n in range(MOST_COOKIES + 20)))
    assert many.count("=1") == MOST_COOKIES


def test_secure_cookies_go_to_this_machine_as_browsers_have_it() -> None:
    assert line(jar("http://127.0.0.1:8080"), "a=1; Path=/; Secure") == "Cookie: a=1\r\n"
