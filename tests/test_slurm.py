"""`tools/slurm_train.sh` among stand-ins for SLURM's commands, which write down their calls."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "tools" / "slurm_train.sh"
NOTE = '#!/bin/bash\necho "${0##*/} $*" >> calls\n'
SRUN = """
nodes=1
while [[ $1 == --* ]]; do
    [[ $1 == --nodes=* ]] && nodes=${1#*=}
    shift
done
trap 'kill -KILL $(cat task.*); exit 137' TERM  # as the real one
for ((node = 0; node < nodes; node++)); do
    SLURM_NODEID=$node "$@" &
    echo $! > task.$node
done
status=0
for ((node = 0; node < nodes; node++)); do
    wait "$(cat task.$node)" || status=$?
done
exit $status
"""
TORCHRUN = """
echo "torchrun $*" > node.$SLURM_NODEID
finish() { sleep 0.$((3 * SLURM_NODEID)); touch saved.$SLURM_NODEID; exit ${ON_TERM:-1}; }
trap finish TERM
touch up.$SLURM_NODEID
if [[ -n $ENDS_WITH ]]; then exit "$ENDS_WITH"; fi
for ((i = 0; i < 1000; i++)); do sleep 0.05; done
"""
SCONTROL = 'if [[ $1 == show ]]; then printf "%s\\n" localhost node7; fi\n'
SCANCEL = "kill -TERM $(cat task.*)\n"
ARGUMENTS = ["ava/slowfast_r50_8x8", "data.root=/data/my ava", "output=runs/first", "seed=*"]

Job = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """Starts the script as a job in ``tmp_path``."""
    commands = {"srun": SRUN, "scontrol": SCONTROL, "scancel": SCANCEL, "torchrun": TORCHRUN}

    def start(nodes: int = 2, real: tuple[str, ...] = (), **variables: str) -> subprocess.Popen:
        (tmp_path / "bin").mkdir()
        for name in commands.keys() - set(real):
            path = tmp_path / "bin" / name
            path.write_text(NOTE + commands[name])
            path.chmod(0o755)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SLURM")}
        environment |= {
            "PATH": f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SLURM_JOB_ID": "1230042",
            "SLURM_JOB_NODELIST": "localhost,node7",
            "SLURM_JOB_NUM_NODES": str(nodes),
            **variables,
        }
        return subprocess.Popen(
            [SCRIPT, *ARGUMENTS], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
        )

    return start


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def wait_for(paths: list[Path], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not all(path.exists() for path in paths):
        assert time.monotonic() < end, f"{paths} did not appear"
        time.sleep(0.02)


def test_it_is_a_program_that_bash_can_read() -> None:
    subprocess.run(["bash", "-n", SCRIPT], check=True)
    assert os.access(SCRIPT, os.X_OK)


def test_sbatch_finds_its_options_before_the_first_command() -> None:
    lines = SCRIPT.read_text().splitlines()
    options = [number for number, line in enumerate(lines) if line.startswith("#SBATCH ")]
    first_command = next(n for n, line in enumerate(lines) if line and not line.startswith("#"))
    assert options
    assert max(options) < first_command
    assert {"#SBATCH --requeue", "#SBATCH --ntasks-per-node=1"} <= {lines[n] for n in options}


@pytest.mark.parametrize("nodes", [1, 2])
def test_each_node_gets_a_torchrun(job: Job, tmp_path: Path, nodes: int) -> None:
    variables = {"SLURM_GPUS_ON_NODE": "8", "SLURM_CPUS_PER_TASK": "64", "MAX_RESTARTS": "5"}
    running = job(nodes, ENDS_WITH="0", **variables)
    assert (running.wait(30), running.stderr.read()) == (0, "")
    for node in range(nodes):
        assert (tmp_path / f"node.{node}").read_text() == (
            f"torchrun --nnodes={nodes} --nproc-per-node=8 --rdzv-backend=c10d"
            " --rdzv-endpoint=localhost:20042 --rdzv-id=1230042 --max-restarts=5"
            f" -m ava_detect train {' '.join(ARGUMENTS)}\n"
        )
    (srun,) = (call for call in calls(tmp_path) if call.startswith("srun"))
    assert srun.startswith(
        f"srun --nodes={nodes} --ntasks={nodes} --ntasks-per-node=1 --cpus-per-task=64"
        " --kill-on-bad-exit=0 --wait=0 torchrun "
    )


@pytest.mark.parametrize("code", [0, 3])
def test_a_run_that_ends_by_itself_is_not_queued_again(job: Job, tmp_path: Path, code: int) -> None:
    assert job(ENDS_WITH=str(code)).wait(30) == code
    assert not any("requeue" in call or "scancel" in call for call in calls(tmp_path))


def test_a_run_out_of_time_saves_and_queues_again(job: Job, tmp_path: Path) -> None:
    running = job()
    wait_for([tmp_path / f"up.{node}" for node in range(2)])
    running.send_signal(signal.SIGUSR1)
    assert running.wait(30) == 1
    assert all((tmp_path / f"saved.{node}").exists() for node in range(2))  # the slow one too
    assert calls(tmp_path)[-2:] == ["scancel --signal=TERM 1230042", "scontrol requeue 1230042"]


def test_a_run_that_finishes_in_its_last_minutes_is_not_queued_again(
    job: Job, tmp_path: Path
) -> None:
    running = job(ON_TERM="0")
    wait_for([tmp_path / f"up.{node}" for node in range(2)])
    running.send_signal(signal.SIGUSR1)
    running.send_signal(signal.SIGUSR1)
    assert running.wait(30) == 0
    assert [call for call in calls(tmp_path) if "requeue" in call] == []
    assert sum("scancel" in call for call in calls(tmp_path)) == 1


def test_a_cancelled_job_is_not_queued_again(job: Job, tmp_path: Path) -> None:
    """`scancel JOB` sends SIGTERM to the tasks and to the script."""
    running = job()
    wait_for([tmp_path / f"up.{node}" for node in range(2)])
    for node in range(2):
        os.kill(int((tmp_path / f"task.{node}").read_text()), signal.SIGTERM)
    running.terminate()
    assert running.wait(30) == -signal.SIGTERM
    wait_for([tmp_path / f"saved.{node}" for node in range(2)])
    assert not any("requeue" in call for call in calls(tmp_path))


TRAINING = """
import json, os, signal, sys, time
from pathlib import Path
rank = os.environ["RANK"]
Path(f"arguments.{rank}").write_text(json.dumps([os.environ["WORLD_SIZE"], *sys.argv[1:]]))
stop = []
signal.signal(signal.SIGTERM, lambda number, _: stop.append(number))
Path(f"up.{rank}").touch()
while not stop:
    time.sleep(0.05)
time.sleep(1)
restart = os.environ["TORCHELASTIC_RESTART_COUNT"]
with open("saved", "a") as file:
    file.write(f"rank {rank}, {len(stop)} signal, restart {restart}\\n")
sys.exit(128 + signal.SIGTERM)
"""


@pytest.mark.slow
def test_torchrun_lets_its_workers_save(job: Job, tmp_path: Path) -> None:
    """The real torchrun: one signal for each worker, time to save, no restart, an error's code."""
    (tmp_path / "ava_detect").mkdir()
    (tmp_path / "ava_detect" / "__main__.py").write_text(TRAINING)
    (tmp_path / "seed=1").touch()  # a star must not find it
    running = job(2, real=("torchrun",))
    wait_for([tmp_path / f"up.{rank}" for rank in range(2)])
    running.send_signal(signal.SIGUSR1)
    assert running.wait(60) == 1, running.stderr.read()
    for rank in range(2):
        arguments = json.loads((tmp_path / f"arguments.{rank}").read_text())
        assert arguments == ["2", "train", *ARGUMENTS]
    saved = sorted((tmp_path / "saved").read_text().splitlines())
    assert saved == [f"rank {rank}, 1 signal, restart 0" for rank in range(2)]
    assert calls(tmp_path)[-1] == "scontrol requeue 1230042"
