"""The fine-tuning loop that a competent user would write with timm, in some forty lines; first_folder.py's opponent.

    python benchmarks/plain_loop.py FOLDER WEIGHTS OUT.npz --seed 0 --cpu-seconds 300

It knows nothing of long tails and does not import this library. It trains until its CPU seconds (evaluation not
counted) or 40 epochs are over; the cosine of the rate ends there. OUT holds the softmax of the test images in order
of their files.
"""

import argparse
import math
import time

import numpy as np
import timm
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader
from torchvision import transforms as T
from torchvision.datasets import ImageFolder

parser = argparse.ArgumentParser()
parser.add_argument("folder", help="with train/CLASS and test/CLASS")
parser.add_argument("weights", help="safetensors with timm's names")
parser.add_argument("out")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--cpu-seconds", type=float, default=300)
parser.add_argument("--epochs", type=int, default=40, help="at most")
parser.add_argument("--size", type=int, default=128)
parser.add_argument("--rate", type=float, default=1e-3)
args = parser.parse_args()

torch.manual_seed(args.seed)
tensor = [T.ToTensor(), T.Normalize((0.5,) * 3, (0.5,) * 3)]
crop = T.RandomResizedCrop(args.size, scale=(0.4, 1), interpolation=T.InterpolationMode.BICUBIC)
whole = [T.Resize(args.size, interpolation=T.InterpolationMode.BICUBIC), T.CenterCrop(args.size)]
train = ImageFolder(f"{args.folder}/train", T.Compose([crop, T.RandomHorizontalFlip(), *tensor]))
test = ImageFolder(f"{args.folder}/test", T.Compose([*whole, *tensor]))
loader = DataLoader(train, batch_size=64 if len(train) >= 1000 else 32, shuffle=True, drop_last=True)
model = timm.create_model("tf_efficientnet_lite0", num_classes=len(train.classes), drop_rate=0.2)
model.load_state_dict(load_file(args.weights), strict=False)
optimizer = torch.optim.AdamW(model.parameters(), lr=args.rate, weight_decay=0.01)

done, step = 0.0, 0
while done < 1:
    model.train()
    for image, target in loader:
        done = max(time.process_time() / args.cpu_seconds, step / (args.epochs * len(loader)))
        if done >= 1:
            break
        rate = args.rate * min(1, done / 0.05 + 0.01) * (1 + math.cos(math.pi * done)) / 2
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        cross_entropy(model(image), target).backward()
        optimizer.step()
        step += 1

model.eval()
with torch.no_grad():
    outputs = [model(image).softmax(dim=1) for image, _ in DataLoader(test, batch_size=64)]
np.savez(args.out, probabilities=torch.cat(outputs).numpy(), epochs=step / len(loader))
