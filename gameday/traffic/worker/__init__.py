"""The traffic worker: who asks the system under test, in a process of its own.

`python -m gameday.traffic.worker` reads its orders from stdin, sends each request when its schedule
says, whether or not the system keeps up (an open model), and writes one record of each start to
the history. It judges nothing and counts nothing: whatever is said about the traffic is a fold of
those records (`gameday.traffic.metrics`). `worker` reads the orders and keeps the pace;
`open_loop` is a scenario of a set rate on its way, `closed_loop` one of virtual users (`vu_pool`),
`recorder` writes the records of either. `client` sends, over a `connection` each, which `poller`
watches and `tls` hides; `http1` finds the end of an answer, `classify` reads what it says.
"""
