"""Settings of the data: where it lies, what it means, how it is prepared and sampled."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from ava_detect.config.types import Folders, Fraction, Range, Section


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
    annotations: Folders = Field(
        (), description="AVA CSVs; of Kinetics its CSVs, or lists of `path label`"
    )
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
    num_classes: PositiveInt = Field(400, description="classes of Kinetics where label_map is null")
    root: Path = Field(Path(), description="folder that the splits' relative paths start at")
    label_map: str | None = Field(
        None,
        description="classes of the model: ava_80, ava_60, a pbtxt, a .txt with a name a line,"
        " or a .csv of Kinetics, whose labels they are;"
        " null: ava_80, and of Kinetics num_classes without names",
    )
    eval_label_map: str | None = Field(
        None, description="classes that are scored and exported; without it those of label_map"
    )
    classes: tuple[int | str, ...] | None = Field(
        None,
        description="ids (as in its file) or names of the label map that are trained on and"
        " scored; null: all",
    )
    exclusive: tuple[int | str, ...] = Field(
        (),
        description="ids or names of classes of which a person does exactly one, as AVA's poses"
        " (1 to 14): they share a softmax",
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
