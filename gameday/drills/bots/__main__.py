"""`python -m gameday.drills.bots CHARACTER`: a bot as the responder of a run."""

from gameday.drills.bots.program import main

main()
