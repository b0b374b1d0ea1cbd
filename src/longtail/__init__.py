"""Train image classifiers that do not fail on rare classes, and know how well they do on each."""
