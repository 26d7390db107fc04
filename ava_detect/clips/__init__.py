"""Frames of videos by number: video files, folders of frames, prepared copies."""

from ava_detect.clips.library import VideoLibrary
from ava_detect.clips.source import ClipSource, Video
from ava_detect.clips.video_file import VideoFile

__all__ = ["ClipSource", "Video", "VideoFile", "VideoLibrary"]
