"""Every setting: its type, its default, what it means. Defaults are the paper's for AVA."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)
from pydantic_core import PydanticCustomError


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise PydanticCustomError("odd", "Input should be an odd number")
    return value


def _range(value: tuple[int, int]) -> tuple[int, int]:
    if value[0] > value[1]:
        raise PydanticCustomError("range", "Input should be a range, the smaller number first")
    return value


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str | Path) else value


Fraction = Annotated[float, Field(ge=0, le=1)]
OddInt = Annotated[PositiveInt, AfterValidator(_odd)]
Range = Annotated[tuple[PositiveInt, PositiveInt], AfterValidator(_range)]
Folders = Annotated[tuple[Path, ...], BeforeValidator(_one_or_more)]
FourOddInts = tuple[OddInt, OddInt, OddInt, OddInt]
FourInts = tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]
Blocks = tuple[NonNegativeInt, ...]
Precision = Literal["auto", "float32", "bfloat16", "float16"]


class Section(BaseModel):
    """A part of the config: immutable, and closed to keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


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


class TimebaseSection(Section):
    """How a CSV's timestamps meet the video file."""

    start: float = Field(
        0.0,
        description="timestamp, in seconds, of the file's first frame; 900 for AVA's cut segments",
    )
    fps: PositiveFloat = Field(
        30.0,
        description="frames a second that sampling_rate counts in, whatever the file's own rate;"
        " also the rate at which folders of images were extracted",
    )
    unit: Literal["seconds", "frames"] = Field(
        "seconds", description="what timestamps count; MultiSports counts frames of the file"
    )
    first_frame: NonNegativeInt = Field(
        1, description="number of a file's first frame, where the unit is frames"
    )
    shift: int = Field(
        0, description="whole frames by which all is read later; 1 reads as mmaction2 does"
    )


class SplitSection(Section):
    """Files of one split; relative paths start at `data.root`."""

    videos: Folders = Field(
        (Path("videos"),),
        description="folders of video files, or of folders of numbered images, named by video id",
    )
    frame_list: Path | None = Field(
        None, description="PySlowFast's list of images, whose paths start at the first of videos"
    )
    annotations: Folders = Field((), description="AVA CSVs")
    labelled_boxes: Folders = Field(
        (),
        description="PySlowFast's CSVs of detected boxes with labels (-1: none), trained on too,"
        " from train_boxes.min_score on; those without only with train_boxes.negatives",
    )
    keyframes: Path | None = Field(
        None, description="CSV of video_id,timestamp, besides those of the annotations"
    )
    excluded: Path | None = Field(None, description="CSV of video_id,timestamp left out everywhere")
    proposals: Path | None = Field(
        None,
        description="person boxes, a CSV or mmaction2's pickle; without it what `propose` wrote"
        " into the output folder",
    )


class DataSection(Section):
    """An AVA-style data set, or Kinetics: whole clips of one class each."""

    kind: Literal["ava", "kinetics"] = Field(
        "ava", description="people in boxes, or whole clips; decides the head of the model"
    )
    num_classes: PositiveInt = Field(
        400, description="classes of Kinetics; those of AVA are the label map's"
    )
    root: Path = Field(Path(), description="folder that the splits' relative paths start at")
    label_map: str = Field("ava_80", description="classes of the model: ava_80, ava_60 or a pbtxt")
    eval_label_map: str | None = Field(
        None, description="classes that are scored and exported; without it those of label_map"
    )
    classes: tuple[int | str, ...] | None = Field(
        None,
        description="ids (as in its file) or names of the label map that are trained on and"
        " scored; null: all",
    )
    first_label: Literal[0, 1] = Field(
        1,
        description="smallest id in the files; where it is 0, ids of annotations and of your label"
        " map are raised by one when read",
    )
    timebase: TimebaseSection = TimebaseSection()
    num_frames: PositiveInt = Field(32, description="frames of a clip, T of the Fast pathway")
    sampling_rate: NonNegativeInt = Field(
        2, description="frames from one to the next; 0 repeats the keyframe"
    )
    train: SplitSection = SplitSection()
    val: SplitSection = SplitSection()
    test: SplitSection = SplitSection()
    cache_gb: Annotated[float, Field(ge=0)] = Field(
        0.0, description="memory for decoded videos, for small data sets"
    )
    workers: NonNegativeInt = Field(0, description="processes that read clips")
    prepared: Path | None = Field(
        None,
        description="folder of what `prepare` made, which is read in place of the videos;"
        " without it `prepare` writes into `prepared`",
    )
    on_error: Literal["fail", "skip"] = Field(
        "fail",
        description="what a video that cannot be read does: end the run, or be left out, counted",
    )


