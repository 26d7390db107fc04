"""`ava-detect annotate`: people, their tracks and their actions, drawn into any video."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from ava_detect.assemble import build_eval_label_map
from ava_detect.boxes import clip_boxes, scale_boxes
from ava_detect.commands.proposers import build_proposer
from ava_detect.commands.scoring import open_detector
from ava_detect.config import Config
from ava_detect.data.transforms import EvalTransform
from ava_detect.engine.logs import StatusLine
from ava_detect.inference.annotate import Annotated, Annotator, ClipRule, Eyes
from ava_detect.inference.detector import Detector
from ava_detect.inference.tracks import Shown, Tracker
from ava_detect.proposals.proposer import Proposer, can_show_people
from ava_detect.timebase import Timebase
from ava_detect.visualize.actions import Actions
from ava_detect.visualize.delays import Delays
from ava_detect.visualize.film_reader import FilmReader, FilmShot
from ava_detect.visualize.film_writer import CONTAINERS, SOUNDS, FilmWriter, even
from ava_detect.visualize.live import LiveCapture, LiveShot, ended_by_interrupt
from ava_detect.visualize.people import Labelled, draw_labelled
from ava_detect.visualize.track_file import TrackFile
from ava_eval.atomic import atomic_path, require_writable
from ava_eval.errors import InputError

DRAWN = 3
"""So many actions of a person are drawn, if they are likely enough."""
SURE = 0.5
"""People of a lower score are not drawn, even where ``evaluation.min_score`` would score them."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """What the command line says besides the config.

    Attributes:
        every: seconds of video from one keyframe, where people are found and scored, to the next.
        min_score: actions of a lower score are not drawn.
        min_person: people of a lower score are left out; None: ``evaluation.min_score``, or
            ``SURE`` if that is higher.
        seconds: stop after so many.
    """

    every: float = 0.5
    min_score: float = 0.3
    min_person: float | None = None
    seconds: float | None = None


@dataclass
class Output:
    """What is written: pictures with people drawn into them, and tracks that have ended."""

    film: FilmWriter
    tracks: TrackFile
    tracker: Tracker
    actions: Actions
    min_score: float
    num_frames: int = 0
    size: tuple[int, int] = (0, 0)  # of the pictures as they are shown

    def add(self, annotated: Annotated, moment: float) -> None:
        """Draw and write the next frame, shown at ``moment`` seconds."""
        picture = even(annotated.pixels)
        height, width = annotated.pixels.shape[:2]
        # An odd side's added row is no part of the picture.
        draw_labelled(picture[:height, :width], [self._labelled(p) for p in annotated.people])
        self.film.add(picture, moment)
        self.num_frames += 1
        self.size = (width, height)
        self.release(moment)

    def release(self, moment: float) -> None:
        """Write the tracks that show nobody from ``moment`` (seconds) on."""
        for track in self.tracker.release(moment):
            self.tracks.add(track.id, track.sightings)

    def _labelled(self, person: Shown) -> Labelled:
        best = self.actions.best(person.sighting.scores, DRAWN, self.min_score)
        lines = tuple(f"{action['name']} {action['score']:.2f}" for action in best)
        return Labelled(person.track, person.box, lines)


def annotate(config: Config, video: str, output: Path, options: Options) -> str:
    """Annotate a file, a camera (its number) or a stream (a URL); returns what a person reads.

    Writes ``output`` and, beside it, a JSON file of the same name.
    """
    if config.data.kind != "ava":
        raise InputError(
            f"data.kind: expected a recipe of people in boxes (ava), got {config.data.kind}"
        )
    if output.suffix.lower() not in CONTAINERS:
        raise InputError(f"{output}: expected a name that ends in {', '.join(CONTAINERS)}")
    json_file = output.with_suffix(".json")
    for path in (output, json_file):
        require_writable(path)
    source = live_source(video)
    if source is None:
        if Path(video).resolve() == output.resolve():
            raise InputError(f"{output}: is the video itself; give another name for the output")
        with FilmReader(video) as reader:
            return _annotate_film(config, reader, output, json_file, options)
    return _annotate_live(config, source, output, json_file, options)


def live_source(video: str) -> int | str | None:
    """The number of a camera, or a URL; None for a file."""
    if Path(video).exists():
        return None
    if video.isdecimal():
        return int(video)
    return video if "://" in video else None


def _annotate_film(
    config: Config, reader: FilmReader, output: Path, json_file: Path, options: Options
) -> str:
    sound = _sound_to_copy(reader)
    rate = float(reader.stream.average_rate or config.data.timebase.fps)
    annotator, actions = _tools(config, options, rate)
    line, start = StatusLine(), time.perf_counter()
    with (
        atomic_path(output) as film_path,
        atomic_path(json_file) as json_path,
        TrackFile(json_path, actions) as tracks,
    ):
        with FilmWriter(film_path, sound, _pixel_aspect(reader)) as film:
            out = Output(film, tracks, annotator.tracker, actions, options.min_score)
            for annotated in _walk(annotator, reader, film, options.seconds):
                film.sound_origin = reader.origin or Fraction(0)
                out.add(annotated, annotated.shot.time)
                if line.due():
                    length = options.seconds or reader.declared_seconds or annotated.shot.time
                    line.show(f"annotate {annotated.shot.time:.1f} of {length:.1f} s")
            line.close()
        if not out.num_frames:
            raise InputError(f"{reader.path}: expected a video, found no frame that decodes")
        out.release(np.inf)
        facts = {"source": str(reader.path), "problem": reader.problem, "sound": bool(sound)}
        tracks.finish(_facts(config, options, out, annotator, facts, reader.seconds))
    took = time.perf_counter() - start
    if reader.problem:
        _log.warning(
            "warning: %s: %s; %d frames of it were annotated",
            *(reader.path, reader.problem, out.num_frames),
        )
    pace = f"{took:.1f} s, {out.num_frames / took:.1f} frames a second"
    return _told(out, annotator, output, json_file, reader.seconds, pace)


def _walk(
    annotator: Annotator[FilmShot], reader: FilmReader, film: FilmWriter, until: float | None
) -> Iterator[Annotated[FilmShot]]:
    for shot in reader.shots(film.add_sound, until):
        yield from annotator.feed([shot])
    yield from annotator.finish()


def _annotate_live(
    config: Config, source: int | str, output: Path, json_file: Path, options: Options
) -> str:
    annotator, actions = _tools(config, options, config.data.timebase.fps, latest=True)
    line, delays, seconds = StatusLine(), Delays(), 0.0
    with (
        atomic_path(output) as film_path,
        atomic_path(json_file) as json_path,
        TrackFile(json_path, actions) as tracks,
        LiveCapture(source, options.seconds) as capture,
        ended_by_interrupt(capture),
    ):
        with FilmWriter(film_path) as film:
            out = Output(film, tracks, annotator.tracker, actions, options.min_score)
            for annotated in _watch(annotator, capture.batches()):
                seconds = annotated.shot.time
                out.add(annotated, seconds)
                delays.add(time.perf_counter() - annotated.shot.captured)
                if line.due():
                    line.show(f"annotate {seconds:.1f} s; {delays.text()}; Ctrl-C ends")
            line.close()
        if not out.num_frames:
            raise InputError(f"{source}: no frame came")
        out.release(np.inf)
        dropped = capture.queue.dropped
        facts = {"source": str(source), "captured": capture.captured, "dropped": dropped}
        facts |= {"latency": delays.facts()}
        tracks.finish(_facts(config, options, out, annotator, facts, seconds))
    pace = f"{dropped} of {capture.captured} frames were dropped\nlatency     {delays.text()}"
    return _told(out, annotator, output, json_file, seconds, pace)


def _watch(
    annotator: Annotator[LiveShot], batches: Iterable[list[LiveShot]]
) -> Iterator[Annotated[LiveShot]]:
    for shots in batches:
        yield from annotator.feed(shots)
    yield from annotator.finish()


def _tools(
    config: Config, options: Options, rate: float, latest: bool = False
) -> tuple[Annotator, Actions]:
    """What finds, scores and links people; ``rate`` is that of the video, in frames a second."""
    detector = open_detector(config)
    eyes = build_eyes(config, build_proposer(config), detector, options)
    tracker = Tracker(max_gap=max(1.0, 2 * options.every), hold=options.every / 2)
    rule = build_clip_rule(config, rate)
    return (
        Annotator(eyes, rule, tracker, every=options.every, latest=latest),
        Actions.of(detector.label_map, build_eval_label_map(config)["action_id"]),
    )


def build_clip_rule(config: Config, rate: float) -> ClipRule:
    """The clips of the config's sampling; where it counts frames, these are ``rate`` a second."""
    data = config.data
    fps = rate if data.timebase.unit == "frames" else data.timebase.fps
    timebase = Timebase(fps=fps, shift=data.timebase.shift)
    step, middle = data.sampling_rate / fps, data.num_frames // 2
    shift = data.timebase.shift / fps
    return ClipRule(
        before=max(0.0, middle * step - shift),
        after=max(0.0, (data.num_frames - 1 - middle) * step + shift),
        numbers=lambda moment, times: timebase.clip_frames(
            moment, times, data.num_frames, data.sampling_rate
        ),
    )


