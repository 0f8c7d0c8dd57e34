"""The settings of a small server of ours: uvicorn, with connections that are bounded."""

from typing import Any

import uvicorn

from gameday.core.network.bounded_connection import MOST_CONNECTIONS, BoundedConnection


def bounded_config(app: Any, *, close_s: int, request_bytes: int, **tls: Any) -> uvicorn.Config:
    """The settings; `close_s` is for answers under way, `request_bytes` for a request's head."""
    return uvicorn.Config(
        app,
        http=BoundedConnection,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=10,
        timeout_graceful_shutdown=close_s,
        h11_max_incomplete_event_size=request_bytes,
        **tls,
    )
