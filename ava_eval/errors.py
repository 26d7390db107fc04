"""The one exception a user's mistake raises."""

from __future__ import annotations

import difflib
from os import PathLike
from pathlib import Path


class InputError(ValueError):
    """Bad input: a file, a row, a setting. Its text is the one line that a command prints.

    It says where (file, line, column or the setting), what was expected and what to do. Commands
    print it after ``error: `` and exit with code 2; anything else that escapes is a defect of ours.
    """

    @classmethod
    def at(
        cls,
        path: str | PathLike[str],
        line: int | None,
        column: str | int | None,
        expected: str,
        got: object = None,
        remedy: str = "",
    ) -> InputError:
        """Build ``path:line: column NAME: expected ..., got ...; remedy``.

        ``line`` counts from 1; ``column`` is a name or a number counted from 1; ``got`` is quoted
        and shortened, so that a broken file cannot flood the terminal.
        """
        where = str(path) if line is None else f"{path}:{line}"
        if column is not None:
            where += f": column {column}"
        text = f"{where}: expected {expected}"
        if got is not None:
            shown = repr(got)
            text += f", got {shown if len(shown) <= 80 else shown[:77] + '...'}"
        return cls(f"{text}; {remedy}" if remedy else text)


def missing_hint(path: Path) -> str:
    """The end of an error's line: what a user may have meant by a file that is not there."""
    if not path.parent.is_dir():
        return f"; there is no folder {path.parent}"
    names = [other.name for other in path.parent.iterdir()]
    near = difflib.get_close_matches(path.name, names, n=1)
    if near:
        return f"; did you mean '{path.with_name(near[0])}'?"
    return "" if path.is_absolute() else f"; paths start at {Path.cwd()}"


def one_line(error: Exception) -> str:
    """What a command prints of an error: one line, without the numbers of the system's errors."""
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    return text.replace("\n", "\\n")
