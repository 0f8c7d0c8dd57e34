"""Processes of a stack: started, stopped and ended as a whole, and never somebody else's."""
