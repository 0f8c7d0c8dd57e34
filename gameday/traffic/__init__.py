"""Traffic: who asks when, who sends it, what was recorded, and k6's metrics over the records."""
