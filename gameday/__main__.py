"""`python -m gameday`: the same as the `gameday` command."""

from gameday.cli import main

if __name__ == "__main__":
    main()
