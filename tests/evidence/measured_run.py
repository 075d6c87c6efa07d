"""``stook map`` in a process of its own, with what it cost: ``python -m tests.evidence.measured_run CONFIG YEAR``."""

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from stook.pipelines.configuration import MapConfiguration
from stook.pipelines.map import run_map
from stook.pipelines.progress import JsonReporter
from stook.pipelines.sections import load

MIB = 2**20


@dataclass(frozen=True)
class MeasuredRun:
    """What a run cost.

    Attributes:
        edition: Folder of the published edition.
        seconds: From the configuration to the published edition; without the start of Python.
        mib_read: What the process asked files for meanwhile, catalogue and models included.
        peak_mib: Greatest resident memory of the process.
    """

    edition: str
    seconds: float
    mib_read: float
    peak_mib: float


def measured_map(config: Path, year: int) -> MeasuredRun:
    """Run ``stook map`` and measure it; raises CalledProcessError if it fails."""
    command = [sys.executable, "-m", __name__, str(config), str(year)]
    finished = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return MeasuredRun(**json.loads(finished.stdout.splitlines()[-1]))


def here(config: Path, year: int) -> MeasuredRun:
    """The same in this process."""
    before, start = kernel_count("io", "rchar"), time.perf_counter()
    result = run_map(load(config, MapConfiguration), year, JsonReporter())
    seconds, read = time.perf_counter() - start, kernel_count("io", "rchar") - before
    if result.failed or not result.published:
        raise RuntimeError(f"{config}: {result.failed or 'not published'}")
    return MeasuredRun(str(result.edition.folder), seconds, read / MIB, kernel_count("status", "VmHWM") / 1024)


def kernel_count(file: str, name: str) -> int:
    """A number that Linux keeps about this process: bytes of ``io``, KiB of ``status``."""
    lines = Path(f"/proc/self/{file}").read_text().splitlines()
    [line] = [line for line in lines if line.startswith(f"{name}:")]
    return int(line.split()[1])


if __name__ == "__main__":
    print(json.dumps(asdict(here(Path(sys.argv[1]), int(sys.argv[2])))))
