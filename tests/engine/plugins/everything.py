"""All that a method may ask of the engine at once: a second batch, images and features mixed, a teacher, a survey,
weights of its own that one stage freezes, shares of the learning rate."""

import copy
from dataclasses import replace

import torch
from torch import nn

from longtail import draws
from longtail.losses import expert_cross_entropy
from longtail.method import Method, Stage


class Everything(Method):
    mixes_images = True
    predicts_with_state = True
    has_teacher = True

    def __init__(self, options, class_counts, num_experts, feature_dim):
        super().__init__(options, class_counts, num_experts, feature_dim)
        self.scale = nn.Parameter(torch.ones(feature_dim))
        self.shift = nn.Parameter(torch.zeros(len(class_counts)))
        self.share = draws.Beta(0.4)
        self.register_buffer("means", torch.zeros(num_experts, len(class_counts), feature_dim))
        self.register_buffer("held_out", torch.zeros(3, dtype=torch.int64))

    @classmethod
    def stages(cls, options, epochs):
        first = Stage(
            "first", epochs - 1, second_sampler="reverse", lr_shares=(("trunk.*", 0.5), ("method.scale", 2.0))
        )
        last = Stage(
            "last", 1, trainable=("heads.*", "method.shift"), second_sampler="power", sampler_power=0.3
        )
        return first, last

    def start(self, model):
        self.teacher = copy.deepcopy(model).requires_grad_(False)

    def survey_epochs(self, stage):
        return {0}

    def survey(self, features, targets, progress):
        shown = nn.functional.one_hot(targets, len(self.class_counts)).to(features.dtype)
        self.means.copy_(shown.T @ features / shown.sum(0)[:, None].clamp_min(1))

    def prepare(self, batch, progress):
        share = self.share.share(batch, slot=1)
        mixed = share * batch.image + (1 - share) * batch.image[draws.permutation(batch)]
        return replace(batch, image=torch.cat((mixed, batch.other.image)))

    def mix(self, features, batch, progress):
        own, other = features.chunk(2, dim=1)
        return own * self.scale + 0.1 * other

    def loss(self, output, batch, progress):
        each = expert_cross_entropy(output.logits + self.shift, batch.target)
        taught = (output.features - batch.aux["teacher_features"][:, : len(batch.target)]).square().mean()
        logits = batch.aux["teacher_logits"].square().mean()
        means = (output.features - self.means[:, batch.target].to(output.features.dtype)).square().mean()
        return {
            "cross_entropy": each.sum(),
            "taught": 0.1 * taught,
            "means": 0.1 * means,
            "logits": 0 * logits,
        }

    def after_step(self, model, progress):
        for own, new in zip(self.teacher.parameters(), model.parameters(), strict=True):
            own.lerp_(new, 0.1)

    def finalize(self, model, held_out):
        if held_out is not None:
            self.held_out.copy_(torch.tensor([held_out.features.shape[1], *held_out.logits.shape[1:]]))
        return "everything is done"

    def logits(self, output):
        return (output.logits + self.shift).mean(dim=0)
