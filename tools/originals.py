"""The scorers that others published, loaded from checkouts and made to run on today's Python.

Nothing numeric is changed: what Python 3 and NumPy 2 took away is put back, what needs a company's
modules or 32 processes is replaced, and the numbers are returned instead of printed. ``folder`` is
where the patched files are put.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import subprocess
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Answers of one protocol: AP by id of the classes that it averages, in its order, and the mAP.
Answer = tuple[dict[int, float], float]
# (groundtruth, detections, label map, exclusions or None) -> Answer
Scorer = Callable[[Path, Path, Path, Path | None], Answer]

_TODAY = [
    (r"\bnp\.bool\b", "bool"),
    (r"\bnp\.float\b", "float"),
    (r"\bnp\.NAN\b", "np.nan"),
    (r"\blogging\.warn\(", "logging.warning("),
]
_AVA_MODULES = ["np_box_ops", "np_mask_ops", "np_box_list", "np_box_list_ops", "np_box_mask_list"]
_AVA_MODULES += ["np_box_mask_list_ops", "metrics", "standard_fields", "label_map_util"]
_AVA_MODULES += ["per_image_evaluation", "object_detection_evaluation"]


@dataclass(frozen=True)
class _Checkout:
    """A git repository, with or without a work tree."""

    folder: Path
    commit: str

    def text(self, path: str) -> str:
        bare = (self.folder / "HEAD").is_file()
        git_dir = self.folder if bare else self.folder / ".git"
        command = ["git", f"--git-dir={git_dir}", "show", f"{self.commit}:{path}"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def activitynet(checkout: Path, commit: str, folder: Path) -> Scorer:
    """The official script of a commit: 82304fa (2020), 3fee089 (2019), be7854e (2018)."""
    source = _Checkout(checkout, commit)
    package = _package(
        folder,
        f"activitynet_{commit}",
        {name: source.text(f"Evaluation/ava/{name}.py") for name in _AVA_MODULES},
    )
    text = source.text("Evaluation/get_ava_performance.py")
    text = re.sub(r"^from ava import", f"from {package} import", text, flags=re.M)
    text = text.replace("pprint.pprint(metrics, indent=2)", "return metrics")
    script = _module(folder, f"{package}_script", text)

    def score(truth: Path, found: Path, labels: Path, excluded: Path | None) -> Answer:
        with contextlib.ExitStack() as stack:
            paths = (labels, truth, found)
            files: list[Any] = [stack.enter_context(path.open()) for path in paths]
            if commit != "82304fa":
                files.append(stack.enter_context(excluded.open()) if excluded else None)
            metrics = script.run_evaluation(*files)
        return _by_id(metrics, labels)

    return score


def pyslowfast(checkout: Path, folder: Path) -> Scorer:
    """``evaluate_ava_from_files`` of PySlowFast, which forgets to return its answer."""
    source = _Checkout(checkout, "287ec00")
    package = _package(
        folder,
        "pyslowfast_ava_evaluation",
        {name: source.text(f"ava_evaluation/{name}.py") for name in _AVA_MODULES},
    )
    text = source.text("slowfast/utils/ava_eval_helper.py")
    text = text.replace("from vision.fair.slowfast.ava_evaluation import", f"from {package} import")
    text = text.replace("import slowfast.utils.distributed as du", "")
    text = text.replace("from slowfast.utils.env import pathmgr", "")
    text = text.replace(
        "    if du.is_master_proc():\n        pprint.pprint(metrics, indent=2)\n", ""
    )
    text = text.replace("    run_evaluation(categories", "    return run_evaluation(categories")
    helper: Any = _module(folder, "pyslowfast_helper", text)
    helper.pathmgr = types.SimpleNamespace(open=open)

    def score(truth: Path, found: Path, labels: Path, excluded: Path | None) -> Answer:
        metrics = helper.evaluate_ava_from_files(labels, truth, found, excluded)
        return _by_id(metrics, labels)

    return score


def mmaction2(checkout: Path, folder: Path) -> Scorer:
    """``ava_eval`` of mmaction2, in this process instead of 32."""
    source = _Checkout(checkout, "4d6c934")
    base = "mmaction/evaluation/functional"
    names = ["metrics", "np_box_list", "np_box_ops"]
    package = _package(
        folder,
        "mmaction2_ava_evaluation",
        {name: source.text(f"{base}/ava_evaluation/{name}.py") for name in names},
    )
    text = source.text(f"{base}/ava_utils.py")
    text = text.replace("from .ava_evaluation import", f"from {package} import")
    text = text.replace(
        "    return results\n", "    results['classes'] = cls_AP\n    return results\n"
    )
    utils: Any = _module(folder, "mmaction2_ava_utils", text)
    pool = types.SimpleNamespace(map=lambda function, items: [function(item) for item in items])
    utils.multiprocessing = types.SimpleNamespace(Pool=lambda _: pool)

    def score(truth: Path, found: Path, labels: Path, excluded: Path | None) -> Answer:
        result = utils.ava_eval(found, "mAP", labels, truth, excluded, verbose=False)
        by_class = {int(number): float(ap) for number, _, ap in result["classes"]}
        return by_class, float(result["overall"])

    return score


def _by_id(metrics: dict, labels: Path) -> Answer:
    """The official dict, by class id; the label map names each class ``c<id>``."""
    prefix = "PascalBoxes_PerformanceByCategory/AP@0.5IOU/c"
    aps = {
        int(name.removeprefix(prefix)): float(ap)
        for name, ap in metrics.items()
        if name.startswith(prefix)
    }
    return aps, float(metrics["PascalBoxes_Precision/mAP@0.5IOU"])


def _package(folder: Path, name: str, texts: dict[str, str]) -> str:
    """Write modules that import each other as a package; returns its name."""
    home = folder / name
    home.mkdir()
    (home / "__init__.py").touch()
    for module, text in texts.items():
        text = re.sub(rf"^import ({'|'.join(texts)})$", r"from . import \1", text, flags=re.M)
        (home / f"{module}.py").write_text(_today(text))
    return name


def _module(folder: Path, name: str, text: str) -> types.ModuleType:
    """Write and import one module beside the packages."""
    (folder / f"{name}.py").write_text(_today(text))
    sys.path.insert(0, str(folder))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(folder))


def _today(text: str) -> str:
    for old, new in _TODAY:
        text = re.sub(old, new, text)
    return text
