"""The right cause is named where it is known, and the parts add up."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from ava_eval import evaluate
from ava_eval.diagnosis import CAUSES, Diagnosis, diagnose
from ava_eval.frame_map import score_tables
from ava_eval.protocol import PROTOCOLS
from ava_eval.tables import BOX

IDS = [1, 12, 14, 15, 80]
LABELS = pd.DataFrame({"action_id": IDS, "name": [f"c{i}" for i in IDS]})


def world(people: int = 2, keyframes: int = 40, seed: int = 0) -> pd.DataFrame:
    """People side by side, each with one or two actions."""
    rng = np.random.default_rng(seed)
    rows = []
    for frame in range(keyframes):
        for person in range(people):
            x, y = 0.45 * person + rng.uniform(0, 0.05), rng.uniform(0, 0.2)
            for action in rng.choice(IDS, rng.integers(1, 3), replace=False):
                where = (f"v{frame % 4}", 900.0 + frame)
                rows.append((*where, x, y, x + 0.4, y + 0.7, int(action), person))
    return pd.DataFrame(rows, columns=["video_id", "timestamp", *BOX, "action_id", "person_id"])


def perfect(truth: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    """Detections that are the ground truth, with distinct scores."""
    rng = np.random.default_rng(seed)
    found = truth.drop(columns="person_id")
    return found.assign(score=rng.permutation(len(found)) / len(found) / 2 + 0.5)


def explain(truth: pd.DataFrame, found: pd.DataFrame, **options) -> Diagnosis:
    return diagnose(*score_tables(truth, found, LABELS, **options))


def shifted(truth: pd.DataFrame) -> pd.DataFrame:
    """Boxes moved down by half their height: an overlap of a third."""
    found = perfect(truth)
    height = found["y2"] - found["y1"]
    return found.assign(y1=found["y1"] + height / 2, y2=found["y2"] + height / 2)


def swapped(truth: pd.DataFrame) -> pd.DataFrame:
    """Each action is taken for another that the person does not do."""
    found = perfect(truth)
    done = truth.groupby([*truth.columns[:6]])["action_id"].transform(lambda a: [set(a)] * len(a))
    other = [next(i for i in IDS if i not in own) for own in done]
    return found.assign(action_id=other)


def doubled(truth: pd.DataFrame) -> pd.DataFrame:
    """Everything twice, the second time with almost the same score."""
    found = perfect(truth)
    again = found.assign(x1=found["x1"] + 0.001, score=found["score"] - 0.001)
    return pd.concat([found, again], ignore_index=True)


def without_people(truth: pd.DataFrame) -> pd.DataFrame:
    """Every other person is not detected."""
    return perfect(truth)[(truth["person_id"] == 0).to_numpy()].reset_index(drop=True)


def with_ghosts(truth: pd.DataFrame) -> pd.DataFrame:
    """A box in a corner where nobody is, better than all."""
    found = perfect(truth)
    ghost = found.assign(x1=0.96, x2=0.99, y1=0.95, y2=0.99, score=found["score"] + 1)
    return pd.concat([found, ghost], ignore_index=True)


def shifted_and_swapped(truth: pd.DataFrame) -> pd.DataFrame:
    """Wrong places and wrong actions."""
    return shifted(truth).assign(action_id=swapped(truth)["action_id"])


KNOWN = {
    "localisation": shifted,
    "class": swapped,
    "duplicate": doubled,
    "missed": without_people,
    "background": with_ghosts,
    "both": shifted_and_swapped,
}


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("cause", KNOWN)
def test_the_known_cause_is_named(cause: str, protocol: str) -> None:
    truth = world()
    diagnosis = explain(truth, KNOWN[cause](truth), protocol=protocol)
    share = diagnosis.share()
    assert max(share, key=lambda name: share[name]) == cause
    assert share[cause] == pytest.approx(1 - diagnosis.result.mean, abs=1e-9)
    assert share[cause] > 0.05
    assert diagnosis.alone()[cause] == pytest.approx(share[cause], abs=1e-9)


def random_detections(truth: pd.DataFrame, seed: int) -> pd.DataFrame:
    """All of it at once."""
    rng = np.random.default_rng(seed)
    found = pd.concat([perfect(truth, seed) for _ in range(4)], ignore_index=True)
    moved = rng.normal(0, 0.15, (len(found), 4)) * (rng.random((len(found), 1)) < 0.5)
    box = found[BOX].to_numpy() + moved
    found[BOX] = np.hstack([np.minimum(box[:, :2], box[:, 2:]), np.maximum(box[:, :2], box[:, 2:])])
    wrong = rng.random(len(found)) < 0.4
    found.loc[wrong, "action_id"] = rng.choice(IDS, int(wrong.sum()))
    found["score"] = rng.integers(0, 30, len(found)) / 30
    return found[rng.random(len(found)) < 0.7].reset_index(drop=True)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("seed", range(5))
def test_parts_add_up(seed: int, protocol: str) -> None:
    truth = world(seed=seed)
    truth = pd.concat([truth, truth[:9]], ignore_index=True)  # repeated rows can never be found
    found = random_detections(truth, seed)
    excluded = truth[["video_id", "timestamp"]][20:22]
    diagnosis = explain(truth, found, protocol=protocol, excluded=excluded)
    result, losses = diagnosis.result, diagnosis.losses
    assert 0 < result.mean < 1
    assert sum(diagnosis.share().values()) == pytest.approx(1 - result.mean, abs=1e-12)
    defined = ~np.isnan(result.ap)
    np.testing.assert_allclose(losses.share[defined].sum(axis=1), 1 - result.ap[defined])
    right = result.num_detections - losses.false_positives.sum(axis=1)
    np.testing.assert_array_equal(right + losses.missed.sum(axis=1), result.num_groundtruth)
    assert (losses.false_positives > 0).sum(axis=0)[:5].all()


def test_equals_evaluate() -> None:
    truth = world()
    found = random_detections(truth, 3)
    assert explain(truth, found).result.mean == evaluate(truth, found, LABELS).mean


@pytest.mark.parametrize(
    ("cause", "oracle", "value"),
    [
        ("localisation", "perfect_boxes", 1.0),
        ("localisation", "ceiling", 0.0),
        ("class", "perfect_classes", 1.0),
        ("class", "ceiling", 1.0),
        ("both", "perfect_classes", 0.0),
        ("duplicate", "perfect_boxes", 1.0),
        ("background", "perfect_boxes", 1.0),
        ("background", "ceiling", 1.0),
        ("missed", "groundtruth", 1.0),
    ],
)
def test_oracles(cause: str, oracle: str, value: float) -> None:
    truth = world()
    assert explain(truth, KNOWN[cause](truth)).oracles[oracle] == pytest.approx(value)


def test_ceiling_is_the_recall_of_the_boxes() -> None:
    truth = world()
    diagnosis = explain(truth, without_people(truth))
    recall = [(truth[truth["action_id"] == i]["person_id"] == 0).mean() for i in sorted(IDS)]
    assert diagnosis.oracles["ceiling"] == pytest.approx(np.mean(recall))


def test_ground_truth_that_repeats_itself_cannot_reach_one() -> None:
    truth = world()
    truth = pd.concat([truth, truth[:20]], ignore_index=True)
    assert explain(truth, perfect(truth)).oracles["groundtruth"] < 1


def test_slices() -> None:
    small = world(people=1, keyframes=10).assign(x2=lambda t: t["x1"] + 0.1, person_id=0)
    crowd = world(people=2, keyframes=40)
    crowd["timestamp"] += 1000
    truth = pd.concat([small, crowd], ignore_index=True)
    found = perfect(truth)
    found = found[(found["timestamp"] > 1000).to_numpy()]  # nothing on the small people
    slices = {
        name: {part["name"]: part for part in parts}
        for name, parts in explain(truth, found).slices.items()
    }
    assert slices["size"]["small"]["mAP"] == 0
    assert slices["size"]["medium"]["mAP"] == pytest.approx(1)
    assert slices["size"]["medium"]["groundtruth"] == len(crowd)
    assert slices["people"]["1"]["mAP"] == 0
    assert slices["people"]["2"]["mAP"] == pytest.approx(1)
    assert np.isnan(slices["people"]["5+"]["mAP"])
    assert slices["group"]["person_movement"]["classes"] == 3
    assert sum(part["classes"] for part in slices["frequency"].values()) == len(IDS)


def test_confusions_are_between_actions_of_a_kind() -> None:
    truth = world()
    truth = truth[truth["action_id"].isin([1, 12, 15])].reset_index(drop=True)
    found = perfect(truth)
    found["action_id"] = found["action_id"].replace({1: 12, 15: 12})
    pairs = explain(truth, found).confusions
    assert [(pair.predicted, pair.actual) for pair in pairs] == [(12, 1)]
    assert 0 < pairs[0].rows <= pairs[0].considered == (truth["action_id"] == 12).sum()


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_nothing_to_explain(protocol: str) -> None:
    truth = world(keyframes=2)
    for one, other in ((truth, truth[:0]), (truth[:0], truth), (truth[:0], truth[:0])):
        diagnosis = explain(one, perfect(other), protocol=protocol)
        answer = diagnosis.to_json()
        assert {cause["name"] for cause in answer["causes"]} == set(CAUSES)
