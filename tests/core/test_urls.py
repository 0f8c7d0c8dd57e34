"""URLs are made of parts: a path cannot lead to another host, whatever it holds."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gameday.core.errors import UsageError
from gameday.core.network.urls import Base, at, path_problem, store_ends

BASE = "http://127.0.0.1:80/api"


@pytest.mark.parametrize(
    "path",
    ["", "@other:80/close", ".other/x", ":81/x", "x", "//other/x", "/\\other", "\\\\other", "/a b",
     "/a\r\nHost: other", "/a#b", "/\x00", "?x=1", "http://other/", "/a\\b", "/\ud800"],
)  # fmt: skip
def test_what_is_no_path_makes_no_url(path: str) -> None:
    with pytest.raises(UsageError, match="the path"):
        at(BASE, path)


@pytest.mark.parametrize(
    "path", ["/", "/close", "/users/@me", "/a?b=c&d=@e", "/%2F%2Fother", "/{x}"]
)
def test_a_path_is_put_behind_its_base(path: str) -> None:
    assert at(BASE, path) == BASE + path


@pytest.mark.parametrize(
    "base",
    ["", "127.0.0.1:80", "ftp://127.0.0.1", "http://", "http:///x", "http://u:p@127.0.0.1",
     "http://@127.0.0.1", "http://127.0.0.1\\@other", "http://127.0.0.1:80@other", "http://a:0",
     "http://a:65536", "http://a:", "http://a:8x", "http://a:+8", "http://a:٨", "http://a b",
     "http://a?x", "http://a#x", "http://a/x?y", "http://[127.0.0.1]/", "http://[::1/", "http://a\t",
     "http://1.2.3.4.5/", "http://a%2eb/", "http://a//x", "http://" + "a" * 100_000],
)  # fmt: skip
def test_what_is_no_base_is_refused(base: str) -> None:
    with pytest.raises(UsageError) as refused:
        Base.parse(base)
    assert "u:p" not in refused.value.message
    assert len(refused.value.message) < 300


@pytest.mark.parametrize(
    ("text", "url"),
    {
        "http://127.0.0.1:8080": "http://127.0.0.1:8080",
        "HTTP://Example.COM./x/": "http://example.com/x",
        "http://[::1]:80/": "http://[::1]:80",
        "http://0x7f.1/": "http://127.0.0.1",
        "https://bücher.example": "https://xn--bcher-kva.example",
    }.items(),
)
def test_a_base_is_written_in_one_way(text: str, url: str) -> None:
    assert Base.parse(text).url == url


def test_an_address_that_nothing_is_put_behind_may_have_a_query() -> None:
    text = "http://127.0.0.1:9090/metrics?format=prometheus"
    assert Base.parse(text, query=True).url == text


@given(st.text(max_size=20))
def test_no_path_leads_to_another_host(path: str) -> None:
    if path_problem(path):
        return
    for base in ("http://127.0.0.1:80", "http://127.0.0.1:80/api"):
        url = httpx.URL(at(base, path))
        assert (url.host, url.port or 80) == ("127.0.0.1", 80)


@pytest.mark.parametrize(
    ("url", "hosts"),
    {
        "postgresql://u:p@a:5432,b/db": ["a", "b"],
        "postgresql://u:p@[::1]:5432/db?host=c": ["::1", "c"],
        "postgresql://u:p@evil@127.0.0.1/db": ["evil@127.0.0.1"],
        "postgresql:///db?host=/run/postgres": [],
        "postgresql:///db?host=c:1,d&hostaddr=9.9.9.9": ["c", "d", "9.9.9.9"],
        "redis://:p@ss@a:6379/0": ["a"],
        "redis://%31%30.0.0.1": ["10.0.0.1"],
        "redis://?host=b": ["b"],
        "unix:///run/redis.sock": [],
    }.items(),
)
def test_the_hosts_of_a_store_are_all_that_its_client_would_use(url: str, hosts: list[str]) -> None:
    assert [host for host, _ in store_ends(url) if host[0] != "/"] == hosts
