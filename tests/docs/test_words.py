"""Names that the documentation tells exist: settings, recipes, fields of files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from ava_detect.config import Config, load_config
from ava_detect.config.loader import find_recipe
from tests.docs.reading import blocks_of, markdown, read

PAGES = [page for page in markdown() if page != "CHANGELOG.md"]
SECTIONS = [name for name, value in Config() if isinstance(value, BaseModel)]
SETTING = re.compile(rf"(?<![\w./])((?:{'|'.join(SECTIONS)})\.[A-Za-z][\w.]*\w)(?![\w(/])")


def settings_of(text: str) -> set[str]:
    """What looks like a setting within backticks."""
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S))
    return {name for span in spans for name in SETTING.findall(span)}


@pytest.mark.parametrize("page", PAGES)
def test_settings_exist(page: str) -> None:
    known = load_config("ava/slowfast_r50_8x8").model_dump()
    for name in settings_of(read(page)):
        value = known
        if name.endswith((".py", ".md", ".csv", ".json", ".onnx", ".pt", ".pt2")):
            continue
        for part in name.replace("SPLIT", "train").split("."):
            assert part in value, f"{page}: {name}"
            value = value[part]


def test_there_are_settings() -> None:
    text = "`data.roots=ava`, `optim.steps` and data.nothing"
    assert settings_of(text) == {"data.roots", "optim.steps"}
    assert len(settings_of(read("docs/data.md"))) > 12


@pytest.mark.parametrize("page", PAGES)
def test_recipes_exist(page: str) -> None:
    for name in re.findall(r"`((?:ava|demo|kinetics)/\w+)(?=[` ])", read(page)):
        assert find_recipe(name).is_file(), f"{page}: {name}"


def test_fields_of_the_files(template: Path) -> None:
    """What the page on formats shows of a run's files is in them."""
    run = template / "runs" / "first"
    (shown,) = [
        json.loads(block.text)
        for block in blocks_of("docs/formats.md")
        if block.language == "json" and "mAP" in block.text
    ]
    written = json.loads((run / "metrics.json").read_text())
    assert set(written) == {*shown, "split", "boxes", "videos", "skipped"}
    assert set(written["classes"][0]) == set(shown["classes"][0])
    assert set(written["counts"]) >= set(shown["counts"])
    assert set(written["inputs"][0]) == set(shown["inputs"][0])
    (paragraph,) = re.findall(
        r"^\*\*`metrics.jsonl`.*?(?=\n\n)", read("docs/formats.md"), re.M | re.S
    )
    line = json.loads((run / "metrics.jsonl").read_text().splitlines()[0])
    assert set(line) == set(re.findall(r"`(\w+)`", paragraph)) - {"val_"}
    for name in ("config.yaml", "data.json", "starts.json", "final.pt", "preview.png"):
        assert (run / name).is_file(), name
