"""Every command of the documentation runs as it is written, in a small world.

Settings are put behind a command to make models tiny and runs short; downloads come from this
machine. What cannot be run is in ``excluded.py``, with its reason.
"""

from __future__ import annotations

import functools
import json
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.distributed.run import get_args_parser

from ava_detect.cli import main as detect
from ava_detect.config import load_config
from ava_detect.synthetic import make_world
from ava_eval import read_annotations, read_label_map
from ava_eval.cli import main as score
from tests.docs.excluded import EXCLUDED
from tests.docs.reading import (
    ROOT,
    SHELL,
    Block,
    Statement,
    blocks_of,
    markdown,
    read,
    statements_of,
)
from tests.docs.world import BOXES, QUICK, SMALL_DETECTOR, TINY_MODEL

PAGES = [page for page in markdown() if blocks_of(page)]
FROM_NOTHING = ("README.md", "docs/ava.md", "docs/quickstart.md", "docs/your_data.md")
"""Pages that say where runs and person boxes come from; the others take them as given."""
AS_THEY_ARE = ("completion", "describe", "ensemble", "report-training")
"""Commands that take no settings, or need none to be quick."""
SHELL_WORDS = ("for", "while")
TARGETS = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.M)


@dataclass
class Session:
    """Somebody who types what a page says."""

    page: str
    server: str
    is_patient: bool
    variables: dict[str, str] = field(default_factory=dict)

    def do(self, block: Block) -> None:
        """Run a block, or check what it shows."""
        if block.title is not None:
            Path(block.title).parent.mkdir(parents=True, exist_ok=True)
            Path(block.title).write_text(block.text, encoding="utf-8")
        if block.language in SHELL:
            for statement in statements_of(block):
                if statement.text not in EXCLUDED:
                    self.type(statement)
        elif block.language == "python":
            if "model.onnx" in block.text and not self.is_patient:
                return
            names = {"__name__": "__main__", **python_names()}
            exec(compile("\n" * (block.line - 1) + block.text, block.page, "exec"), names)
        else:
            check_example(block)

    def type(self, statement: Statement) -> None:
        """Run one statement of the shell; anything but success fails the test."""
        if assigned := re.fullmatch(r'([A-Z]\w*)="(.*)"', statement.text):
            self.variables[assigned[1]] = self.expanded(assigned[2])
            return
        words = shlex.split(self.expanded(statement.text))
        match words:
            case [first, *_] if first in SHELL_WORDS:
                done = subprocess.run(["bash", "-euc", statement.text], check=False)
                code: Any = done.returncode
            case ["make", target, *variables]:
                assert target in TARGETS, f"{statement.place}: make has no target {target}"
                known = (ROOT / "Makefile").read_text()
                assert all(f"\n{word.split('=')[0]} ?=" in known for word in variables)
                code = 0
            case ["torchrun", *rest]:
                options = get_args_parser().parse_args(rest)
                assert options.module, statement.place
                assert options.training_script == "ava_detect", statement.place
                code = self.detect(options.training_script_args)
            case ["ava-detect", *rest]:
                code = self.detect(rest)
            case ["ava-eval", *rest]:
                code = score(rest)
            case _:
                pytest.fail(f"{statement.place}: {statement.text}: neither run nor in EXCLUDED")
        assert code == 0, f"{statement.place}: {statement.text}: exit code {code}"

    def expanded(self, text: str) -> str:
        """The text with the page's variables in it, split into words later, as a shell does."""
        return re.sub(r"\$([A-Z]\w*)", lambda m: self.variables[m[1]], text)

    def detect(self, words: list[str]) -> int:
        """Run `ava-detect`, with settings that make it quick behind what is written."""
        if words[0] == "download":
            return detect([*words, "--mirror", self.server])
        if words[0] in AS_THEY_ARE or (words[0] == "convert" and "--config" not in words):
            return detect(words)
        recipe_is_ours = any(word.startswith(("ava/", "kinetics/", "large")) for word in words)
        quick = [*QUICK, *(TINY_MODEL if recipe_is_ours else ())]
        quick += [] if self.page in FROM_NOTHING else BOXES
        said = {word.partition("=")[0] for word in words}
        if words[0] == "deploy":
            said.add("data.num_frames")
            quick += [] if self.is_patient else ["--show-config"]
        extra = [word for word in quick if word.partition("=")[0] not in said]
        return detect([*words, *extra, *SMALL_DETECTOR])


