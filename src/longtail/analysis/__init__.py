"""Figures, one question a file: `compute` makes a table, `notes` says what it lacks, `plot` draws the table alone."""
