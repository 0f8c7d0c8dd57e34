"""The coupon issuance service: the system that gameday breaks on purpose.

A program of its own, `python -m system_under_test`, told everything by environment variables
(settings.py). Reading order: schema (what PostgreSQL promises), fastpath (what Redis may decide),
lane (how requests share connections), control (strategies, pauses and fences), issuing (one
request from end to end), sweeper (reservations nobody finished), then api and admin (the doors).
"""
