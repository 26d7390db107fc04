"""The right cause is named where it is known, and the parts add up."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest

from ava_eval import evaluate
from ava_eval.diagnosis import CAUSES, Diagnosis, diagnose
from ava_eval.diagnosis.causes import Causes, losses
from ava_eval.diagnosis.people import People
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


def crowded(seed: int, keyframes: int = 30) -> tuple[pd.DataFrame, pd.DataFrame]:
    """People who overlap, with boxes between them, some moved, some of another action."""
    rng = np.random.default_rng(seed)
    rows = []
    for frame in range(keyframes):
        for person in range(rng.integers(1, 5)):
            x, y = rng.uniform(0, 0.3, 2)
            for action in rng.choice(IDS, rng.integers(1, 3), replace=False):
                box = (x, y, x + rng.uniform(0.3, 0.5), y + rng.uniform(0.3, 0.5))
                rows.append((f"v{frame % 4}", 900.0 + frame, *box, int(action), person))
    truth = pd.DataFrame(rows, columns=["video_id", "timestamp", *BOX, "action_id", "person_id"])
    return truth, random_detections(truth, seed)


@pytest.mark.parametrize("protocol", ["2020", "2019", "2018", "pyslowfast"])
@pytest.mark.parametrize("seed", range(8))
def test_perfect_parts_are_never_worse(seed: int, protocol: str) -> None:
    truth, found = crowded(seed)
    diagnosis = explain(truth, found, protocol=protocol)
    for name in ("perfect_boxes", "perfect_classes", "ceiling"):
        assert diagnosis.oracles[name] >= diagnosis.result.mean
    assert diagnosis.oracles["ceiling"] < 1


def test_ceiling_counts_each_action_by_the_people_who_do_it() -> None:
    """One box on two people who overlap: it finds each of them by another action."""
    where = ("v", 900.0)
    people = [(*where, 0.1, 0.1, 0.5, 0.5, 1, 0), (*where, 0.1, 0.1, 0.5, 0.55, 12, 1)]
    truth = pd.DataFrame(people, columns=["video_id", "timestamp", *BOX, "action_id", "person_id"])
    found = truth.drop(columns="person_id").assign(y2=0.5, score=0.9)
    diagnosis = explain(truth, found)
    assert diagnosis.result.mean == 1
    assert set(diagnosis.oracles.values()) == {1.0}


def test_one_box_for_two_people_leaves_one_of_them_missed() -> None:
    where = ("v", 900.0)
    people = [(*where, 0.1, 0.1, 0.5, 0.5, 1, 0), (*where, 0.1, 0.12, 0.5, 0.52, 1, 1)]
    truth = pd.DataFrame(people, columns=["video_id", "timestamp", *BOX, "action_id", "person_id"])
    found = truth[:1].drop(columns="person_id").assign(score=0.9)
    assert explain(truth, found).share()["missed"] == pytest.approx(0.5)


@pytest.mark.parametrize("seed", range(3))
def test_shares_are_the_mean_gain_over_all_orders_of_mending(seed: int) -> None:
    """Mend the tables themselves, each set of causes, and evaluate them anew."""
    truth, found = crowded(seed, keyframes=20)
    found = found[::4].reset_index(drop=True)
    scored, classes = score_tables(truth, found, LABELS, protocol="2018")
    people = People.of(scored)
    causes = Causes.of(scored, people)
    assert len({*causes.found, *causes.truth} - {-1}) >= 5
    target = people.targets.truth[people.target_of_row[causes.moved]]

    def mended(subset: frozenset[int]) -> np.ndarray:
        dropped = np.isin(causes.found, list(subset))
        lost = np.isin(causes.truth, list(subset - {CAUSES.index("localisation")}))
        boxes = found.copy()
        if CAUSES.index("localisation") in subset:
            dropped[causes.moved] = False
            boxes.loc[causes.moved, BOX] = truth.loc[target, BOX].to_numpy()
        ap = evaluate(truth[~lost], boxes[~dropped], LABELS, protocol="2018").ap
        return np.where(np.isnan(ap), 1.0, ap)

    assert len(scored.found) == len(found)
    assert len(scored.truth) == len(truth)
    places = range(len(CAUSES))
    subsets = [frozenset(s) for n in range(7) for s in itertools.combinations(places, n)]
    ap = {subset: mended(subset) for subset in subsets}
    gains = np.zeros((len(IDS), len(CAUSES)))
    for order in itertools.permutations(places):
        for step, cause in enumerate(order):
            before = frozenset(order[:step])
            gains[:, cause] += (ap[before | {cause}] - ap[before]) / math.factorial(6)
    found_losses = losses(scored, causes, np.ones(len(classes), dtype=bool))
    np.testing.assert_allclose(found_losses.share, gains, atol=1e-12)
    alone = np.stack([ap[frozenset([i])] - ap[frozenset()] for i in places], axis=1)
    np.testing.assert_allclose(found_losses.alone, alone, atol=1e-12)


def test_slices_leave_out_what_mmaction2_leaves_out() -> None:
    truth = world(people=1, keyframes=10)
    found = perfect(truth)
    found = found[(found["action_id"] == 12).to_numpy()]
    diagnosis = explain(truth, found, protocol="mmaction2")
    assert diagnosis.result.mean == 1
    slices = [part for part in diagnosis.slices["size"] if part["groundtruth"]]
    assert [part["mAP"] for part in slices] == [1.0] * len(slices)


def test_detections_of_other_sizes_are_left_out() -> None:
    """A false positive on a small person, and one of the size of its own, spoil no other slice."""
    where = ("v", 900.0)
    small, large = (0.0, 0.0, 0.2, 0.4), (0.3, 0.0, 1.0, 1.0)
    people = [(*where, *small, 1, 0), (*where, *large, 12, 1)]
    truth = pd.DataFrame(people, columns=["video_id", "timestamp", *BOX, "action_id", "person_id"])
    rows = [
        (*where, *large, 12, 0.5),
        (*where, 0.0, 0.0, 0.21, 0.6, 12, 0.9),  # of medium size, on the small person
        (*where, 0.22, 0.9, 0.28, 0.99, 12, 0.8),  # small, on nobody
        (*where, *small, 1, 0.7),
    ]
    found = pd.DataFrame(rows, columns=["video_id", "timestamp", *BOX, "action_id", "score"])
    sizes = {part["name"]: part for part in explain(truth, found).slices["size"]}
    assert sizes["large"]["mAP"] == 1
    assert sizes["small"]["mAP"] == 1
    assert [sizes[name]["detections"] for name in ("small", "medium", "large")] == [3, 0, 1]


def two_rows(*boxes_and_scores: tuple[float, float]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One person doing action 1, and boxes moved sideways by a part of their width."""
    where = ("v", 900.0)
    columns = ["video_id", "timestamp", *BOX, "action_id", "person_id"]
    truth = pd.DataFrame([(*where, 0.1, 0.1, 0.5, 0.5, 1, 0)], columns=columns)
    found = [(*where, 0.1 + x, 0.1, 0.5 + x, 0.5, 1, score) for x, score in boxes_and_scores]
    return truth, pd.DataFrame(found, columns=[*columns[:7], "score"])


