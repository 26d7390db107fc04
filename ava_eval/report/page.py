"""HTML files that need no other: templates with their style and script put in."""

from __future__ import annotations

import math
import platform
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

PACKAGES = ("ava-detect", "numpy")


@cache
def _environment(*packages: str) -> Environment:
    loaders = [PackageLoader(package) for package in packages]
    environment = Environment(
        loader=ChoiceLoader([*loaders, PackageLoader("ava_eval.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        decimals=_decimals, signed=_signed, percent=_percent, many=_many, digits=_digits
    )
    return environment


def render(template: str, *packages: str, **values: Any) -> str:
    """Fill a template of this package, or of one of ``packages`` with a folder ``templates``."""
    return _environment(*packages).get_template(template).render(**values)


def write_page(path: Path, html: str) -> None:
    """Write a page; names that are no text in any coding must not stop it."""
    path.write_text(html, encoding="utf-8", errors="backslashreplace")


def versions(*more: str) -> dict[str, str]:
    """The versions of what computed a page."""
    found = {"python": platform.python_version()}
    for name in (*PACKAGES, *more):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # run from a checkout, not installed
            found[name] = "not installed"
    return found


def _decimals(value: float | None, places: int = 3) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:.{places}f}"


def _digits(value: float) -> str:
    """Three digits that say something, as of a threshold close to 0."""
    return f"{value:.3g}"


def _signed(value: float | None, places: int = 3) -> str:
    return "–" if value is None or math.isnan(value) else f"{value:+.{places}f}".replace("-", "−")


def _percent(value: float | None) -> str:
    """A share of one as the width of a bar."""
    return "0" if value is None or math.isnan(value) else f"{min(max(value, 0), 1) * 100:.2f}"


def _many(value: int) -> str:
    """Digits in groups of three, apart by narrow spaces."""
    return f"{value:,}".replace(",", "\u202f")
