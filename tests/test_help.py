"""The help of every command of both programs: an example that works, a list that reads well."""

from __future__ import annotations

import argparse
import shlex

import pytest

from ava_detect.cli import parse
from ava_detect.config import load_config
from ava_detect.parsers import build_parser
from ava_eval.cli import build_parser as build_scorer
from ava_eval.parser import CommandParser

PROGRAMS = {"ava-detect": build_parser, "ava-eval": build_scorer}


def commands_of(parser: CommandParser) -> dict[str, CommandParser]:
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return dict(commands.choices)


def parsers() -> list[tuple[str, str, CommandParser]]:
    """Program, command ("" for the program itself) and parser."""
    found = []
    for program, build in PROGRAMS.items():
        parser = build()
        found.append((program, "", parser))
        found += [(program, name, command) for name, command in commands_of(parser).items()]
    return found


@pytest.mark.parametrize(("program", "command", "parser"), parsers())
def test_help_ends_with_an_example_that_parses(
    program: str, command: str, parser: CommandParser
) -> None:
    lines = parser.format_help().splitlines()
    examples = [line for line in lines if "example: " in line]
    assert examples == lines[-1:]
    line = examples[0].removeprefix("example: ")
    if line.startswith("eval "):  # of completion: what is inside is the command
        line = line.removeprefix('eval "$(').removesuffix(')"')
    words = shlex.split(line)
    assert words[0] == program
    assert words[1] == (command or words[1])
    parse_words = parse if program == "ava-detect" else build_scorer().parse_args
    arguments = parse_words(words[1:])
    if getattr(arguments, "config", None) is not None:
        load_config(arguments.config, arguments.overrides)  # the recipe and the settings exist
    for name in ("evaluate", "export", "annotate", "deploy"):
        assert command != name or "weights=" in line


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_command_is_listed_on_one_line(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    parser = PROGRAMS[program]()
    lines = parser.format_help().splitlines()
    for name in commands_of(parser):
        place = next(i for i, line in enumerate(lines) if line.split()[:1] == [name])
        assert len(lines[place].split()) > 2
        following = lines[place + 1]
        assert not following or following[4] != " "


def test_the_list_says_how_settings_are_shown() -> None:
    assert "--show-config" in build_parser().format_help()
    with_recipe = [
        name for name, p in commands_of(build_parser()).items() if "CONFIG [key" in p.format_usage()
    ]
    for name in with_recipe:
        assert "--show-config" in commands_of(build_parser())[name].format_usage()
    assert "annotate" in with_recipe
