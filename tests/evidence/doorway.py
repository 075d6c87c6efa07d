"""What somebody meets first: how soon the command answers, what it loads to do so, and how long our tests take.

Processor time, user and system, of fresh processes, which the machine's other work hardly changes.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

from tests.evidence.figure import Experiment, Figure

ROOT = Path(__file__).resolve().parents[2]
STOOK = (sys.executable, "-m", "stook.pipelines.cli")
REPETITIONS = 5
HEAVY = ("torch", "sklearn", "apache_beam")
MISTYPED = """name: doorway
region: {file: units.geojson, id: unit_id}
imagery:
  sentinel2: {catalog: catalog.json, collection: sentinel-2-l2a, profle: scaled-1e-4}
season: {name: main}
products: {cropland: {bundle: bundle, window: {start: {month: 1}, months: 12}}}
output: out
"""
LOADED = f"""
import sys
from stook.pipelines.cli import main
sys.argv = ["stook", "--help"]
try:
    main()
finally:
    print(*[name for name in {HEAVY} if name in sys.modules], file=sys.stderr)
"""
# In the environment that is active.
MAKE = ("make", f"VENV={sys.prefix}")
SUITES = {"test": (*MAKE, "test"), "test_all": (*MAKE, "test-all")}
ONE_FILE = (sys.executable, "-m", "pytest", "-q", "tests/transforms/test_amounts.py")


def run(
    scratch: Path, repetitions: int = REPETITIONS, suites: Mapping[str, Sequence[str]] = SUITES
) -> Iterator[Figure]:
    """The command, the import, the suites."""
    times = f"s of processor time, median of {repetitions} fresh processes"
    yield Figure("doorway.help_cpu_s", cpu_s((*STOOK, "--help"), repetitions), f"stook --help; {times}; target ≤ 0.7")
    config = scratch / "mistyped.yaml"
    config.write_text(MISTYPED)
    words = (*STOOK, "map", str(config), "--year", "2023")
    answer = subprocess.run(words, capture_output=True, text=True, cwd=ROOT, check=False)
    if answer.returncode != 2 or "profle" not in answer.stderr:
        raise RuntimeError(f"a mistyped field ended with {answer.returncode}: {answer.stderr[-2000:]}")
    note = f"stook map with a mistyped field; {times}; target ≤ 1.0"
    yield Figure("doorway.mistyped_field_cpu_s", cpu_s(words, repetitions, status=2), note)
    loaded = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, cwd=ROOT, check=True)
    heavy = loaded.stderr.splitlines()[-1].split()
    note = f"of {', '.join(HEAVY)} in sys.modules after stook --help{': ' if heavy else ''}{', '.join(heavy)}; aim 0"
    yield Figure("doorway.heavy_modules_after_help", len(heavy), note)
    importing = cpu_s((sys.executable, "-c", "import stook"), repetitions)
    yield Figure("doorway.import_cpu_s", importing, f"import stook; {times}")
    for name, words in suites.items():
        start = time.perf_counter()
        subprocess.run(words, stdout=subprocess.DEVNULL, cwd=ROOT, check=True)
        note = f"s of make {name.replace('_', '-')}, all passed"
        yield Figure(f"doorway.{name}_seconds", time.perf_counter() - start, note)


def cpu_s(words: Sequence[str], repetitions: int, status: int = 0) -> float:
    """Median processor time of a command, seconds; raises RuntimeError where it ends with another status."""
    seconds = []
    for _ in range(repetitions):
        before = of_children_s()
        ended = subprocess.run(words, capture_output=True, cwd=ROOT, check=False).returncode
        if ended != status:
            raise RuntimeError(f"{' '.join(words)}: ended with {ended}, not {status}")
        seconds.append(of_children_s() - before)
    return median(seconds)


def of_children_s() -> float:
    """Processor time of all ended children of this process, seconds."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


EXPERIMENT = Experiment("doorway", run, small={"repetitions": 1, "suites": dict.fromkeys(SUITES, ONE_FILE)})
