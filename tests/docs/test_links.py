"""Every link of the Markdown files leads somewhere in the repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.reading import ROOT, anchors_of, links_of, markdown, read


def dead_links(page: str, text: str) -> list[str]:
    """The relative links of a page that lead to no file, or to no heading of it."""
    dead = []
    for line, link in links_of(text):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (ROOT / page).parent / name if name else ROOT / page
        inside = target.resolve().is_relative_to(ROOT)
        if not (inside and target.exists()):
            dead.append(f"{page}:{line}: {link}: no such file")
        elif anchor and anchor not in anchors_of(target.read_text(encoding="utf-8")):
            dead.append(f"{page}:{line}: {link}: no such heading")
    return dead


@pytest.mark.parametrize("page", markdown())
def test_links_lead_somewhere(page: str) -> None:
    assert dead_links(page, read(page)) == []


@pytest.mark.parametrize(
    "link",
    ["nowhere.md", "metric.md#nowhere", "#nowhere", "nothing.png", "../../outside.md", "../setup"],
)
def test_a_dead_link_is_found(link: str) -> None:
    assert len(dead_links("docs/data.md", f"# Data\n\n[a `word`]({link})\n")) == 1


def test_headings_become_anchors() -> None:
    text = "# `deploy`: the model\n\n```\n# no heading\n```\n\n## How fast\n\n## How fast\n"
    assert anchors_of(text) == {"deploy-the-model", "how-fast", "how-fast-1"}


def test_every_page_is_in_the_index() -> None:
    listed = {link for _, link in links_of(read("docs/README.md"))}
    pages = {Path(page).name for page in markdown() if page.startswith("docs/")}
    assert pages - listed == {"README.md"}


def test_the_prose_names_no_machine() -> None:
    for page in markdown():
        assert not re.search(r"(?<!\w)/(work|tmp|home|root)/", read(page)), page
