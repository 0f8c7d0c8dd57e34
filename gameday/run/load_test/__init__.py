"""Traffic alone: workers and the fold of their records, without a stack, faults or an audit.

    request  what is to be sent, and where to, and whether that can be sent at all
    session  starts the workers, follows what they write, ends them
    result   what is said in the end: figures, thresholds, the generator's status, an exit code

`gameday traffic` is its face. A coupon is asked for as the file writes it; no campaign is created.
"""
