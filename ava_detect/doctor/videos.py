"""What is wrong with the videos that were looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ava_detect.clips import VideoLibrary
from ava_detect.doctor.findings import SHOWN, Finding, first_few
from ava_detect.doctor.probes import Probe, path_of
from ava_detect.timebase import Timebase

FAR = 0.1
"""A rate that differs by more than this part is another one."""


def check_probes(
    probes: Sequence[Probe], folder: str, timebase: Timebase, clip: tuple[int, int]
) -> list[Finding]:
    """What is wrong with the videos of ``folder``; ``clip`` is num_frames, sampling_rate."""
    found = []
    for probe in probes:
        for code, text in (
            ("video-broken", probe.broken),
            ("video-undecodable", probe.undecodable),
            ("frame-size", probe.odd_size),
        ):
            if text:
                found.append(Finding(code, probe.path, text, items=(probe.video_id,)))
        if probe.lost_frames:
            what = f"{probe.lost_frames} of {probe.lost_frames + len(probe.times)} images are lost"
            found.append(
                Finding(
                    "frame-gaps",
                    probe.path,
                    f"numbers are missing among the images: {what}",
                    probe.lost_frames,
                    items=(probe.video_id,),
                )
            )
        if probe.lacking:
            what = f"clips show frames that the copy does not have; here frame {probe.lacking[0]}"
            found.append(Finding("prepared-lacking", probe.path, what, len(probe.lacking)))
    whole = [probe for probe in probes if not probe.broken]
    return [*found, *_short(whole, folder, timebase, clip), *_rates(whole, folder, timebase)]


def check_listed(probes: Sequence[Probe], split: str, folder: Path) -> list[Finding]:
    """Images of a split's list that are not there; the paths of the list begin at ``folder``."""
    setting, lacking = f"data.{split}.frame_list", [probe for probe in probes if probe.missing]
    if not lacking:
        return []
    if all(len(probe.missing) == len(probe.times) for probe in probes):
        total = sum(len(probe.missing) for probe in lacking)
        what = f"no image of the list is there; here {lacking[0].missing[0]}"
        remedy = (
            f"the paths of the list start at the first folder of data.{split}.videos, {folder}: is"
            " that the folder of the frames?"
        )
        return [Finding("frame-missing", setting, what, total, remedy=remedy)]
    found = []
    for probe in lacking:
        count, total = len(probe.missing), len(probe.times)
        what = (
            f"{count} of {total} images of {probe.video_id} are not there; here {probe.missing[0]}"
        )
        found.append(Finding("frame-missing", setting, what, count, items=(probe.video_id,)))
    return found


def check_unnamed(library: VideoLibrary, used: set[str], folder: str) -> list[Finding]:
    """Videos of the folder whose paths no table uses; they are ``used`` from here on."""
    others = {path_of(library, name): name for name in library.video_ids}
    unused = {path: name for path, name in others.items() if path not in used}
    if not unused:
        return []
    used.update(unused)
    names = list(unused.values())
    what = f"videos that no CSV names: {first_few(names, len(names))}"
    return [Finding("video-unnamed", folder, what, len(names), items=tuple(names[:SHOWN]))]


def _short(
    probes: Sequence[Probe], folder: str, timebase: Timebase, clip: tuple[int, int]
) -> Iterator[Finding]:
    num_frames, rate = clip
    span = (num_frames - 1) * rate
    short = [
        probe
        for probe in probes
        if (len(probe.times) if timebase.unit == "frames" else probe.seconds * timebase.fps) < span
    ]
    if short:
        one = short[0]
        need = f"{span} frames" if timebase.unit == "frames" else f"{span / timebase.fps:.2f} s"
        what = (
            f"videos are shorter than a clip of {num_frames} frames, {need}; here"
            f" {one.video_id}, {len(one.times)} frames, {one.seconds:.2f} s"
        )
        yield Finding("video-short", folder, what, len(short), items=_ids(short))


def _rates(probes: Sequence[Probe], folder: str, timebase: Timebase) -> Iterator[Finding]:
    odd = [
        probe
        for probe in probes
        if len(probe.times) > 1
        and (not probe.is_steady or abs(probe.rate - timebase.fps) > FAR * timebase.fps)
    ]
    if odd:
        varying = sum(not probe.is_steady for probe in odd)
        vary = f", or a varying one ({varying})" if varying else ""
        what = (
            f"videos have another rate than data.timebase.fps={timebase.fps:g}{vary};"
            f" here {odd[0].video_id}, {odd[0].rate:.2f} frames a second"
        )
        yield Finding("video-rate", folder, what, len(odd), items=_ids(odd))


def _ids(probes: Sequence[Probe]) -> tuple[str, ...]:
    return tuple(probe.video_id for probe in probes[:SHOWN])
