"""The groups of classes by how many training images they have, and how many images a rate of one class needs."""

GROUPS = ("many", "medium", "few")
MANY_ABOVE, FEW_BELOW = 100, 20  # training images: the usual groups, see `longtail.metrics.class_groups`
ENOUGH = 10  # evaluated images of a class below which its own rate says too little, and only counts are given
