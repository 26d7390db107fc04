"""Completion of a command line in a shell, from its parser."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from ava_eval.errors import InputError

SHELLS = ("bash", "zsh")


def completion(parser: argparse.ArgumentParser, shell: str, preamble: str = "") -> str:
    """The script that a shell evaluates; ``preamble`` defines functions that actions name.

    An action may have an attribute ``complete``: the name of such a function for each shell. Other
    words complete to their choices, or to files.
    """
    try:
        import shtab
    except ImportError:
        raise InputError("completion needs shtab: python -m pip install shtab") from None
    for action in actions(parser):
        takes_words = action.nargs != 0 and action.choices is None
        if takes_words and action.type in (None, Path) and not hasattr(action, "complete"):
            kind = shtab.DIRECTORY if action.metavar == "DIR" else shtab.FILE
            action.complete = kind  # type: ignore[attr-defined]
    script = shtab.complete(parser, shell, preamble=preamble)
    # zsh would end with the first of several words.
    return re.sub(r'"\(\*\)::?', '"*:', script) if shell == "zsh" else script


def actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Every option and word of a parser and of its commands."""
    for action in parser._actions:
        yield action
        if action.nargs == argparse.PARSER and isinstance(action.choices, dict):
            for command in action.choices.values():
                yield from actions(command)
