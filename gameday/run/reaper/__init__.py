"""The reaper: a small process beside the controller, which undoes a run when that no longer can.

A fault must not outlive its controller. So the controller renews a lease, and this process, in a
session of its own, watches it. When the lease runs out, or the controller is gone, it claims the
run and undoes what the journal says may still be there; it knows nothing else of the experiment.

    lease     the stamp that the controller renews, and the claim that ends it
    __main__  the process: waits, hears, decides; it loads little, to be small and soon there
    hand_over  what undoing needs, as the controller says it
    undo_run  the undoing itself, loaded when it may soon be due
"""

DONE = b"done"
"""The controller's last line: there is nothing to undo any more."""
DONE_UNTOLD = b"done untold"
"""The same where its journal could not tell the key of a drill: that is still to be told."""
