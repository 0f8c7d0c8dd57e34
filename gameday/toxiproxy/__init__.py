"""A Toxiproxy-compatible server: TCP proxies whose network can be made bad over an HTTP API.

A program of its own (`gameday toxiproxy`, or `python -m gameday.toxiproxy`), so that any client can
use it and nothing that measures shares its event loop. Read it in this order: `api` (what can be
asked), `proxy` (a listener and its connections), `connection` (a client and its upstream), `link`
(one direction of a connection, a chain of stages), `toxics/` (what a stage may do to the bytes),
`timers` (when). What differs from Toxiproxy on purpose is in README.md beside this file.

Two ideas carry it. A link without toxics hands the bytes of one socket straight to the other. And
a link with toxics is a chain of plain state machines, stepped with the time as an argument:
nothing waits, so changing a toxic on ten thousand live connections never blocks the API.
"""

VERSION = "2.12.0"
