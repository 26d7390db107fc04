"""The command lines' parser: help that ends with an example, errors that say what to do next."""

from __future__ import annotations

import argparse
import difflib
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from typing import Any, NoReturn

EXAMPLE = "example: "


class CommandParser(argparse.ArgumentParser):
    """Says what is wrong in one line, like every other error of ours.

    ``example`` is a whole command line; the help ends with it.
    """

    def __init__(self, *, example: str = "", epilog: str = "", **settings: Any) -> None:
        self.example = example
        lines = [epilog, f"{EXAMPLE}{example}" if example else ""]
        settings.setdefault("formatter_class", _HelpFormatter)
        super().__init__(epilog="\n".join(filter(None, lines)) or None, **settings)

    def error(self, message: str) -> NoReturn:
        """Leave with exit code 2."""
        _, required, names = message.partition("the following arguments are required: ")
        if required:
            message = f"expected {names}"
            if self.example:
                message += f", as in `{self.example}`"
        self.exit(2, f"error: {message} (see '{self.prog} --help')\n")

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Refuse unknown options here, where the command and its options are known."""
        words = list(sys.argv[1:] if args is None else args)
        # (Before anything else, lest a misspelt option be told as one that is missing.)
        has_commands = any(action.nargs == argparse.PARSER for action in self._actions)
        own = takewhile(lambda word: word.startswith("-") or not has_commands, words)
        for word in takewhile(lambda word: word != "--", own):
            if word.startswith("--") and not self._is_option(word):
                self._refuse_option(word)
        arguments, rest = super().parse_known_args(words, namespace)
        for word in rest:
            if word.startswith("-"):
                self._refuse_option(word)
        return arguments, rest

    def _is_option(self, word: str) -> bool:
        """Whether a word is a long option, or a beginning of one."""
        name = word.partition("=")[0]
        return any(option.startswith(name) for option in self._options())

    def _options(self) -> list[str]:
        return [option for action in self._actions for option in action.option_strings]

    def _refuse_option(self, word: str) -> NoReturn:
        name = word.partition("=")[0]
        hint = did_you_mean(name, self._options())
        if not hint and any(action.dest == "overrides" for action in self._actions):
            setting = word.lstrip("-")
            setting += "" if "=" in setting else "=VALUE"
            hint = f"; settings are written without dashes: {setting}"
        self.error(f"{name}: no such option{hint}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As argparse's own, with the nearest choice where there is one."""
        if action.choices is None or value in action.choices:
            return
        choices = [str(choice) for choice in action.choices]
        hint = did_you_mean(str(value), choices)
        if action.nargs == argparse.PARSER:
            self.error(f"{value}: no such command{hint or '; there are ' + ', '.join(choices)}")
        expected = f"expected one of {', '.join(choices)}, got {value!r}{hint}"
        raise argparse.ArgumentError(action, expected)


class _HelpFormatter(argparse.HelpFormatter):
    """Wraps all but examples, which are there to be copied."""

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if action.nargs == argparse.PARSER:  # commands are indented, for which argparse
            self._action_max_length += self._indent_increment  # leaves no room

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        wrap = super()._fill_text
        return "\n".join(
            line if line.startswith(EXAMPLE) else wrap(line, width, indent)
            for line in text.splitlines()
        )


def number(
    kind: Callable[[str], float], least: float, most: float, what: str
) -> Callable[[str], float]:
    """The type of an option that takes a number from ``least`` to ``most`` of ``what``."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"expected {least:g} to {most:g} {what}, got {text!r}")
        return value

    return read


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of an error's line: the nearest of the known words, or nothing."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""
