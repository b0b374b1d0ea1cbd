"""The groups of classes by how many training images they have, see `longtail.metrics.class_groups`."""

GROUPS = ("many", "medium", "few")
