"""What a scene shows and what its annotators see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ava_detect.synthetic.scene import HEIGHT, WIDTH, Scene
from ava_detect.synthetic.script import Action, Arms

FPS = 15
BESIDE = (Action.SIT, Action.CARRY)  # a stool and an object are drawn beside the body


def draw(seed: int, cast: int, seconds: int = 6) -> Scene:
    return Scene.draw(np.random.default_rng(seed), seconds, FPS, cast, has_empty_shot=False)


@pytest.mark.parametrize("seed", range(6))
def test_boxes_are_tight_around_what_is_drawn(seed: int) -> None:
    scene = draw(seed, cast=3)
    checked = 0
    for number, figure in enumerate(scene.figures):
        alone = replace(scene, figures=[figure])
        nobody = replace(scene, figures=[])
        for second in range(1, 6):
            (person,) = alone.people(second)
            if any(label in BESIDE for label in person.labels):
                continue
            shown, empty = (s.render(second * FPS).astype(int) for s in (alone, nobody))
            rows, columns = np.nonzero(np.abs(shown - empty).max(axis=2) > 5)
            drawn = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            np.testing.assert_allclose(person.box, drawn, atol=2, err_msg=f"figure {number}")
            checked += 1
    assert checked >= 3


@pytest.mark.parametrize("cast", [1, 2, 3, 4])
def test_people_are_in_the_frame_and_mostly_visible(cast: int) -> None:
    scene = draw(1, cast)
    for second in range(1, 6):
        people = scene.people(second)
        assert [person.person_id for person in people] == list(range(cast))
        for person in people:
            left, top, right, bottom = person.box
            assert 0 <= left < right <= WIDTH
            assert 0 <= top < bottom <= HEIGHT
            assert 0.4 < person.visible <= 1


def test_a_covered_body_is_less_visible() -> None:
    scene = replace(draw(3, cast=2), occluders=[])
    figure = scene.figures[0]
    behind_itself = replace(scene, figures=[figure, figure])
    assert scene.people(2)[0].visible > 0.9
    assert [person.person_id for person in behind_itself.people(2)] == [1]


def attentive_pair() -> tuple[Scene, int]:
    """A scene of two figures, and a second in which one talks to the other."""
    for seed in range(200):
        scene = draw(seed, cast=2)
        for second in range(1, 6):
            if any(Action.TALK_TO in person.labels for person in scene.people(second)):
                return scene, second
    raise AssertionError("nobody ever talks")


def test_watch_and_talk_depend_on_the_other_figure() -> None:
    scene, second = attentive_pair()
    for figure in scene.figures:
        (alone,) = replace(scene, figures=[figure]).people(second)
        assert not {Action.WATCH, Action.TALK_TO} & set(alone.labels)
    turned = [replace(f, motion=replace(f.motion, facing=-f.motion.facing)) for f in scene.figures]
    talker = next(p for p in scene.people(second) if Action.TALK_TO in p.labels)
    assert Action.WATCH in talker.labels
    away = replace(scene, figures=turned).people(second)[talker.person_id]
    assert not {Action.WATCH, Action.TALK_TO} & set(away.labels)


def test_people_have_several_labels_and_an_object_is_carried() -> None:
    scenes = [draw(seed, cast=2) for seed in range(8)]
    people = [p for scene in scenes for second in range(1, 6) for p in scene.people(second)]
    assert max(len(person.labels) for person in people) >= 3
    assert all(len(set(person.labels)) == len(person.labels) for person in people)
    assert any(Action.CARRY in person.labels for person in people)


def test_nobody_is_drawn_in_an_empty_shot() -> None:
    rng = np.random.default_rng(5)
    scene = Scene.draw(rng, 6, FPS, 3, has_empty_shot=True)
    assert len(scene.empty_seconds) == 2
    empty = replace(scene, figures=[])
    for second in range(1, 6):
        same = (scene.render(second * FPS) == empty.render(second * FPS)).all()
        assert same == (second in scene.empty_seconds) == (not scene.people(second))


def test_size_changes_slowly() -> None:
    for seed in range(4):
        sizes = np.stack([figure.size for figure in draw(seed, 2, seconds=20).figures])
        assert (np.ptp(sizes, axis=1) > 1).all()
        assert np.abs(np.diff(sizes)).max() < 0.5
        assert ((sizes > 54) & (sizes < 100)).all()


def test_moving_arms_decide_the_label() -> None:
    scene = draw(0, 2)
    act = replace(scene.figures[0].motion.script[0], posture=Action.STAND, arms=Arms.APART)
    assert Action.CLAP in replace(act, arm_rate=2.0).labels(faces_person=False)
    assert replace(act, arm_rate=0.0).labels(faces_person=False) == [Action.STAND]
