"""Completion of `ava-detect` in a shell: also recipes for CONFIG, and settings."""

from __future__ import annotations

import argparse

from ava_detect.config import recipe_names, setting_names
from ava_eval.completion import actions
from ava_eval.completion import completion as plain_completion

# Bash takes `optim.steps=5` for three words. Names of files are quoted as such if the function's
# name has `_file` in it.
_BASH = """\
_ava_detect_config_files() {
  compgen -W "%(recipes)s" -- "$1"
  compgen -f -- "$1"
}
_ava_detect_setting() {
  if [[ $1 == "=" ]]; then compgen -f
  elif [[ ${COMP_WORDS[COMP_CWORD-1]} == "=" ]]; then compgen -f -- "$1"
  else compgen -W "%(settings)s" -- "$1"; fi
}
"""
# A setting's value follows without a space.
_BASH_END = """
_ava_detect() {
  _shtab_ava_detect "$@"
  if [[ ${COMPREPLY[0]} == *= ]]; then compopt -o nospace 2>/dev/null
  elif [[ ${COMP_WORDS[COMP_CWORD-1]}${COMP_WORDS[COMP_CWORD]} == *=* ]]; then
    compopt -o filenames 2>/dev/null
  fi
  return 0
}
complete -o bashdefault -F _ava_detect ava-detect
"""
_ZSH = """\
_ava_detect_config_files() {
  compadd "$@" -- %(recipes)s
  _files "$@"
}
_ava_detect_setting() {
  if compset -P '*='; then _files
  else compadd "$@" -S '' -- %(settings)s; fi
}
"""


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script that a shell evaluates."""
    for action in actions(parser):
        for dest, function in (
            ("config", "_ava_detect_config_files"),
            ("overrides", "_ava_detect_setting"),
        ):
            if action.dest == dest:
                action.complete = dict.fromkeys(("bash", "zsh"), function)  # type: ignore[attr-defined]
    words = {
        "recipes": " ".join(recipe_names()),
        "settings": " ".join(f"{name}=" for name in setting_names()),
    }
    preamble = (_BASH if shell == "bash" else _ZSH) % words
    script = plain_completion(parser, shell, preamble)
    return script + _BASH_END if shell == "bash" else script
