"""The traffic worker: who asks the system under test, in a process of its own.

`python -m gameday.traffic` reads its orders from stdin, sends each request when its schedule says,
whether or not the system keeps up (an open model), and writes one record of each start to the
history. It judges nothing and counts nothing: whatever is said about the traffic is a fold of
those records. `worker` hears the orders and keeps the pace, `alarm` wakes it on time. `stream` is
a scenario of a set rate on its way, `loops` one of virtual users (`vus`), `ledger` the page of
either in the books. `client` sends, over a `connection` each, which `poller` watches and `tls`
hides; `framing` finds the end of an answer, `answers` reads what it says.
"""