def python_names() -> dict[str, Any]:
    """What a page's Python assumes to be there."""
    return {
        "clip": np.zeros((8, 64, 96, 3), np.uint8),
        "boxes": np.array([[10, 10, 40, 60]], np.float32),
    }


def check_example(block: Block) -> None:
    """An example of a file is one."""
    example = Path("example")
    example.write_text(block.text, encoding="utf-8")
    if block.language == "json":
        json.loads(block.text)
    elif block.language == "yaml":
        load_config(example)
    elif block.language == "csv":
        read_annotations(example, strict=False)
    elif block.language == "pbtxt":
        read_label_map(example)
    else:
        assert block.language == "text", f"{block.page}:{block.line}: {block.language}?"
        assert not re.search(r"^(ava-|python |make )", block.text, re.M), block


DEPLOYS = [page for page in PAGES if any("-detect deploy" in b.text for b in blocks_of(page))]


@pytest.mark.parametrize(
    ("page", "is_patient"),
    [
        *((page, False) for page in PAGES),  # of `deploy`, which takes a minute, the words alone
        *(pytest.param(page, True, marks=pytest.mark.slow) for page in DEPLOYS),
    ],
)
def test_what_a_page_says_runs(
    page: str,
    is_patient: bool,
    template: Path,
    server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = tmp_path / "world"
    shutil.copytree(template, world)
    monkeypatch.chdir(world)
    monkeypatch.setenv("no_proxy", "*")
    small = {"train_videos": 2, "val_videos": 2, "test_videos": 1, "train_clips": 0, "val_clips": 0}
    made = functools.partial(make_world, **small, seconds=4, workers=1)
    monkeypatch.setattr("ava_detect.commands.demo.make_world", made)
    blocks = blocks_of(page)
    if page in FROM_NOTHING:
        shutil.rmtree("runs")
    if any("ava-detect download" in block.text for block in blocks):
        shutil.rmtree("ava")
    session = Session(page, server, is_patient)
    for block in blocks:
        session.do(block)
    if page in FROM_NOTHING:
        assert [path for path in promised(page) if not Path(path).exists()] == []


def promised(page: str) -> set[str]:
    """The files below `runs` that a page says its commands write."""
    text = read(page)
    paths = set(re.findall(r"`(runs/[\w./-]+)`", text))
    if folders := re.findall(r"Everything is in `(runs/\w+)`", text):
        rows = re.findall(r"^\| (`.*?) \|", text, re.M)
        paths |= {f"{folders[0]}/{name}" for row in rows for name in re.findall(r"`(.+?)`", row)}
    return paths


@pytest.mark.parametrize(
    "command",
    [
        *("ava-detect describe ava/slowfast_r50_8x9", "ava-eval score -g nothing.csv -l a -d b"),
        *(
            "make dmeo",
            "make demo SEDE=1",
            "ava-detcet demo",
            "for x in 1; do cat nothing.csv; done",
            "ava-detect demo $X",
        ),
        *("torchrun --nproc-per-node 4 ava_detect train demo/ava", "ava-detect train --setps 3"),
    ],
)
def test_a_wrong_command_is_found(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    session = Session("docs/x.md", "http://127.0.0.1:1", is_patient=False)
    (block,) = blocks_of("docs/x.md", f"```\n{command}\n```\n")
    with pytest.raises((AssertionError, KeyError, SystemExit, pytest.fail.Exception)):
        session.do(block)


def test_what_is_excluded_is_still_said() -> None:
    blocks = [block for page in PAGES for block in blocks_of(page) if block.language in SHELL]
    said = {statement.text for block in blocks for statement in statements_of(block)}
    assert set(EXCLUDED) - said == set()
    assert all(EXCLUDED.values())


def test_what_is_excluded_names_what_exists() -> None:
    for command in EXCLUDED:
        for tool in re.findall(r"\btools/\w+\.\w+", command):
            assert (ROOT / tool).is_file(), command
        for extra in re.findall(r"ava-detect\[(\w+)\]", command):
            assert f"\n{extra} =\n" in (ROOT / "setup.cfg").read_text(), command
