"""Parameters and multiply-adds of every model of the paper, ours beside the paper's, as Markdown.

python tools/paper_table.py
"""

from __future__ import annotations

from ava_detect.commands.describe import PAPER_SIZE, facts_of
from ava_detect.config import Config, load_config
from ava_detect.models.paper import PAPER_MODELS, PaperModel

RECIPES = {
    ("slowfast", False): "kinetics/slowfast_r50_4x16",
    ("slowfast", True): "kinetics/slowfast_r50_8x8",
    ("slow", False): "kinetics/slow_r50_4x16",
    ("fast", False): "kinetics/fast_r50_4x16",
}


def main() -> None:
    print("| table | model | multiply-adds, G | paper | | parameters, M | paper |")
    print("|---|---|---|---|---|---|---|")
    for row in PAPER_MODELS:
        facts = facts_of(config_of(row), PAPER_SIZE)
        gmacs, params = facts["gmacs"]["total"], facts["params"] / 1e6
        print(
            f"| {row.table} | {row.name} | {gmacs:.2f} | {row.gmacs} |"
            f" {gmacs / row.gmacs - 1:+.1%} | {params:.2f} | {row.params or ''} |"
        )


def config_of(row: PaperModel) -> Config:
    """The recipe of a row of the paper, with the settings that set the row apart."""
    settings = dict(row.settings)
    deep = len(settings.get("depths", ())) and settings["depths"][2] == 23
    if deep:
        name = f"kinetics/slowfast_r101_{'8x8' if row.num_frames == 32 else '16x8'}"
        name += "_nl" if "nonlocal_blocks" in settings else ""
        return load_config(name)
    config = load_config(RECIPES[settings.get("pathways", "slowfast"), "alpha" in settings])
    return config.model_copy(update={"model": config.model.model_copy(update=settings)})


if __name__ == "__main__":
    main()
