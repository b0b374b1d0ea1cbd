"""The recipe's [optim] and [run] sections."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from longtail.method import MOST_EPOCHS, Milestones, Positive, Stage, Warmup, Weight, Window
from longtail.types import InputError

MOST_IMAGES, MOST_THREADS = 2**20, 1024  # of a batch; of a machine


class OptimOptions(BaseModel):
    """The recipe's [optim] section: SGD with momentum under a warm-up and a cosine, restarted in each stage.

    Attributes:
        epochs: length of the whole run.
        batch_size: B.
        peak_lr: learning rate at the top of the cosine, unless a stage has its own.
        warmup_epochs, warmup_start_lr: linear warm-up from `warmup_start_lr` to `peak_lr`, unless a stage has its own.
        lr_changes: "step" moves the rate with every step; "epoch" holds it through an epoch at what it is when that
            begins, as most published code does.
        final_lr: where the cosine ends, unless a stage has its own.
        milestones, decay_factor: in the first stage, instead of the cosine, multiply the rate by `decay_factor` when
            each of these epochs begins (`[160, 180]` and 0.01: the steps of LDAM-DRW); () is the cosine.
        optimizer: "sgd" with momentum, or "adamw" (Loshchilov and Hutter 2019), of which `momentum` is the first beta.
        beta2: the second beta of AdamW.
        ema: d > 0 evaluates, writes and goes on from a moving average of the weights, which keeps d of itself at each
            step (less in the first steps of a stage).
        average_last: K > 0 does so with the mean of the weights after each of a stage's last K epochs (SWA, Izmailov
            et al. 2018).
        sharpness: rho > 0 takes each step with the gradient at the worst weights within this distance (SAM, Foret et
            al. 2021): two passes a step, which are then not recorded on CUDA.
        clip_norm: longest gradient (Euclidean, all weights together) that is not shortened; 0 leaves all as they are.
        layer_decay: a layer one place further from the classifiers learns at this share of the rate of the next; 1
            gives all the same rate. Pretrained layers want less than fresh ones.
        frozen_stages: this many of the network's first stages, and its stem, keep their weights and statistics.
        frozen_epochs: they do so in the first epochs of each of the run's stages alone; 0: always.
        frozen_statistics: batch norm keeps the statistics that its weights came with, where batches are too small for
            its own; its scales and shifts learn. For pretrained weights alone.
        fitted_heads: the linear classifiers of the first stage begin fitted to features of the training images, as the
            network stands, and not at random numbers; for pretrained weights, see `longtail.engine.fitted_heads`.
        precision: arithmetic of the forward and backward pass. With "bf16" and "fp16" losses and weights stay in fp32;
            with "fp64" all of it is double precision, several times slower: for comparing runs of different machines
            or programs, whose fp32 rounding a dozen steps multiply into visible differences.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    epochs: int = Field(200, ge=1, le=MOST_EPOCHS)
    batch_size: int = Field(128, ge=1, le=MOST_IMAGES)
    peak_lr: Positive = 0.1
    warmup_epochs: Warmup = 0
    warmup_start_lr: float = Field(0.0, ge=0, le=1e6)
    lr_changes: Literal["step", "epoch"] = "step"
    final_lr: float = Field(0.0, ge=0, le=1e6)
    milestones: Milestones = ()
    decay_factor: float = Field(0.1, gt=0, le=1)
    momentum: float = Field(0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: Weight = 5e-4
    optimizer: Literal["sgd", "adamw"] = "sgd"
    beta2: float = Field(0.999, ge=0, lt=1)
    ema: float = Field(0.0, ge=0, lt=1)
    average_last: Window = 0
    sharpness: float = Field(0.0, ge=0, le=1e3)
    clip_norm: float = Field(0.0, ge=0, le=1e9)
    layer_decay: float = Field(1.0, gt=0, le=1)
    frozen_stages: int = Field(0, ge=0, le=1000)
    frozen_epochs: Window = 0
    frozen_statistics: bool = False
    fitted_heads: bool = False
    precision: Literal["fp32", "fp64", "bf16", "fp16"] = "fp32"

    def milestones_of(self, stage: Stage, *, first: bool) -> tuple[int, ...]:
        """The epochs of a stage at whose beginning the learning rate falls; () where it follows a cosine."""
        if stage.milestones is not None:
            return stage.milestones
        return self.milestones if first else ()

    def warmup_of(self, stage: Stage) -> int:
        """Epochs of a stage's warm-up."""
        return self.warmup_epochs if stage.warmup_epochs is None else stage.warmup_epochs

    @model_validator(mode="after")
    def _fit_together(self) -> "OptimOptions":
        for wrong, said in (
            (
                self.ema and self.average_last,
                "optim.ema and optim.average_last are two averages; keep one of them",
            ),
            (
                self.sharpness and self.precision == "fp16",
                'optim.sharpness does not go with optim.precision = "fp16", whose gradients are scaled; '
                'use "bf16" or "fp32"',
            ),
            (
                self.nesterov and self.optimizer == "adamw",
                'optim.nesterov is of optim.optimizer = "sgd"; leave it out',
            ),
        ):
            if wrong:
                raise InputError(said)
        return self


class RunOptions(BaseModel):
    """The recipe's [run] section.

    Attributes:
        seed: keys the weights, the order of images and all augmentation.
        evaluate_every: epochs between evaluations; 0 evaluates at the end of each stage only.
        evaluate_batch_size: images a batch in evaluation; changes no score; 0 chooses by device and image size.
        device: "auto" takes CUDA where it is there, else the CPU.
        threads: of the CPU's arithmetic; 0 leaves it to PyTorch (one a core). Results differ in rounding.
        graphs: on CUDA, record the steps of methods that name their phases and replay them (not in fp16, nor in
            several processes); changes results by rounding at most; `replayed_steps` in the log counts them.
        expert_streams: in a recorded step, let the experts' branches run side by side; changes no result.
        probes: what to note in log.jsonl beside the losses: "gradient_share", each expert's share of the gradient at
            its last convolution; "expert_kl", the divergence between the experts' predictions by class at each
            evaluation.
        reuse_features: K > 0 computes the features of a stage that trains classifiers alone in its first K epochs and
            uses them again in turn. Faster; equal to 0 up to the K-th epoch, of samplers that show each image once, and
            not after it. With `model.frozen` the number of augmented views of each training image whose features are
            computed, beside those of the plain image; each showing draws one of all of these.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    seed: int = Field(0, ge=0, lt=2**31)
    evaluate_every: int = Field(0, ge=0, le=MOST_EPOCHS)
    evaluate_batch_size: int = Field(0, ge=0, le=MOST_IMAGES)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int = Field(0, ge=0, le=MOST_THREADS)
    graphs: bool = True
    expert_streams: bool = False
    probes: tuple[Literal["gradient_share", "expert_kl"], ...] = Field((), strict=False, max_length=2)
    reuse_features: int = Field(0, ge=0, le=MOST_EPOCHS)
