"""The sections of a postmortem, each from the result and the evidence to Markdown."""
