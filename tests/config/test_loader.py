"""Recipes, overrides, and errors in the user's language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ava_detect.config import Config, dump_config, load_config, parse_config, recipe_folder
from ava_eval.errors import InputError

RECIPES = sorted(
    str(path.relative_to(recipe_folder()).with_suffix(""))
    for path in recipe_folder().glob("*/*.yaml")
    if path.parent.name != "base"
)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_loads_and_is_short(name: str) -> None:
    assert isinstance(load_config(name), Config)
    assert len((recipe_folder() / f"{name}.yaml").read_text().splitlines()) <= 40


def test_a_leaf_overrides_its_base(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("seed: 1\noptim: {steps: 5, lr: 0.5}\n")
    (tmp_path / "leaf.yaml").write_text("_BASE_: base.yaml\noptim: {steps: 7}\n")
    config = load_config(tmp_path / "leaf.yaml", ["optim.momentum=0.8", "data.train.excluded=null"])
    assert (config.seed, config.optim.steps, config.optim.lr) == (1, 7, 0.5)
    assert config.optim.momentum == 0.8
    assert config.data.train.excluded is None


def test_a_dumped_config_reads_back_equal() -> None:
    config = load_config("demo/ava", ["optim.steps=3"])
    assert parse_config(dump_config(config), "somewhere") == config


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optim.stps=3", "optim.stps=3: no such setting; did you mean 'optim.steps'?"),
        ("modle.alpha=3", "modle.alpha=3: modle: no such setting; did you mean 'model'?"),
        ("optim.steps=many", "optim.steps=many: Input should be a valid integer"),
        ("optim.steps=0", "optim.steps=0: Input should be greater than 0"),
        ("optim=3", "optim=3: expected settings, got 3"),
        ("optim.steps", "optim.steps: expected key.path=value"),
        ("seed=[1", "seed=[1: expected a YAML value"),
        ("model.depths=[1, 2]", "model.depths"),
    ],
)
def test_a_bad_override_is_named(override: str, message: str) -> None:
    with pytest.raises(InputError, match="^" + re.escape(override)) as caught:
        load_config("demo/ava", [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "optim: {stps: 3}",
            "leaf.yaml: optim.stps: no such setting; did you mean 'optim.steps'?",
        ),
        ("optim: {steps: x}", "leaf.yaml: optim.steps: Input should be a valid integer"),
        ("seed: 1\nseed: [", "leaf.yaml:"),
        ("- 1", "leaf.yaml: expected settings"),
        ("_BASE_: nowhere.yaml", "leaf.yaml: _BASE_: nowhere: no such config file or recipe"),
        ("_BASE_: leaf.yaml", "leaf.yaml: _BASE_: leads back to itself"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "leaf.yaml").write_text(text)
    with pytest.raises(InputError) as caught:
        load_config(tmp_path / "leaf.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_in_a_base_names_the_base(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("seed: -1\n")
    (tmp_path / "leaf.yaml").write_text("_BASE_: base.yaml\n")
    with pytest.raises(InputError, match=r"base\.yaml: seed: "):
        load_config(tmp_path / "leaf.yaml")


@pytest.mark.parametrize("name", ["demo/av", "../setup", "/nowhere/x.yaml"])
def test_an_unknown_recipe_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="no such config file or recipe"):
        load_config(name)


def test_every_setting_is_described() -> None:
    dumped = yaml.safe_load(dump_config(Config()))
    assert {"model", "data", "augment", "optim", "evaluation", "proposer"} <= set(dumped)
