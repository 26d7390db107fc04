"""The documentation's Markdown, taken apart: fenced blocks, shell statements, links, anchors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHELL = ("", "sh")
_FENCE = re.compile(r'```(\w*)(?: title="([\w./-]+)")?')
_LOOP = re.compile(r"(for|while) .*;\s*do .*;\s*done( .*)?")


@dataclass(frozen=True)
class Block:
    """A fenced block; ``line`` is that of its first line, ``title`` the file that it shows."""

    page: str
    line: int
    language: str
    title: str | None
    text: str


@dataclass(frozen=True)
class Statement:
    """What is typed at once: a line of a shell block, with those that continue it."""

    place: str  # PAGE:LINE
    text: str

    @property
    def is_loop(self) -> bool:
        """A loop of the shell, on one line."""
        return _LOOP.fullmatch(self.text) is not None


def markdown() -> list[str]:
    """All Markdown files of the repository, as paths from its root."""
    skipped = {"runs", "build", "dist", "node_modules"}
    paths = (path.relative_to(ROOT) for path in ROOT.rglob("*.md"))
    return sorted(
        str(path)
        for path in paths
        if not any(part.startswith(".") or part in skipped for part in path.parts[:-1])
    )


def blocks_of(page: str, text: str | None = None) -> list[Block]:
    """The fenced blocks of a page, in order."""
    lines = (read(page) if text is None else text).splitlines()
    found, start = [], None
    for number, line in enumerate(lines, 1):
        if start is None and line.startswith("```"):
            start = number
        elif start is not None and line == "```":
            fence = _FENCE.fullmatch(lines[start - 1])
            assert fence, f"{page}:{start}: {lines[start - 1]!r}: no fence that the tests know"
            body = "".join(f"{inside}\n" for inside in lines[start : number - 1])
            found.append(Block(page, start + 1, fence[1], fence[2], body))
            start = None
    assert start is None, f"{page}:{start}: a fence that does not end"
    return found


def statements_of(block: Block) -> Iterator[Statement]:
    """The statements of a shell block, without comments and blank lines."""
    begun, first = "", 0
    for number, line in enumerate(block.text.splitlines(), block.line):
        code = re.sub(r"(^|\s+)#.*", "", line).strip()
        first = first if begun else number
        begun = f"{begun} {code}".strip()
        if begun.endswith("\\"):
            begun = begun[:-1].rstrip()
        elif begun:
            yield Statement(f"{block.page}:{first}", re.sub(r"  +", " ", begun))
            begun = ""
    assert not begun, f"{block.page}:{first}: a command that does not end"


def links_of(text: str) -> Iterator[tuple[int, str]]:
    """Line and target of every link and image of a page."""
    for match in re.finditer(r"\]\(([^()\s]+)\)", prose_of(text)):
        yield text.count("\n", 0, match.start()) + 1, match[1]


def prose_of(text: str) -> str:
    """A page's text without fenced code; backticks may stand inside a link's words."""
    # As long as before, so that lines are counted in either.
    return re.sub(
        r"^```.*?^```$",
        lambda m: re.sub(r"[^\n]", " ", m[0]),
        text,
        flags=re.M | re.S,
    )


def anchors_of(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    found: dict[str, int] = {}
    anchors = set()
    for heading in re.findall(r"^#{1,6} +(.*?) *#*$", prose_of(text), re.M):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        times = found[slug] = found.get(slug, -1) + 1
        anchors.add(f"{slug}-{times}" if times else slug)
    return anchors


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")
