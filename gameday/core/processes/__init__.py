"""Child processes, threads and waiting: everything of them ends, by a deadline or by force."""
