"""Places-LT (Liu et al., CVPR 2019)."""

from longtail.data.published import Published, files_of_lists, form_of
from longtail.data.sources.own.list import read_lists

SET = Published(
    files_of_lists("Places_LT"), {"train": 62_500, "val": 7_300, "test": 36_500}, 365, (131, 163, 71), read_lists,
    (
        "lists: Places_LT_train.txt, Places_LT_val.txt and Places_LT_test.txt of Liu et al. 2019, from "
        "github.com/facebookresearch/classifier-balancing (data/Places_LT)",
        "images: Places365-Standard from places2.csail.mit.edu, the archive in easy directory structure: "
        "train/airfield/00004851.jpg and val/airfield/Places365_val_00003597.jpg; copies of the lists with other "
        "paths need the archive that has these",
    ),
)  # fmt: skip
FORM = form_of("places_lt", SET)
