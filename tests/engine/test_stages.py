from __future__ import annotations

import time

from ava_detect.engine.stages import Stages


def test_the_time_of_each_stage_is_told():
    stages = Stages()

    def slow():
        for number in range(3):
            time.sleep(0.02)
            yield number

    for _ in stages.waiting("reading", slow()):
        with stages.during("network"):
            time.sleep(0.01)
    assert 0.06 <= stages.seconds["reading"] < 1
    assert 0.03 <= stages.seconds["network"] < stages.seconds["reading"]
    stages.seconds.update(reading=0.3, network=0.6)
    assert stages.text(3, "clip") == "0.300 s a clip: reading 0.100, network 0.200"
