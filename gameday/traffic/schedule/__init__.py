"""Who asks, when: k6's executors as arithmetic, and the people who ask.

Everything here is pure. A `Scenario` says when start k is due, or how many virtual users there are
where no rate is given; `users` says which user a start is for. So the k-th request is
the same in every process that thinks about it: the worker that sends it, and the judge who asks
what became of it.

`users` alone needs numpy: what only validates a file does not import it.
"""