class PrepareSection(Section):
    """What `prepare` makes of the videos, in `data.prepared`."""

    kind: Literal["video", "frames"] = Field(
        "video", description="fast-seeking copies, or folders of JPEG images"
    )
    frames: Literal["needed", "all"] = Field(
        "needed", description="keep the frames that the keyframes' clips show, or all"
    )
    short_side: PositiveInt | None = Field(
        320, description="pixels; a smaller video stays as it is, as all do with null"
    )
    gop: PositiveInt = Field(12, description="frames from one key frame to the next, of a copy")
    crf: Annotated[int, Field(ge=0, le=51)] = Field(
        20, description="x264's quality of a copy; smaller is better"
    )
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] = 95
    workers: NonNegativeInt = Field(0, description="processes; 0 is one a core")


class AugmentSection(Section):
    """Training transforms; clip and boxes move together."""

    short_side: Range | None = Field(
        (256, 320), description="range the short side is drawn from; null leaves the size"
    )
    crop: tuple[PositiveInt, PositiveInt] = Field((224, 224), description="height, width")
    flip: Fraction = Field(0.5, description="probability of a mirror image")
    color: Fraction = Field(0.0, description="strength of brightness, contrast and tint changes")
    box_jitter: Annotated[float, Field(ge=0, lt=0.5)] = Field(
        0.0, description="each side moves by up to this part of the box's size"
    )
    min_visible: Fraction = Field(0.25, description="part of a box that must survive the crop")


class TrainBoxesSection(Section):
    """Which people are trained on (paper section 5): true ones, and proposals on them."""

    proposals: bool = Field(False, description="add proposals that inherit labels")
    min_iou: Fraction = Field(
        0.9, description="overlap with a person from which labels are inherited"
    )
    min_score: Fraction = Field(0.8, description="proposals below are not used")
    negatives: bool = Field(False, description="keep unmatched proposals as people without a label")


class OptimSection(Section):
    """Optimiser, schedule and loss."""

    name: Literal["sgd", "adamw"] = "sgd"
    steps: PositiveInt = Field(14000, description="number of updates")
    batch_size: PositiveInt = Field(64, description="clips an update, over all processes")
    lr: PositiveFloat = 0.1
    momentum: Fraction = 0.9
    nesterov: bool = True
    weight_decay: Annotated[float, Field(ge=0)] = 1e-7
    schedule: Literal["cosine", "steps"] = "steps"
    milestones: tuple[PositiveInt, ...] = Field((), description="steps at which the rate falls")
    gamma: PositiveFloat = Field(0.1, description="factor at each milestone")
    warmup_steps: NonNegativeInt = 1000
    warmup_factor: Fraction = Field(0.01, description="part of lr that the warm-up starts from")
    clip_grad: PositiveFloat | None = Field(None, description="largest norm of the gradient")
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0, description="decay of the averaged weights that are evaluated; 0 is none"
    )
    batch_norm: Literal["trainable", "frozen", "synchronised"] = Field(
        "trainable",
        description="statistics of each process's clips; those that the weights came with, nothing"
        " of the norms being trained; or statistics of all processes' clips (GPUs only)",
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


class EvalSection(Section):
    """How boxes are scored."""

    boxes: Literal["proposals", "groundtruth"] = "proposals"
    min_score: Fraction = Field(0.8, description="proposals below are not scored")
    multiply_person_score: bool = Field(
        False, description="action score times the score of the person box"
    )
    short_side: PositiveInt | None = Field(256, description="null leaves the size")
    batch_size: PositiveInt = 4


class ProposerTrainSection(Section):
    """Fine-tuning of the person detector."""

    steps: PositiveInt = 2000
    batch_size: PositiveInt = 8
    lr: PositiveFloat = Field(1e-4, description="AdamW's, for fine-tuning; 4e-3 from scratch")


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
    model: ModelSection = ModelSection()
    data: DataSection = DataSection()
    prepare: PrepareSection = PrepareSection()
    augment: AugmentSection = AugmentSection()
    train_boxes: TrainBoxesSection = TrainBoxesSection()
    optim: OptimSection = OptimSection()
    evaluation: EvalSection = EvalSection()
    proposer: ProposerSection = ProposerSection()