def test_the_best_of_several_near_boxes_is_moved() -> None:
    """Mended, the better one is right and comes before the false positive between them."""
    truth, found = two_rows((0.2, 0.9), (0.25, 0.3))
    ghost = found[:1].assign(x1=0.9, x2=0.99, score=0.5)
    diagnosis = explain(truth, pd.concat([found, ghost], ignore_index=True))
    assert diagnosis.alone()["localisation"] == pytest.approx(1.0)
    assert diagnosis.alone()["background"] == 0


def test_a_box_near_a_person_overlaps_by_a_tenth() -> None:
    for x, cause in ((0.32, "localisation"), (0.33, "background")):  # overlaps 0.111 and 0.096
        diagnosis = explain(*two_rows((x, 0.9)))
        false_positives = dict(
            zip(CAUSES, diagnosis.losses.false_positives.sum(axis=0), strict=True)
        )
        assert false_positives[cause] == 1


def test_perfect_boxes_keep_the_best_score() -> None:
    truth, found = two_rows((0.2, 0.3), (0.25, 0.9))
    other = truth.assign(timestamp=901.0)
    wrong = found[:1].assign(timestamp=901.0, action_id=1, score=0.5, x1=0.1, x2=0.5)
    truth = pd.concat([truth, other.assign(action_id=12)], ignore_index=True)
    diagnosis = explain(truth, pd.concat([found, wrong], ignore_index=True))
    # Action 1: right with 0.9, wrong with 0.5; action 12 has no detection.
    assert diagnosis.oracles["perfect_boxes"] == pytest.approx(0.5)


def test_perfect_classes_keep_the_best_score_of_the_box() -> None:
    truth, found = two_rows((0.0, 0.3))
    better = found.assign(action_id=12, score=0.9)
    ghost = found.assign(x1=0.9, x2=0.99, score=0.5)
    diagnosis = explain(truth, pd.concat([found, better, ghost], ignore_index=True))
    assert diagnosis.oracles["perfect_classes"] == pytest.approx(1.0)
