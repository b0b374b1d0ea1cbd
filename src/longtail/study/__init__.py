"""Several rows over several seeds, from one file to result files and a table; what `longtail bench` runs."""
