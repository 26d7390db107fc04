"""Every setting: its type, its default, what it means. Defaults are the paper's for AVA."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from ava_detect.config.data import (
    AugmentSection,
    DataSection,
    PrepareSection,
    TrainBoxesSection,
)
from ava_detect.config.training import OptimSection
from ava_detect.config.types import (
    Blocks,
    FourInts,
    FourOddInts,
    Fraction,
    OddInt,
    Precision,
    Section,
)


class ModelSection(Section):
    """SlowFast and its head (paper sections 3 to 5)."""

    pathways: Literal["slowfast", "slow", "fast"] = Field(
        "slowfast", description="which pathways exist"
    )
    block: Literal["bottleneck", "basic"] = Field("bottleneck", description="residual block")
    depths: FourInts = Field((3, 4, 6, 3), description="blocks of res2..res5; (3, 4, 6, 3) is R50")
    widths: FourInts = Field((64, 128, 256, 512), description="inner channels of Slow res2..res5")
    stem: Literal["conv7", "space_to_depth"] = Field("conv7", description="first layer")
    strides: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        (1, 2, 2), description="spatial strides of res2..res4"
    )
    res5_stride: PositiveInt = Field(1, description="spatial stride of res5; 2 for classification")
    res5_dilation: PositiveInt = Field(2, description="spatial dilation of res5")
    slow_temporal: FourOddInts = Field(
        (1, 1, 3, 3), description="temporal kernels of Slow res2..res5"
    )
    fast_temporal: FourOddInts = Field(
        (3, 3, 3, 3), description="temporal kernels of Fast res2..res5"
    )
    alpha: PositiveInt = Field(8, description="frame-rate ratio of Fast to Slow")
    beta_inv: PositiveInt = Field(8, description="channel ratio of Slow to Fast, 1 / beta")
    slow_sampling: Literal["spread", "strided"] = Field(
        "spread",
        description="Slow frames: from the first to the last, or every alpha-th (mmaction2)",
    )
    fast_input: Literal["rgb", "gray", "half_resolution", "time_difference", "optical_flow"] = (
        Field("rgb", description="what the Fast pathway sees (paper table 5c)")
    )
    lateral: Literal[
        "time_strided_conv",
        "time_strided_sample",
        "time_to_channel_sum",
        "time_to_channel_concat",
        "none",
    ] = Field("time_strided_conv", description="lateral connection (paper section 3.3)")
    fusion_kernel: OddInt = Field(5, description="temporal kernel of the lateral convolution")
    fusion_norm: bool = Field(
        True, description="batch norm and ReLU behind the lateral convolution; not in mmaction2"
    )
    temporal_depths: FourInts | None = Field(
        None, description="blocks of res2..res5 that see time; (3, 4, 6, 3) in the published R101"
    )
    fast_temporal_depths: FourInts | None = Field(
        None, description="the same of the Fast pathway; null is temporal_depths"
    )
    nonlocal_blocks: tuple[Blocks, Blocks, Blocks, Blocks] = Field(
        ((), (), (), ()), description="blocks of Slow res2..res5 that a non-local block follows"
    )
    nonlocal_kind: Literal["dot_product", "softmax"] = Field(
        "dot_product", description="how a non-local block weighs positions"
    )
    nonlocal_pool: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        (1, 2, 2), description="pooling of its keys: frames, rows, columns"
    )
    zero_init: bool = Field(True, description="last batch norm of a block starts at zero")
    roi_resolution: PositiveInt = Field(7, description="side of the RoIAlign grid")
    roi_aligned: bool = Field(True, description="RoIAlign with the half-pixel correction")
    roi_over_time: Literal["mean", "max"] = Field("mean", description="pooling over time")
    roi_over_space: Literal["mean", "max"] = Field("max", description="pooling over the RoI grid")
    context: bool = Field(False, description="the RoI head also sees the mean of the whole clip")
    hidden: PositiveInt | None = Field(
        None, description="units of a layer before the RoI head's last one; null is none"
    )
    dropout: Fraction = Field(0.5, description="before the classifier")
    prior_probability: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.5, description="score of every class before training; sets the classifier's bias"
    )
    mean: tuple[float, float, float] = Field((0.45, 0.45, 0.45), description="RGB, of 1.0")
    std: tuple[float, float, float] = Field((0.225, 0.225, 0.225), description="RGB, of 1.0")


class EvalSection(Section):
    """How boxes are scored."""

    boxes: Literal["proposals", "groundtruth"] = "proposals"
    min_score: Fraction = Field(0.8, description="proposals below are not scored")
    multiply_person_score: bool = Field(
        False, description="action score times the score of the person box"
    )
    short_side: PositiveInt | None = Field(256, description="null leaves the size")
    scales: tuple[PositiveInt, ...] = Field(
        (), description="short sides whose scores are averaged, in the place of short_side"
    )
    flip: bool = Field(False, description="average with the scores of the mirrored clip")
    batch_size: PositiveInt = 4
    clips: PositiveInt = Field(10, description="clips of a video, evenly spread (Kinetics)")
    crops: Literal[1, 3] = Field(
        3, description="squares of a clip: the middle one, or along its long side (Kinetics)"
    )


class ProposerTrainSection(Section):
    """Fine-tuning of the person detector."""

    steps: PositiveInt = 2000
    batch_size: PositiveInt = 8
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: PositiveFloat = Field(1e-4, description="for fine-tuning by AdamW; 4e-3 from scratch")
    weight_decay: NonNegativeFloat = Field(0.02, description="of all but biases and norms")
    milestones: tuple[PositiveInt, ...] = Field(
        (), description="steps at which the rate falls to a tenth; none: half a cosine"
    )
    warmup_steps: NonNegativeInt | None = Field(None, description="null: a twentieth of the steps")
    clip_grad: PositiveFloat | None = Field(5.0, description="longest gradient")
    short_side: tuple[PositiveInt, ...] | None = Field(
        None,
        description="pixels that training images are resized to, one of these drawn for each; null"
        " is the detector's own choice",
    )
    evaluate_every: PositiveInt | None = Field(
        None, description="steps from one evaluation by detectron2 on the split val to the next"
    )


class ProposerSection(Section):
    """The person detector."""

    kind: Literal["torchvision", "detectron2"] = "torchvision"
    variant: Literal["small", "resnet50_fpn_v2"] = Field(
        "resnet50_fpn_v2", description="torchvision's Faster R-CNN; small is the demo's"
    )
    config: str = Field(
        "COCO-Detection/faster_rcnn_X_101_32x8d_FPN_3x.yaml",
        description="detectron2: a config file, or a name of its model zoo",
    )
    weights: Path | None = Field(
        None, description="without it what `train-proposer` wrote, else the published ones"
    )
    short_side: PositiveInt | None = Field(
        None, description="pixels that images are resized to; null is the detector's own choice"
    )
    min_score: Fraction = Field(0.05, description="boxes below are not written")
    max_boxes: PositiveInt = Field(50, description="most boxes of one keyframe")
    candidates: PositiveInt | None = Field(
        None,
        description="regions of an image that the second stage looks at, more for crowds; null: 60"
        " for small, else the detector's own number, at most 300",
    )
    batch_size: PositiveInt = 8
    train: ProposerTrainSection = ProposerTrainSection()


class Config(Section):
    """Everything that a command needs to know."""

    output: Path = Field(Path("runs/run"), description="folder of the run")
    split: Literal["train", "val", "test"] = "val"
    weights: Path | None = Field(
        None, description="checkpoint to evaluate, or to start training from"
    )
    partial_weights: bool = Field(
        False, description="start training from weights that fit the backbone only in part"
    )
    seed: NonNegativeInt = 0
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    precision: Precision = "auto"
    log_every: PositiveInt = Field(20, description="steps from one log line to the next")
    save_every: PositiveInt = Field(500, description="steps from one checkpoint to the next")
    keep_last: PositiveInt = Field(2, description="so many of the newest checkpoints stay")
    keep_every: PositiveInt | None = Field(
        None, description="checkpoints of multiples of so many steps stay for good"
    )
    evaluate_every: PositiveInt | None = Field(
        None,
        description="steps from one evaluation on the split val to the next, the best of which"
        " leaves best.pt; null: none",
    )
    tensorboard: bool = Field(True, description="curves in the folder tensorboard, too")
    model: ModelSection = ModelSection()
    data: DataSection = DataSection()
    prepare: PrepareSection = PrepareSection()
    augment: AugmentSection = AugmentSection()
    train_boxes: TrainBoxesSection = TrainBoxesSection()
    optim: OptimSection = OptimSection()
    evaluation: EvalSection = EvalSection()
    proposer: ProposerSection = ProposerSection()
