"""The traffic worker: who asks the system under test, in a process of its own.

`python -m gameday.traffic` reads its orders from stdin, sends each request when its schedule says,
whether or not the system keeps up (an open model), and writes one record of each start to the
history. It judges nothing and counts nothing: whatever is said about the traffic is a fold of
those records. `worker` hears the orders and keeps the pace, `stream` is one scenario on its way,
`client` and `connection` send, `answers` reads what came back, `alarm` wakes on time.
"""
