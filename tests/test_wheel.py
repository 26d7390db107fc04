"""What travels in the wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of a copy of what git tracks; the checkout stays as it is."""
    copy, dist = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    subprocess.run(["git", "checkout-index", "--all", f"--prefix={copy}/"], cwd=ROOT, check=True)
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", dist, copy],
        check=True,
        capture_output=True,
    )
    return next(dist.glob("*.whl"))


@pytest.mark.slow
def test_recipes_and_label_maps_travel(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    recipes = {p.relative_to(ROOT / "configs") for p in (ROOT / "configs").glob("*/*.yaml")}
    packed = tmp_path / "ava_detect" / "recipes"
    assert {p.relative_to(packed) for p in packed.glob("*/*.yaml")} == recipes
    maps = {"ava_60.pbtxt", "ava_80.pbtxt", "demo.pbtxt", "README.md"}
    assert {p.name for p in (tmp_path / "ava_detect" / "label_maps").iterdir()} == maps
    command = [sys.executable, "-m", "ava_detect", "describe", "ava/slowfast_r50_8x8"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "33.829 M" in done.stdout