def build_eyes(config: Config, proposer: Proposer, detector: Detector, options: Options) -> Eyes:
    """The person detector and the action detector, each behind one call."""
    transform = EvalTransform(config.evaluation.short_side)
    least = options.min_person
    if least is None:
        least = max(SURE, config.evaluation.min_score)

    def find(picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        height, width = picture.shape[:2]
        if not can_show_people(picture):
            return np.empty((0, 4)), np.empty(0)
        boxes, scores = proposer.propose([np.ascontiguousarray(picture)])[0]
        boxes = clip_boxes(np.asarray(boxes, np.float64).reshape(-1, 4), width, height)
        whole = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        kept = np.flatnonzero(whole & (scores >= least))[: config.proposer.max_boxes]
        return scale_boxes(boxes[kept], (1 / width, 1 / height)), scores[kept]

    def shrink(picture: np.ndarray) -> np.ndarray:
        view = transform((picture.shape[1], picture.shape[0]), np.empty((0, 4), np.float32))
        target = np.empty((*view.size[::-1], 3), np.uint8)
        view.show(picture, target)
        return target

    def score(clip: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        size = (clip.shape[2], clip.shape[1])
        return detector.predict(clip, scale_boxes(np.asarray(boxes, np.float32), size))

    return Eyes(find, shrink, score)


def _facts(
    config: Config,
    options: Options,
    out: Output,
    annotator: Annotator,
    video: Mapping[str, Any],
    seconds: float,
) -> dict[str, Any]:
    """What the JSON tells besides the tracks."""
    width, height = out.size
    return {
        "video": {
            **video,
            "width": width,
            "height": height,
            "frames": out.num_frames,
            "last_frame": round(seconds, 6),
            "keyframes": annotator.num_keyframes,
        },
        "settings": {
            "weights": str(config.weights),
            **asdict(options),
            "num_frames": config.data.num_frames,
            "sampling_rate": config.data.sampling_rate,
            "fps": config.data.timebase.fps,
            "short_side": config.evaluation.short_side,
        },
    }


def _sound_to_copy(reader: FilmReader) -> av.AudioStream | None:
    """The film's sound, if the output can hold it."""
    if reader.sound is None or _sound_codec(reader.sound) in SOUNDS:
        return reader.sound
    _log.warning(
        "warning: %s: its sound (%s) is left out: only %s are copied",
        *(reader.path, _sound_codec(reader.sound), ", ".join(sorted(SOUNDS))),
    )
    return None


def _sound_codec(sound: av.AudioStream) -> str:
    """The codec by its common name: `mp3` and not that of a decoder, `mp3float`."""
    return sound.codec_context.codec.canonical_name


def _pixel_aspect(reader: FilmReader) -> Fraction | None:
    """Width of a pixel to its height, where they differ."""
    aspect = reader.stream.sample_aspect_ratio
    return aspect if aspect and aspect != 1 else None


def _told(
    out: Output, annotator: Annotator, output: Path, json_file: Path, seconds: float, pace: str
) -> str:
    people = annotator.tracker.num_tracks
    return (
        f"{out.num_frames} frames, {seconds:.2f} s: {people} tracks of people, scored at"
        f" {annotator.num_keyframes} keyframes; {pace}\n"
        f"video       {output}\ntracks      {json_file}"
    )
