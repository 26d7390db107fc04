"""The `ava-detect` command line."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence

from ava_detect.allocator import keep_freed_memory
from ava_detect.parsers import build_parser, stray_word
from ava_eval.errors import InputError, one_line

Arguments = argparse.Namespace


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (0, 2 on bad input, or what the command says)."""
    arguments = parse(argv)
    keep_freed_memory()
    rank = os.environ.get("RANK", "0")
    level = logging.INFO if rank == "0" else logging.ERROR
    logging.basicConfig(level=level, stream=sys.stderr, format="%(message)s")
    try:
        if not getattr(arguments, "parallel", False):
            _require_one_process()
        code = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads along, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except (InputError, OSError) as error:
        print(
            f"{'' if rank == '0' else f'process {rank}: '}error: {one_line(error)}", file=sys.stderr
        )
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return code or 0


def _require_one_process() -> None:
    """Several processes that know nothing of each other would all write into one run."""
    processes = os.environ.get("WORLD_SIZE", "1")
    if processes != "1":
        raise InputError(
            f"WORLD_SIZE: expected one process, got {processes}; only propose, train, evaluate and"
            " export work as several: start this command without torchrun"
        )


def parse(argv: Sequence[str] | None) -> Arguments:
    """Read a command line; settings may stand before and behind options."""
    parser = build_parser()
    arguments, rest = parser.parse_known_args(argv)
    if "overrides" in arguments:
        arguments.overrides += [word for word in rest if _is_setting(word)]
        rest = [word for word in rest if not _is_setting(word)]
    if rest and "overrides" in arguments:
        parser.error(stray_word(rest, arguments.overrides))
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return arguments


def _is_setting(word: str) -> bool:
    return "=" in word and not word.startswith("-")
