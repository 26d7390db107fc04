"""``ava-eval completion``: the script that makes a shell complete commands, options and files."""

from __future__ import annotations

import argparse

from ava_eval import completion as scripts


def completion(arguments: argparse.Namespace) -> int:
    """Print the script."""
    print(scripts.completion(arguments.program, arguments.shell))
    return 0
