"""Settings of training: optimiser, schedule, loss."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from ava_detect.config.types import Fraction, Section


class OptimSection(Section):
    """Optimiser, schedule and loss."""

    name: Literal["sgd", "adamw"] = "sgd"
    unit: Literal["steps", "epochs"] = Field(
        "steps", description="what steps, milestones and warmup_steps count"
    )
    steps: PositiveInt = Field(14000, description="number of updates, or of epochs")
    batch_size: PositiveInt = Field(64, description="clips an update, over all processes")
    accumulate: PositiveInt = Field(
        1, description="parts of each process's share that are computed one after the other"
    )
    lr: PositiveFloat = 0.1
    lr_batch_size: PositiveInt | None = Field(
        None,
        description="batch_size that lr is meant for: with another, lr is scaled in proportion;"
        " null takes lr as it is",
    )
    momentum: Fraction = 0.9
    nesterov: bool = True
    weight_decay: Annotated[float, Field(ge=0)] = 1e-7
    schedule: Literal["cosine", "steps"] = "steps"
    milestones: tuple[PositiveInt, ...] = Field((), description="when the rate falls")
    gamma: PositiveFloat = Field(0.1, description="factor at each milestone")
    warmup_steps: NonNegativeInt = 1000
    warmup_factor: Fraction = Field(0.01, description="part of lr that the warm-up starts from")
    clip_grad: PositiveFloat | None = Field(None, description="largest norm of the gradient")
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="decay of the averaged weights that are evaluated; 0 is none"
    )
    batch_norm: Literal["trainable", "frozen", "precise", "synchronised"] = Field(
        "trainable",
        description="statistics of each process's clips; those that the weights came with, nothing"
        " of the norms being trained; trainable, and measured anew for evaluations; or statistics"
        " of all processes' clips (GPUs only)",
    )
    precise_batches: PositiveInt = Field(
        200, description="batches that precise statistics are measured on"
    )
    focal_gamma: Annotated[float, Field(ge=0)] = Field(
        0.0, description="focal loss: how little well-known answers count; 0 is plain cross-entropy"
    )
    focal_alpha: PositiveFloat = Field(1.0, description="factor of the focal loss")
    class_weights: Literal["equal", "balanced"] = Field(
        "equal", description="weight of each class in the loss; balanced favours the rare ones"
    )
    loss_reduction: Literal["mean", "sum_classes"] = Field(
        "mean", description="mean over people and classes, or sum over classes and mean over people"
    )
