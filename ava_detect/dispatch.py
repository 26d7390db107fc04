"""What each command of `ava-detect` does; heavy modules are imported when one is called."""

from __future__ import annotations

import argparse

from ava_detect.config import Config, load_config
from ava_eval.atomic import require_writable
from ava_eval.errors import InputError

Arguments = argparse.Namespace


def demo(arguments: Arguments) -> None:
    require_writable(arguments.output / "summary.json")
    from ava_detect.commands.demo import run_demo

    run_demo(
        arguments.output,
        seed=arguments.seed,
        proposer=arguments.proposer,
        overrides=arguments.overrides,
    )


def download(arguments: Arguments) -> None:
    from ava_detect.commands.download import download, list_files

    if arguments.list:
        print(list_files(arguments.what, arguments.output, mirror=arguments.mirror))
        return
    print(
        download(
            arguments.what,
            arguments.output,
            jobs=arguments.jobs,
            mirror=arguments.mirror,
            verify=arguments.verify,
        )
    )


def prepare(config: Config, _: Arguments) -> None:
    from ava_detect.commands.prepare import prepare

    print(prepare(config).text())


def doctor(config: Config, arguments: Arguments) -> int:
    from ava_detect.commands.doctor import doctor

    report = doctor(config, arguments.json, videos=not arguments.no_videos)
    print(report.text())
    return 1 if report.has_errors else 0


def train_proposer(config: Config, _: Arguments) -> None:
    from ava_detect.commands.propose import train_proposer

    print(train_proposer(config))


def propose(config: Config, _: Arguments) -> None:
    from ava_detect.commands.parallel import run_together
    from ava_detect.commands.propose import propose

    run_together(lambda: propose(config).text())


def report_proposals(config: Config, _: Arguments) -> None:
    from ava_detect.commands.proposal_report import report_proposals

    print(report_proposals(config))


def train(config: Config, _: Arguments) -> None:
    from ava_detect.commands.parallel import run_together
    from ava_detect.commands.train import train

    run_together(lambda: train(config))


def report_training(arguments: Arguments) -> None:
    from ava_detect.commands.training_report import report_training

    print(report_training(arguments.folder, arguments.output_file))


def _require_weights(config: Config) -> None:
    """Raise InputError where no checkpoint is named; before anything that takes long."""
    if config.weights is None:
        raise InputError(
            "weights: expected weights=FILE, the checkpoint to use, got none; `ava-detect train`"
            " writes one, OUTPUT/final.pt"
        )


def evaluate(config: Config, _: Arguments) -> None:
    _require_weights(config)
    from ava_detect.commands.evaluate import evaluate
    from ava_detect.commands.parallel import run_together

    run_together(lambda: evaluate(config))


def export(config: Config, arguments: Arguments) -> None:
    _require_weights(config)
    from ava_detect.commands.export import export
    from ava_detect.commands.parallel import run_together

    run_together(lambda: export(config, arguments.output_file))


def annotate(config: Config, arguments: Arguments) -> None:
    _require_weights(config)
    from ava_detect.commands.annotate import Options, annotate

    names = ("every", "min_score", "min_person", "seconds")
    options = Options(**{name: getattr(arguments, name) for name in names})
    print(annotate(config, arguments.video, arguments.output_file, options))


def convert(arguments: Arguments) -> None:
    from ava_detect.commands.convert import convert

    if arguments.overrides and arguments.config is None:
        raise InputError("--config: expected the recipe that the settings change, got none")
    config = (
        None if arguments.config is None else load_config(arguments.config, arguments.overrides)
    )
    print(convert(arguments.checkpoint, arguments.out, config, arguments.to))


def deploy(config: Config, arguments: Arguments) -> None:
    _require_weights(config)
    from ava_detect.commands.deploy import deploy

    print(deploy(config, arguments.output_file))


def ensemble(arguments: Arguments) -> None:
    from ava_detect.commands.ensemble import ensemble

    print(ensemble(arguments.files, arguments.output_file, arguments.weights, arguments.mean))


def describe(config: Config, arguments: Arguments) -> None:
    from ava_detect.commands.describe import describe

    print(describe(config, arguments.size, arguments.json))
