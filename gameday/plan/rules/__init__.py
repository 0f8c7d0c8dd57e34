"""Validation rules: each looks at the files of one run and yields errors and warnings."""
