"""The command line: parsing, one call for each command, and what a person reads."""
