"""A static site of all runs for a team's web server: no script, no address outside of itself."""
