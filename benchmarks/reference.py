"""The yardstick: the `icl-cifar100-lt` job, with cosine heads throughout, as one plain PyTorch program.

CIFAR-100-LT, ResNet-32 with a shared trunk and M experts, 180 epochs of the feature stage and 20 of the
classifier stage, written the usual way: PIL images and torchvision transforms in a DataLoader, NCHW, fp16
autocast on a GPU, lists of per-expert outputs, loops over classes and samples where published code loops.
Speed ratios quoted by the project have this program on their other side. See `benchmarks/README.md`.

    python benchmarks/reference.py --data DIR --imbalance-factor 100 --workers 12 --json reference.json
"""

import argparse
import io
import json
import math
import platform
import time
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as T

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
BATCH_SIZE, MOMENTUM, WEIGHT_DECAY = 128, 0.9, 5e-4
WARMUP_LR, PEAK_LR, CLASSIFIER_LR = 0.05, 0.15, 0.1
COSINE_SCALE = 30.0
TEMPERATURE, NEGATIVES, PROTOTYPE_DECAY, CONFUSION_DECAY = 0.07, 7, 0.9, 0.1

# --------------------------------------------------------------------------------------------- data


def cutout(image, size=16):
    """Blank one square of `size` pixels around a random centre of a (3, H, W) tensor."""
    y, x = (int(torch.randint(side, ())) for side in image.shape[1:])
    half = size // 2
    image[:, max(y - half, 0) : y + half, max(x - half, 0) : x + half] = 0.0
    return image


class Images(Dataset):
    """Images (N, 32, 32, 3) uint8 and their labels; each access makes a PIL image and transforms it."""

    def __init__(self, images, targets, train):
        self.images, self.targets = images, targets
        auto = T.AutoAugment(T.AutoAugmentPolicy.CIFAR10, fill=128)
        random = [T.RandomCrop(32, padding=4), T.RandomHorizontalFlip(), auto, T.ToTensor(), cutout]
        self.transform = T.Compose([*(random if train else [T.ToTensor()]), T.Normalize(MEAN, STD)])

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.transform(Image.fromarray(self.images[index])), int(self.targets[index])


def make_loader(images, targets, workers=0, batch_size=BATCH_SIZE, train=True):
    options = {"num_workers": workers, "persistent_workers": workers > 0, "pin_memory": DEVICE.type == "cuda"}
    return DataLoader(Images(images, targets, train), batch_size, shuffle=train, **options)


def read_split(folder, split):
    """All images (N, 32, 32, 3) and labels (N,) of the Parquet files `<folder>/**/<split>-*.parquet`."""
    files = sorted(Path(folder).rglob(f"{split}-*.parquet"))
    if not files:
        raise SystemExit(f"error: no {split}-*.parquet under {folder}; give --data a folder of Parquet files")
    table = pq.ParquetDataset(files).read()
    label = "fine_label" if "fine_label" in table.column_names else "label"
    rows = table.column("img").to_pylist()
    images = np.stack([np.asarray(Image.open(io.BytesIO(row["bytes"])).convert("RGB")) for row in rows])
    return images, table.column(label).to_numpy()


def long_tailed(images, targets, imbalance_factor):
    """The first n_c = int(n_max * IF^(-c / (C - 1))) images of each class c."""
    num_classes, n_max = int(targets.max()) + 1, int(np.bincount(targets).max())
    counts = [int(n_max * imbalance_factor ** (-c / (num_classes - 1))) for c in range(num_classes)]
    kept = [np.flatnonzero(targets == c)[:n] for c, n in enumerate(counts)]
    if short := [c for c, n in enumerate(counts) if len(kept[c]) < n]:
        raise SystemExit(f"error: too few images of classes {short}; raise --imbalance-factor")
    index = np.concatenate(kept)
    return images[index], targets[index], counts


# -------------------------------------------------------------------------------------------- model


