"""ImageNet-LT (Liu et al., CVPR 2019)."""

from longtail.data.published import Published, files_of_lists, form_of
from longtail.data.sources.own.list import read_lists

SET = Published(
    files_of_lists("ImageNet_LT"), {"train": 115_846, "val": 20_000, "test": 50_000}, 1_000, (385, 479, 136),
    read_lists,
    (
        "lists: ImageNet_LT_train.txt, ImageNet_LT_val.txt and ImageNet_LT_test.txt of Liu et al. 2019, from "
        "github.com/zhmiao/OpenLongTailRecognition-OLTR; lines `train/n01440764/n01440764_762.JPEG 0`",
        "images: ILSVRC 2012 from image-net.org as train/SYNSET/ and val/SYNSET/; the archive of the validation "
        "images has no folders, so sort them into one for each class",
    ),
)  # fmt: skip
FORM = form_of("imagenet_lt", SET)
