"""Completion of `ava-detect` in a shell: also recipes for CONFIG, and settings."""

from __future__ import annotations

import argparse

from ava_detect.config import recipe_names, setting_choices, setting_names
from ava_detect.download.catalogue import GROUPS
from ava_eval.completion import actions
from ava_eval.completion import completion as plain_completion

# What follows `SETTING=` where it is one of a few words; in either shell.
_CHOICES = """\
_ava_detect_choices() {
  case $1 in
%(choices)s
  esac
}
"""
# Bash takes `optim.steps=5` for three words. Names of files are quoted as such if the function's
# name has `_file` in it.
_BASH = """\
_ava_detect_config_files() {
  compgen -W "%(recipes)s" -- "$1"
  compgen -f -- "$1"
}
_ava_detect_groups() {
  compgen -W "%(groups)s" -- "$1"
}
_ava_detect_name_before_equals() {
  local place=$COMP_CWORD
  if [[ ${COMP_WORDS[place]} != "=" ]]; then place=$((place - 1)); fi
  if [[ ${COMP_WORDS[place]} == "=" ]]; then echo "${COMP_WORDS[place-1]}"; fi
}
_ava_detect_setting() {
  local name=$(_ava_detect_name_before_equals)
  if [[ -z $name ]]; then compgen -W "%(settings)s" -- "$1"; return; fi
  local choices=$(_ava_detect_choices "$name")
  if [[ -n $choices ]]; then compgen -W "$choices" -- "${1#=}"
  else compgen -f -- "${1#=}"; fi
}
"""
# A setting's value follows without a space. A folder `train` must not make `split=train/`.
_BASH_END = """
_ava_detect() {
  _shtab_ava_detect "$@"
  local name=$(_ava_detect_name_before_equals)
  if [[ ${COMPREPLY[0]} == *= ]]; then compopt -o nospace 2>/dev/null
  elif [[ -n $name && -z $(_ava_detect_choices "$name") ]]; then
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
_ava_detect_groups() {
  compadd "$@" -- %(groups)s
}
_ava_detect_setting() {
  local -a values
  values=($(_ava_detect_choices "${PREFIX%%%%=*}"))
  if ! compset -P '*='; then compadd "$@" -S '' -- %(settings)s
  elif (( $#values )); then compadd "$@" -a values
  else _files; fi
}
"""


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """The script that a shell evaluates."""
    for action in actions(parser):
        for dest, function in (
            ("config", "_ava_detect_config_files"),
            ("overrides", "_ava_detect_setting"),
            ("what", "_ava_detect_groups"),
        ):
            if action.dest == dest:
                action.complete = dict.fromkeys(("bash", "zsh"), function)  # type: ignore[attr-defined]
    choices = setting_choices().items()
    words = {
        "recipes": " ".join(recipe_names()),
        "settings": " ".join(f"{name}=" for name in setting_names()),
        "groups": " ".join(GROUPS),
        "choices": "\n".join(f"    {name}) echo {' '.join(values)} ;;" for name, values in choices),
    }
    preamble = (_CHOICES + (_BASH if shell == "bash" else _ZSH)) % words
    script = plain_completion(parser, shell, preamble)
    return script + _BASH_END if shell == "bash" else script
