"""GDAL's own Parquet driver, which no package index offers, built in a scratch folder to read what we write.

pyogrio's GDAL comes without it. The driver is a plugin: its source is in npm's gdal-async of the same version, and it
is compiled against pyarrow and linked to pyogrio's own GDAL. Run as a module it reads a file with that driver:

    GDAL_DRIVER_PATH=FOLDER python -m tests.evidence.gdal_parquet FILE TABLE
"""

import json
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyogrio

ROOT = Path(__file__).resolve().parents[2]
SOURCES = "package/deps/libgdal"
DRIVER = "gdal/ogr/ogrsf_frmts/parquet"
HEADERS = (
    "arch/unix",
    *(f"gdal/{folder}" for folder in ("port", "gcore", "gcore/gdal_version_full", "alg", "ogr", "ogr/ogrsf_frmts")),
    *(f"gdal/ogr/ogrsf_frmts/{folder}" for folder in ("generic", "arrow_common", "arrow")),
    *(f"gdal/{folder}" for folder in ("frmts/vrt", "frmts/mem", "third_party", "third_party/fast_float")),
)
FILES = tuple(f"ogrparquet{part}" for part in (
    "dataset", "datasetlayer", "driver", "drivercore", "layer", "writerdataset", "writerlayer",
))  # fmt: skip
ARROW = ("arrow", "parquet", "arrow_dataset", "arrow_acero", "arrow_compute")
COMPILED = ("-std=c++20", "-O0", "-fPIC", "-w", "-DGDAL_USE_ARROWDATASET", "-DGDAL_COMPILATION")
PLUGIN = "ogr_Parquet.so"
BUILD_S = 900


class NotBuilt(Exception):  # noqa: N818  says why there is no figure; nothing went wrong with ours
    """The driver could not be had; the message says why."""


def built_driver(scratch: Path) -> Path:
    """The folder of the plugin, for GDAL_DRIVER_PATH.

    Raises:
        NotBuilt: If npm does not give the source, or there is no compiler.
    """
    home = scratch / "driver"
    home.mkdir()
    version = ".".join(map(str, pyogrio.__gdal_version__))
    offered = json.loads(_run(home, "npm", "view", f"gdal-async@<={version}", "version", "--json"))
    newest = max(offered, key=lambda each: [int(part) for part in re.findall(r"\d+", each)])
    archive = _run(home, "npm", "pack", "--silent", f"gdal-async@{newest}").split()[-1]
    with tarfile.open(home / archive) as packed:
        packed.extractall(home, filter="data")
    sources, arrow = home / SOURCES, Path(pyarrow.__file__).parent
    includes = [f"-I{sources / folder}" for folder in HEADERS] + [f"-I{pyarrow.get_include()}"]
    for file in FILES:
        source = sources / DRIVER / f"{file}.cpp"
        name = f'-DPLUGIN_FILENAME="{PLUGIN}"'
        _run(home, "g++", *COMPILED, name, *includes, "-c", str(source), "-o", str(home / f"{file}.o"))
    libraries = Path(pyogrio.__file__).parents[1] / "pyogrio.libs"
    [gdal] = libraries.glob("libgdal-*.so*")
    linked = [str(next(arrow.glob(f"lib{name}.so.*"))) for name in ARROW]
    plugin = home / "plugin"
    plugin.mkdir()
    objects = [str(home / f"{file}.o") for file in FILES]
    found = [f"-Wl,-rpath,{folder}" for folder in (arrow, libraries)]
    _run(home, "g++", "-shared", "-o", str(plugin / PLUGIN), *objects, str(gdal), *linked, *found)
    return plugin


def differing_by_gdal(plugin: Path, file: Path, table: Path) -> int:
    """Values of a GeoParquet that differ from a table when GDAL's driver reads it, in a process of its own."""
    environment = os.environ | {"GDAL_DRIVER_PATH": str(plugin)}
    command = [sys.executable, "-m", "tests.evidence.gdal_parquet", str(file), str(table)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, env=environment)
    return int(told.stdout.splitlines()[-1])


def differing(file: Path, table: pd.DataFrame) -> int:
    """Values that differ; rows without ground, and all of them in another CRS, count as different too."""
    if "Parquet" not in pyogrio.list_drivers():
        raise RuntimeError("GDAL did not load its Parquet driver")
    read = pyogrio.read_dataframe(file)
    if len(read) != len(table) or read.crs != "EPSG:4326":
        return table.size
    count = int(read.geometry.isna().sum() + read.geometry.is_empty.sum())
    for name in table:
        one, other = read[name], table[name]
        nothing = one.isna().to_numpy() & other.isna().to_numpy()
        same = np.array([str(a) == str(b) for a, b in zip(one, other, strict=True)])
        if pd.api.types.is_numeric_dtype(other.dtype):
            same = one.astype(float).to_numpy() == other.astype(float).to_numpy()
        count += int((~nothing & ~same).sum())
    return count


def _run(folder: Path, *command: str) -> str:
    try:
        made = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=BUILD_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotBuilt(str(error)) from error
    if made.returncode:
        raise NotBuilt(f"{command[0]}: {made.stderr.strip().splitlines()[-1] if made.stderr.strip() else 'failed'}")
    return made.stdout.strip()


if __name__ == "__main__":
    print(differing(Path(sys.argv[1]), pd.read_parquet(sys.argv[2])))
