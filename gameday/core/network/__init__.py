"""Reaching others: whom gameday may connect to, decided in one place, and HTTP over that."""
