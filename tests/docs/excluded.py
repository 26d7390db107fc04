"""Commands of the documentation that no test can run, each with the reason."""

CAMERA = "needs a camera"
STREAM = "needs a stream"
INSTALLS = "installs packages from the network"
SLURM = "needs SLURM; tests/test_slurm.py runs the script beside a stand-in for it"
PEER = "needs a checkout of PySlowFast, and minutes"

EXCLUDED = {
    "ava-detect annotate 0 ava/slowfast_r50_8x8 weights=runs/first/final.pt -o seen.mp4": CAMERA,
    "ava-detect annotate rtsp://… ava/slowfast_r50_8x8 weights=runs/first/final.pt -o seen.mp4"
    " --seconds 60": STREAM,
    "python -m pip install --no-build-isolation"
    " 'git+https://github.com/facebookresearch/detectron2.git'": INSTALLS,
    "python -m pip install 'setuptools<81'": INSTALLS,
    "python -m pip install 'ava-detect[deploy]'": INSTALLS,
    "pip install .": INSTALLS,
    "python -m venv .venv": INSTALLS,
    ". .venv/bin/activate": "changes the shell that it is typed in",
    "sbatch --nodes 4 tools/slurm_train.sh ava/slowfast_r50_8x8 data.root=ava output=runs/a": SLURM,
    "python tools/benchmark_loading.py --pyslowfast DIR --video FILE --workers 0 2": PEER,
    "python tools/soak_loading.py": "takes many minutes",
}
