"""Statistics of an evaluation that several sections of the report state, as plain values.

Accuracies and shares are fractions in [0, 1]; None stands where there is nothing to say. Class names are text as the
data spells them; image ids are those of predictions.parquet.
"""