def conv_bn(inputs, outputs, stride, kernel=3):
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class Block(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.first, self.second = conv_bn(inputs, outputs, stride), conv_bn(outputs, outputs, 1)
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else conv_bn(inputs, outputs, stride, kernel=1)

    def forward(self, x):
        return F.relu(self.second(F.relu(self.first(x), inplace=True)) + self.shortcut(x), inplace=True)


def stage(inputs, outputs, stride, blocks=5):
    rest = [Block(outputs, outputs, 1) for _ in range(blocks - 1)]
    return nn.Sequential(Block(inputs, outputs, stride), *rest)


class CosineHead(nn.Module):
    def __init__(self, features, num_classes):
        super().__init__()
        self.weight = nn.Parameter(F.normalize(torch.empty(num_classes, features).uniform_(-1, 1), dim=1))

    def forward(self, x):
        return COSINE_SCALE * F.linear(F.normalize(x, dim=1), F.normalize(self.weight, dim=1))


class Experts(nn.Module):
    """ResNet-32: shared conv, stages 1, 2; each expert has a stage 3, a fusion gate and a head per bank."""

    def __init__(self, num_classes, experts):
        super().__init__()
        self.stem = nn.Sequential(conv_bn(3, 16, 1), nn.ReLU(inplace=True))
        self.stage1, self.stage2 = stage(16, 16, 1), stage(16, 32, 2)
        self.stage3 = nn.ModuleList(stage(32, 64, 2) for _ in range(experts))
        self.gates = nn.ModuleList(
            nn.Sequential(conv_bn(32, 64, 2), nn.ReLU(inplace=True))
            if m % 2
            else nn.Sequential(conv_bn(16, 32, 2), nn.ReLU(inplace=True), conv_bn(32, 64, 2))
            for m in range(experts)
        )
        heads = [[CosineHead(64, num_classes) for _ in range(experts)] for _ in range(2)]
        self.banks = nn.ModuleList(nn.ModuleList(bank) for bank in heads)
        self.bank = 0
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, image):
        shallow = self.stage1(self.stem(image))
        deep = self.stage2(shallow)
        features, logits = [], []
        for m, branch in enumerate(self.stage3):
            gate = self.gates[m](deep if m % 2 else shallow)
            features.append((branch(deep) * gate).mean(dim=(2, 3)))
            logits.append(self.banks[self.bank][m](features[m]))
        return features, logits


# ------------------------------------------------------------------------------------------- losses


def diversity(features):
    """Eq. 3: cosine between the features of every ordered pair of experts, floored at 0, batch mean."""
    pairs = [(a, b) for i, a in enumerate(features) for j, b in enumerate(features) if i != j]
    return sum(F.cosine_similarity(a, b, dim=1).clamp(min=0).mean() for a, b in pairs)


def parallel(logits, target):
    """Eq. 8 times M squared: experts' cross-entropies as resistors in parallel."""
    return len(logits) ** 2 / sum(1.0 / (F.cross_entropy(z, target) + 1e-8) for z in logits)


def distillation(logits):
    """Eq. 10: KL(p^m to p^m'), mean over the pairs m < m' and over the batch."""
    logs = [F.log_softmax(z, dim=1) for z in logits]
    pairs = [(a, b) for i, a in enumerate(logs) for b in logs[i + 1 :]]
    terms = [F.kl_div(b, a, reduction="batchmean", log_target=True) for a, b in pairs]
    return sum(terms) / max(len(terms), 1)


def contrastive(features, target, prototypes, confusion):
    """Eq. 6 by cosine: towards the own prototype, away from the K classes most confused with the own."""
    total, labels = 0.0, target.tolist()
    for m, feature in enumerate(features):
        seen = prototypes[m].abs().sum(dim=1) > 0
        confused = confusion[m].clone().fill_diagonal_(0)
        similarity = F.normalize(feature, dim=1) @ F.normalize(prototypes[m], dim=1).T / TEMPERATURE
        counts, negatives = (v[:, :NEGATIVES] for v in confused.sort(dim=1, descending=True, stable=True))
        hidden = (counts == 0) | ~seen[negatives]
        losses = []
        for i, label in enumerate(labels):
            negative = similarity[i][negatives[label]].masked_fill(hidden[label], -torch.inf)
            positive = similarity[i, label]
            losses.append(torch.cat([positive[None], negative]).logsumexp(dim=0) - positive)
        total = total + torch.stack(losses).mean()
    return total


# ----------------------------------------------------------------------------------------- training


class Clock:
    """Seconds between marks, summed by the later one's name; on a GPU by events, so that nothing waits."""

    def __init__(self):
        self.marks = []

    def mark(self, name):
        stamp = torch.cuda.Event(enable_timing=True) if DEVICE.type == "cuda" else time.perf_counter()
        if DEVICE.type == "cuda":
            stamp.record()
        self.marks.append((name, stamp))

    def totals(self):
        """The sums so far; starts anew."""
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        seconds = defaultdict(float)
        for (_, before), (name, after) in pairwise(self.marks):
            seconds[name] += before.elapsed_time(after) / 1000 if DEVICE.type == "cuda" else after - before
        self.marks = []
        return dict(seconds)


