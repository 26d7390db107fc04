"""detectron2 as a proposer: any detector of its model zoo or of a config file, and our small one.

The only package that imports detectron2, and only inside functions: everything else works without.
Config files of detectron2 can run code (YAML tags, Python files); use those that you trust. Weights
are read as plain data.
"""

from ava_detect.proposals.detectron.catalog import Trial
from ava_detect.proposals.detectron.proposer import DetectronProposer
from ava_detect.proposals.detectron.settings import require_detectron2
from ava_detect.proposals.detectron.training import train_detectron

__all__ = ["DetectronProposer", "Trial", "require_detectron2", "train_detectron"]
