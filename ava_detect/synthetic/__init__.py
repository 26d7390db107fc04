"""The demo world: small videos of articulated figures, written as an AVA data set."""

from ava_detect.synthetic.world import FPS, HEIGHT, WIDTH, make_world

__all__ = ["FPS", "HEIGHT", "WIDTH", "make_world"]
