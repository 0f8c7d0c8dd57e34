"""The console: a page for those who work on an incident, and one for who leads it.

It is a process of its own. It reads the run directory (the journal and the samples, as they grow,
and the service's logs), and orders through the run's control socket: when it dies, neither the run
nor its reaper knows.
"""
