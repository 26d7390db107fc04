"""The directions of imports, and what a command line may load."""

from __future__ import annotations

import ast
import configparser
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EVERYWHERE = {"ava_eval.errors", "ava_eval.atomic"}
# What each part may import of ours, besides itself and the two modules above.
DIRECTIONS = {
    "ava_eval": set(),
    "ava_detect.allocator": set(),
    "ava_detect.boxes": set(),
    "ava_detect.timebase": set(),
    "ava_detect.video_index": set(),
    "ava_detect.safe_pickle": set(),
    "ava_detect.clips": {"ava_detect.video_index"},
    "ava_detect.config": set(),
    "ava_detect.data": {"ava_detect.boxes", "ava_detect.clips", "ava_detect.timebase", "ava_eval"},
    "ava_detect.doctor": {
        "ava_detect.clips",
        "ava_detect.timebase",
        "ava_detect.proposals",
        "ava_eval",
    },
    "ava_detect.download": {"ava_eval"},
    "ava_detect.proposals": {
        "ava_detect.boxes",
        "ava_detect.clips",
        "ava_detect.timebase",
        "ava_detect.inference.winograd",
        "ava_detect.models.precision",
        "ava_detect.safe_pickle",
        "ava_eval",
    },
    "ava_detect.models": {"ava_detect.boxes", "ava_detect.safe_pickle"},
    "ava_detect.engine": {"ava_detect.data.batch", "ava_detect.models", "ava_eval"},
    "ava_detect.inference": {"ava_detect.data.batch", "ava_detect.models", "ava_eval"},
    "ava_detect.visualize": {"ava_detect.boxes", "ava_detect.clips", "ava_eval"},
    "ava_detect.synthetic": {"ava_detect.timebase", "ava_eval"},
    "ava_detect.prepare": {"ava_detect.clips", "ava_detect.timebase"},
    "ava_detect.assemble": {"ava_detect", "ava_eval"},
    "ava_detect.pretrained": {"ava_detect", "ava_eval"},
    "ava_detect.commands": {"ava_detect", "ava_eval"},
    "ava_detect.cli": {"ava_detect.allocator", "ava_detect.parsers"},
    "ava_detect.parsers": {
        "ava_detect.completion",
        "ava_detect.config",
        "ava_detect.dispatch",
        "ava_eval.parser",
    },
    "ava_detect.completion": {
        "ava_detect.config",
        "ava_detect.download.catalogue",
        "ava_eval.completion",
    },
    "ava_detect.dispatch": {"ava_detect.config", "ava_detect.commands"},
    "ava_detect.__main__": {"ava_detect.cli"},
    "ava_detect.__init__": {"ava_detect.pretrained"},
}
KNOW_CONFIG = (
    *("ava_detect.config", "ava_detect.assemble", "ava_detect.pretrained"),
    *("ava_detect.commands", "ava_detect.parsers", "ava_detect.completion", "ava_detect.dispatch"),
)


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def imports_of(path: Path) -> set[str]:
    """Modules of ours that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return {name for name in found if name.split(".")[0] in ("ava_detect", "ava_eval")}


def part_of(module: str) -> str:
    matches = [part for part in DIRECTIONS if is_within(module, part)]
    assert matches, f"{module} belongs to no part of the architecture"
    return max(matches, key=len)


MODULES = sorted(
    p for package in ("ava_eval", "ava_detect") for p in ROOT.glob(f"{package}/**/*.py")
)


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_imports_point_one_way(path: Path) -> None:
    module = module_name(path)
    part = part_of(module)
    allowed = {part, *DIRECTIONS[part], *EVERYWHERE}
    wrong = {
        name for name in imports_of(path) if not any(is_within(name, other) for other in allowed)
    }
    assert not wrong, f"{module} must not import {wrong}"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_config_stops_at_the_door(path: Path) -> None:
    module = module_name(path)
    if not any(is_within(module, door) for door in KNOW_CONFIG):
        assert not {name for name in imports_of(path) if is_within(name, "ava_detect.config")}


@pytest.mark.parametrize("module", ["ava_eval", "ava_eval.frame_map", "ava_detect.cli"])
def test_light_imports_load_no_torch(module: str) -> None:
    code = f"import sys, {module}; print({{'torch', 'detectron2', 'cv2'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_every_package_is_in_the_wheel() -> None:
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = set(setup["options"]["packages"].split())
    folders = {module_name(path.parent / path.parent.name).rsplit(".", 1)[0] for path in MODULES}
    assert listed == folders | {"ava_detect.recipes"}
