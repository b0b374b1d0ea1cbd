"""iNaturalist 2018."""

from longtail.data.published import Published, form_of
from longtail.data.sources.own.inaturalist import read_inaturalist

SET = Published(
    {"train": "train2018.json", "test": "val2018.json"}, {"train": 437_513, "test": 24_426}, 8_142, None,
    read_inaturalist,
    (
        "annotations: train2018.json and val2018.json from github.com/visipedia/inat_comp (2018)",
        "images: train_val2018.tar.gz (120 GB) from the same page, unpacked to train_val2018/Plantae/7477/...",
    ),
    mean=(0.466, 0.471, 0.380), std=(0.195, 0.194, 0.192),
)  # fmt: skip
FORM = form_of("inaturalist2018", SET)
