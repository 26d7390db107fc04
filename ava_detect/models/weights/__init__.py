"""The weights that the world already has: PySlowFast, Caffe2, PyTorchVideo, mmaction2."""

from ava_detect.models.weights.loading import LoadReport, start_from
from ava_detect.models.weights.read import Weights, read_weights

__all__ = ["LoadReport", "Weights", "read_weights", "start_from"]
