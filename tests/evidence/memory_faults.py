"""A case of ``failures``: a tile needs more memory than its container has, and the kernel ends whatever takes it."""

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import shapely

from stook.pipelines.season import region_of
from stook.transforms.ground.geodesy import lonlat_bounds
from tests.evidence.case import OPEN, Case, UnavailableError
from tests.pipelines.small_season import SmallSeason

CONTAINER_BYTES = 2 * 2**30  # the command and two workers take some 1.6 GiB of it
BLOCK_PX = 30_000  # per side, two bytes each: 1.7 GiB once it is decoded, some hundred bytes in the file
MARGIN_PX = 5  # of a tile, around a point of it: the ground of that scene
PROCESSES = "cgroup.procs"
VERSION_1, VERSION_2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Container:
    """A control group with a bound on memory; the words of its files are the kernel's.

    Attributes:
        folder: Of the group.
    """

    folder: Path

    @property
    def kills(self) -> int:
        """How many processes the kernel has ended for want of memory."""
        name = "memory.events" if (self.folder / "memory.events").exists() else "memory.oom_control"
        told = dict(line.split() for line in (self.folder / name).read_text().splitlines())
        return int(told["oom_kill"])

    @contextmanager
    def around(self, process: int) -> Iterator[None]:
        """Have a process, and those that it starts, in the group for the length of the block."""
        home = self.folder.parent
        for line in Path(f"/proc/{process}/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == ("memory" if self.folder.is_relative_to(VERSION_1) else ""):
                home = self.folder.parent / path.lstrip("/")
        try:
            (self.folder / PROCESSES).write_text(str(process))
        except OSError as error:
            raise UnavailableError(f"no process can be put into a control group ({error.strerror})") from error
        try:
            yield
        finally:
            (home / PROCESSES).write_text(str(process))
            for other in (self.folder / PROCESSES).read_text().split():  # what Python keeps for all its children
                (home / PROCESSES).write_text(other)


@contextmanager
def container(most_bytes: int) -> Iterator[Container]:
    """A control group that may take so much memory, and no swap.

    Raises:
        UnavailableError: If this machine lets us make none.
    """
    root, limits = (
        (VERSION_1, ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"))
        if VERSION_1.is_dir()
        else (VERSION_2, ("memory.max", "memory.swap.max"))
    )
    folder = root / f"stook-{uuid.uuid4().hex[:8]}"
    try:
        folder.mkdir()
    except OSError as error:
        raise UnavailableError(f"no control group can be made ({error.strerror})") from error
    try:
        if not (folder / limits[0]).exists():
            raise UnavailableError("control groups of this machine do not bound memory")
        (folder / limits[0]).write_text(str(most_bytes))
        if (folder / limits[1]).exists():
            (folder / limits[1]).write_text("0" if root is VERSION_2 else str(most_bytes))
        yield Container(folder)
    finally:
        folder.rmdir()


def add_vast_block(season: SmallSeason) -> str:
    """Add a scene over the midst of one tile with a band of a single block; returns the tile's name.

    Whoever reads one pixel of it decodes all: a scene without tiles, as a converter with the wrong options writes it.
    """
    grid, region = season.configuration.grid.grid(), region_of(season.configuration)
    middle, west = grid.tile_px // 2, grid.tile_px // 4  # where no tile of the neighbouring zone looks
    inner = np.s_[middle - MARGIN_PX : middle + MARGIN_PX, west - MARGIN_PX : west + MARGIN_PX]
    places = {tile: grid.geobox(tile)[inner] for tile in region.tiles(grid)}
    searched = shapely.box(*region.bounds)
    tile = next(tile for tile, box in places.items() if searched.contains(shapely.box(*lonlat_bounds(box))))
    place = places[tile]
    model = next(path for path in season.items() if path.name.startswith("S2") and "_202306" in path.name)
    item = json.loads(model.read_text())
    folder = model.parent.with_name(f"{item['id']}_vast")
    folder.mkdir()
    pixels = {"width": BLOCK_PX, "height": BLOCK_PX, "count": 1, "dtype": "uint16", "nodata": 0}
    blocks = {"tiled": True, "blockxsize": BLOCK_PX, "blockysize": BLOCK_PX, "sparse_ok": True}
    where = {"crs": f"EPSG:{tile.zone.epsg}", "transform": place.zoom_to((BLOCK_PX, BLOCK_PX)).affine}
    with rasterio.open(folder / "nir.tif", "w", driver="GTiff", **pixels, **blocks, **where):
        pass
    for name, asset in item["assets"].items():
        asset["href"] = f"../{model.parent.name}/{Path(asset['href']).name}" if name != "nir" else "./nir.tif"
    item["properties"] |= {"platform": "sentinel-2b"}  # another acquisition, not the same processed anew
    footprint = shapely.box(*lonlat_bounds(place))
    item |= {"id": folder.name, "bbox": list(footprint.bounds), "geometry": shapely.geometry.mapping(footprint)}
    (folder / f"{folder.name}.json").write_text(json.dumps(item))
    collection = folder.parent / "collection.json"
    content = json.loads(collection.read_text())
    link = {"rel": "item", "href": f"./{folder.name}/{folder.name}.json", "type": "application/geo+json"}
    collection.write_text(json.dumps(content | {"links": [*content["links"], link]}))
    return tile.name


def too_little_memory(season: SmallSeason, stack: ExitStack) -> None:
    enclosed = stack.enter_context(container(CONTAINER_BYTES))
    stack.enter_context(enclosed.around(os.getpid()))
    add_vast_block(season)
    season.configure(run__mode="processes", run__workers=2)


MEMORY_CASES = (
    Case("out-of-memory", "a tile needs more memory than the container has (`run.mode: processes`)",
         too_little_memory, 3, r"^failed: \d+_\d+_\d+: the worker died 3 times on this tile, last by signal 9 "
         r"\(killed, possibly out of memory\), even when run alone", OPEN),
)  # fmt: skip