@dataclass
class State:
    """What a step needs beside the model; a run shorter than 200 epochs has every phase shorter."""

    epochs: int
    log_prior: torch.Tensor  # (C,) log n_c
    prototypes: list  # per expert (C, 64)
    confusion: list  # per expert (C, C), true class by predicted class
    scaler: torch.amp.GradScaler
    clock: Clock

    def __post_init__(self):
        self.diversity_stop, self.contrastive_start = 30 * self.epochs // 200, 120 * self.epochs // 200
        self.warmup_epochs, classifier_epochs = -(-5 * self.epochs // 200), -(-20 * self.epochs // 200)
        self.feature_epochs = self.epochs - max(classifier_epochs, min(4, self.epochs // 2))


def build(num_classes, class_counts, experts=3, epochs=200):
    model = Experts(num_classes, experts).to(DEVICE)
    state = State(
        epochs=epochs,
        log_prior=torch.as_tensor(class_counts, dtype=torch.float32, device=DEVICE).log(),
        prototypes=[torch.zeros(num_classes, 64, device=DEVICE) for _ in range(experts)],
        confusion=[torch.zeros(num_classes, num_classes, device=DEVICE) for _ in range(experts)],
        scaler=torch.amp.GradScaler("cuda", enabled=DEVICE.type == "cuda"),
        clock=Clock(),
    )
    return model, state


def make_optimizer(parameters, lr=PEAK_LR):
    return torch.optim.SGD(parameters, lr=lr, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)


def start_classifier_stage(model):
    """Freeze all but the fresh second bank (batch norm still uses batch statistics); its optimizer."""
    model.bank = 1
    model.requires_grad_(False)
    model.banks[1].requires_grad_(True)
    return make_optimizer(model.banks[1].parameters(), CLASSIFIER_LR)


def learning_rate(state, epoch):
    """The rate at a fractional epoch: warm-up and cosine in stage one, a second cosine in stage two."""
    if epoch < state.warmup_epochs:
        return WARMUP_LR + (PEAK_LR - WARMUP_LR) * epoch / state.warmup_epochs
    start, stop, peak = state.warmup_epochs, state.feature_epochs, PEAK_LR
    if epoch >= state.feature_epochs:
        start, stop, peak = state.feature_epochs, state.epochs, CLASSIFIER_LR
    return 0.5 * peak * (1 + math.cos(math.pi * (epoch - start) / (stop - start)))


@torch.no_grad()
def observe(state, features, logits, target):
    """Eq. 4 and 5: per class of the batch, count predictions, move the prototype to the mean feature."""
    for confusion, z in zip(state.confusion, logits, strict=True):
        confusion.index_put_((target, z.argmax(dim=1)), torch.ones_like(z[:, 0]), accumulate=True)
    for label in target.unique().tolist():
        members = target == label
        for prototypes, feature in zip(state.prototypes, features, strict=True):
            mean = feature[members].mean(dim=0)
            prototypes[label] = PROTOTYPE_DECAY * prototypes[label] + (1 - PROTOTYPE_DECAY) * mean


def train_step(model, state, optimizer, image, target, epoch):
    """One update on one batch (from any device); the value of the loss."""
    image, target = image.to(DEVICE, non_blocking=True), target.to(DEVICE, non_blocking=True)
    with torch.autocast(DEVICE.type, dtype=torch.float16, enabled=DEVICE.type == "cuda"):
        features, logits = model(image)
    features, logits = [h.float() for h in features], [z.float() for z in logits]
    state.clock.mark("forward")
    if epoch < state.feature_epochs:
        observe(state, features, logits, target)
        state.clock.mark("statistics")
        loss = parallel(logits, target) + distillation(logits)
        if epoch < state.diversity_stop:
            loss = loss + diversity(features)
        if epoch >= state.contrastive_start:
            loss = loss + contrastive(features, target, state.prototypes, state.confusion)
    else:
        loss = sum(F.cross_entropy(z + state.log_prior, target) for z in logits)
    state.clock.mark("losses")
    optimizer.zero_grad()
    state.scaler.scale(loss).backward()
    state.clock.mark("backward")
    state.scaler.step(optimizer)
    state.scaler.update()
    value = loss.item()
    state.clock.mark("optimizer")
    return value


def train_epoch(model, state, optimizer, loader, epoch, max_steps=None):
    """One epoch; its mean loss and its seconds per part."""
    model.train()
    for confusion in state.confusion:
        confusion.mul_(CONFUSION_DECAY)
    began, losses, seen = time.perf_counter(), [], 0
    state.clock.mark("start")
    for step, (image, target) in enumerate(islice(loader, max_steps)):
        state.clock.mark("data")
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(state, epoch + step / len(loader))
        losses.append(train_step(model, state, optimizer, image, target, epoch))
        seen += len(target)
    parts = state.clock.totals()
    wall = time.perf_counter() - began
    speed = {"images_per_s": seen / wall, "step_images_per_s": seen / (wall - parts["data"])}
    return {"loss": float(np.mean(losses)), "seconds": wall, **speed, "parts": parts}


@torch.no_grad()
def evaluate(model, loader, class_counts=None, max_steps=None):
    """Accuracy of the mean logits and of each expert; by many (> 100), medium, few (< 20) training images."""
    model.eval()
    began, predicted, targets = time.perf_counter(), [], []
    for image, target in islice(loader, max_steps):
        with torch.autocast(DEVICE.type, dtype=torch.float16, enabled=DEVICE.type == "cuda"):
            _, logits = model(image.to(DEVICE, non_blocking=True))
        logits = [z.float() for z in logits]
        mean = torch.stack(logits).mean(dim=0)
        predicted.append(torch.stack([z.argmax(dim=1) for z in (mean, *logits)]).cpu())
        targets.append(target)
    target = torch.cat(targets)
    correct = torch.cat(predicted, dim=1) == target
    overall, *experts = correct.float().mean(dim=1).tolist()
    seconds = time.perf_counter() - began
    speed = {"seconds": seconds, "images_per_s": len(target) / seconds}
    result = {"overall": overall, "experts": experts, **speed}
    if class_counts is not None:
        n = torch.as_tensor(class_counts)[target]
        chosen = {"many": n > 100, "medium": (n >= 20) & (n <= 100), "few": n < 20}
        result |= {k: correct[0, c].float().mean().item() if c.any() else None for k, c in chosen.items()}
    return result


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder with train-*.parquet and test-*.parquet")
    parser.add_argument("--imbalance-factor", type=float, default=100.0)
    for name, default in {"epochs": 200, "workers": 0, "seed": 0, "experts": 3}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--eval-every", type=int, default=1, help="epochs between tests; the last always")
    parser.add_argument("--max-steps", type=int, help="at most so many batches per epoch and per evaluation")
    parser.add_argument("--json", help="write settings, every epoch and the last accuracies to this file")
    return parser.parse_args()


def main():
    options, began = parse(), time.perf_counter()
    torch.manual_seed(options.seed)
    torch.backends.cudnn.benchmark = True
    images, targets, counts = long_tailed(*read_split(options.data, "train"), options.imbalance_factor)
    train_loader = make_loader(images, targets, options.workers)
    test_loader = make_loader(*read_split(options.data, "test"), options.workers, train=False)
    model, state = build(len(counts), counts, options.experts, options.epochs)
    optimizer = make_optimizer(model.parameters())
    prepared, history = time.perf_counter() - began, []
    for epoch in range(options.epochs):
        if epoch == state.feature_epochs:
            optimizer = start_classifier_stage(model)
        row = {"epoch": epoch, **train_epoch(model, state, optimizer, train_loader, epoch, options.max_steps)}
        parts = "  ".join(f"{name} {seconds:.2f}" for name, seconds in row["parts"].items())
        print(f"epoch {epoch:3d}  loss {row['loss']:.4f}  {row['images_per_s']:.1f} img/s  seconds: {parts}")
        if (epoch + 1) % options.eval_every == 0 or epoch + 1 == options.epochs:
            row["test"] = evaluate(model, test_loader, counts, options.max_steps)
            print(f"           test {row['test']['overall']:.4f}  {row['test']['images_per_s']:.1f} img/s")
        history.append(row)
    seconds = time.perf_counter() - began
    device = torch.cuda.get_device_name() if DEVICE.type == "cuda" else platform.processor() or "cpu"
    last = history[-1]["test"]
    print(f"done in {seconds:.1f} s (preparation {prepared:.1f} s) on {device}; last epoch: {last}")
    if options.json:
        about = {"torch": torch.__version__, "device": device, "threads": torch.get_num_threads()}
        times = {"seconds": seconds, "preparation_seconds": prepared, "train_images": len(targets)}
        chosen = {k: v for k, v in vars(options).items() if k != "json"} | {"data": Path(options.data).name}
        report = {**chosen, **about, **times, "history": history}
        Path(options.json).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
