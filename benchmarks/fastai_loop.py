"""fastai's own way to fine-tune, with the defaults of `fine_tune`: first_folder.py's second opponent.

    python benchmarks/fastai_loop.py FOLDER WEIGHTS OUT.npz --seed 0 --cpu-seconds 300

It runs in an environment of its own, which first_folder.py makes. The network's tensors come from a file instead of a
download. A few steps are timed, and so many epochs are trained as the CPU seconds allow, the frozen one included; it
is spared the evaluation after each epoch. OUT holds the softmax of the test images in order of their files.
"""

import argparse
import time
from copy import deepcopy
from itertools import islice
from pathlib import Path

import numpy as np
from fastai.vision.all import (
    Callback,
    CancelValidException,
    ImageDataLoaders,
    Resize,
    aug_transforms,
    set_seed,
    vision_learner,
)

parser = argparse.ArgumentParser()
parser.add_argument("folder", type=Path, help="with train/CLASS and test/CLASS")
parser.add_argument("weights", help="safetensors with timm's names")
parser.add_argument("out")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--cpu-seconds", type=float, default=300)
parser.add_argument("--epochs", type=int, default=40, help="at most")
parser.add_argument("--size", type=int, default=128)
args = parser.parse_args()


class NoValidation(Callback):
    def before_validate(self):
        raise CancelValidException


def seconds_of_an_epoch(learner):
    model, loss, steps = deepcopy(learner.model).train(), learner.loss_func, 4
    began = time.process_time()
    for image, target in islice(learner.dls.train, steps):
        loss(model(image), target).backward()
    return (time.process_time() - began) / steps * max(1, learner.dls.train.n // learner.dls.bs)


set_seed(args.seed, reproducible=True)
folders = {"train": "train", "valid": "test", "seed": args.seed, "num_workers": 0}
loaders = ImageDataLoaders.from_folder(
    args.folder, **folders, item_tfms=Resize(args.size), batch_tfms=aug_transforms()
)
learner = vision_learner(
    loaders, "tf_efficientnet_lite0", pretrained_cfg_overlay={"file": args.weights}, cbs=NoValidation
)
spent, epoch = time.process_time(), seconds_of_an_epoch(learner)
epochs = round(min(args.epochs, max(1, (args.cpu_seconds - spent) / epoch - 1)))
with learner.no_bar(), learner.no_logging():
    learner.fine_tune(epochs)
    learner.remove_cb(NoValidation)  # predictions are a validation to fastai
    files = sorted(args.folder.glob("test/*/*"))
    probabilities, _ = learner.get_preds(dl=loaders.test_dl(files))
np.savez(args.out, probabilities=probabilities.numpy(), epochs=epochs + 1)
