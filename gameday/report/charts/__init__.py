"""Charts of a run, as SVG that shows everywhere."""
