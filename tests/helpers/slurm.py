"""A Slurm of one node on this machine: munged, slurmctld and slurmd on 127.0.0.1, in a folder of its own.

Debian's slurm-wlm and munge are enough: there is no accounting, and no cgroup is asked for. It needs root, as slurmd
starts jobs for others.

    with Slurm(folder) as slurm: subprocess.run(["sbatch", ...], env=slurm.environment)
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "srun")
PATH = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"
MISSING = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]

CONFIG = """
ClusterName=kdmonai
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
KillWait=5
MinJobAge=300
OverTimeLimit=0
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=60 State=UP OverSubscribe=NO
"""


class Slurm:
    """The three daemons.

    Args:
        folder: of configuration, state and logs; a short path, for sockets lie in it.

    Attributes:
        environment: with which sbatch, squeue and scancel reach them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._daemons: list[subprocess.Popen[bytes]] = []
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{folder}/bin:{PATH}"}

    def __enter__(self) -> Self:
        folder = self.folder
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        for name in ("state", "spool"):
            (folder / name).mkdir()
        values = {"host": socket.gethostname(), "folder": folder, "port": _free_port(), "node_port": _free_port()}
        (folder / "slurm.conf").write_text(CONFIG.format(**values))
        # a job of Snakemake's plugin starts srun without SLURM_CONF: a cluster has its file where srun looks for it
        (folder / "bin").mkdir()
        srun = folder / "bin" / "srun"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun", path=PATH)} "$@"\n')
        srun.chmod(0o755)
        (folder / "munge.key").write_bytes(os.urandom(1024))
        (folder / "munge.key").chmod(0o600)
        munge = ["--force", f"--socket={folder}/munge.socket", f"--key-file={folder}/munge.key"]
        munge += [f"--log-file={folder}/munged.log", f"--pid-file={folder}/munged.pid", f"--seed-file={folder}/seed"]
        self._start("munged", "--foreground", *munge)
        self._wait(lambda: (folder / "munge.socket").exists(), "munged")
        self._start("slurmctld", "-D")
        self._wait(lambda: "UP" in self.call("scontrol", "ping"), "slurmctld")
        self._start("slurmd", "-D", "-N", socket.gethostname())
        self._wait(lambda: "idle" in self.call("sinfo", "-h", "-o", "%t").split(), "slurmd")
        return self

    def _start(self, *command: str) -> None:
        with (self.folder / f"{command[0]}.out").open("ab") as told:
            process = subprocess.Popen(command, env=self.environment, stdout=told, stderr=told, start_new_session=True)
        self._daemons.append(process)

    def _wait(self, ready: Callable[[], bool], name: str) -> None:
        until = time.monotonic() + 60
        while not ready():
            if time.monotonic() > until or self._daemons[-1].poll() is not None:
                files = [file for file in self.folder.glob(f"{name}.*") if file.is_file()]
                logs = [file.read_text(errors="replace")[-2000:] for file in files]
                raise RuntimeError(f"{name} did not start: {' '.join(logs)}")
            time.sleep(0.2)

    def call(self, *command: str) -> str:
        """Standard output of one of Slurm's commands."""
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False).stdout

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.call("scancel", "-u", "root")
        until = time.monotonic() + 20
        while self.call("squeue", "-h").strip() and time.monotonic() < until:
            time.sleep(0.5)
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
