"""Taking weights over into a model, and saying what became of each tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from ava_eval.errors import InputError

HEAD = "head."


@dataclass(frozen=True)
class LoadReport:
    """matched: names of tensors taken over. new: those of the model that the file does not have
    and that stay as they were. refused: those of the file that the model has no place for, each
    with the reason.
    """

    matched: list[str]
    new: list[str]
    refused: dict[str, str]

    def text(self) -> str:
        """One line, and one for each group of tensors that did not match."""
        lines = [f"{len(self.matched)} tensors taken over"]
        if self.new:
            lines.append(f"{len(self.new)} new: {_some(self.new)}")
        if self.refused:
            reasons = [f"{name} ({reason})" for name, reason in self.refused.items()]
            lines.append(f"{len(self.refused)} refused: {_some(reasons)}")
        return "\n".join(lines)


def _some(names: list[str], most: int = 4) -> str:
    rest = f", ... and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def start_from(
    model: nn.Module,
    state: Mapping[str, Tensor],
    path: str | Path,
    *,
    with_head: bool,
    partial: bool = False,
) -> LoadReport:
    """Take ``state``, read from ``path``, over into ``model`` as the start of a training.

    The backbone must match whole, unless ``partial``; the head stays new without ``with_head``, as
    for other classes. Raises InputError with the report where the backbone does not match.
    """
    wanted = model.state_dict()
    if not with_head:
        state = {name: tensor for name, tensor in state.items() if not name.startswith(HEAD)}
    refused = {}
    for name, tensor in state.items():
        if name not in wanted:
            refused[name] = "the model has no such tensor"
        elif tensor.shape != wanted[name].shape:
            ours, theirs = tuple(wanted[name].shape), tuple(tensor.shape)
            refused[name] = f"the model has {ours}, the file {theirs}"
    matched = [name for name in state if name not in refused]
    new = [name for name in wanted if name not in state or name in refused]
    report = LoadReport(matched, new, refused)
    amiss = [*refused, *(name for name in new if with_head or not name.startswith(HEAD))]
    if (amiss and not partial) or not matched:
        text = report.text().replace("\n", "; ")
        raise InputError(
            f"{path}: does not fit the model: {text}; change the model's settings, or take what"
            " fits with partial_weights=true"
        )
    model.load_state_dict({name: state[name] for name in matched}, strict=False)
    return report
