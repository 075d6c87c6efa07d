"""Three products in one run against three runs of one product each, on the demonstration's place."""

from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from stook.pipelines.demo.place import DEMO_PRODUCTS, YEAR, write_place
from stook.pipelines.demo.run import DEMO_PLACE, TILE_PX
from stook.transforms.editions.edition import Edition
from stook.transforms.simulation.ground import Place
from stook.transforms.simulation.scenes import Revisit
from tests.evidence.figure import Experiment, Figure
from tests.evidence.measured_run import MeasuredRun, here, measured_map
from tests.pipelines.command import arrays
from tests.pipelines.small_season import SMALL_DEMO

Measure = Callable[[Path, int], MeasuredRun]
NAMES = ("cropland", "building_coverage", "harvest_piles")
PLAIN = {name: {key: DEMO_PRODUCTS[name][key] for key in ("bundle", "window")} for name in NAMES}


def run(
    scratch: Path, place: Place = DEMO_PLACE, revisit: Revisit | None = None, measure: Measure = measured_map
) -> Iterator[Figure]:
    """Time and bytes of one run as shares of three, and how many values of the maps differ."""
    config = write_place(scratch, place, TILE_PX, PLAIN, revisit).config
    together = measure(only(config, NAMES), YEAR)
    apart = [measure(only(config, (name,)), YEAR) for name in NAMES]
    seconds, read = sum(each.seconds for each in apart), sum(each.mib_read for each in apart)
    times = ", ".join(f"{name} {each.seconds:.0f} s" for name, each in zip(NAMES, apart, strict=True))
    yield Figure("one_pass.time_ratio", together.seconds / seconds, f"{together.seconds:.0f} s; apart {times}")
    yield Figure("one_pass.bytes_ratio", together.mib_read / read, f"{together.mib_read:.0f} MiB of {read:.0f}")
    maps, differing = arrays(Edition(Path(together.edition))), 0
    for each in apart:
        for path, values in arrays(Edition(Path(each.edition))).items():
            differing += int((values != maps[path]).sum())
    yield Figure("one_pass.differing_values", differing, "of all arrays of the three maps; target 0")


def only(config: Path, names: tuple[str, ...]) -> Path:
    """The configuration of a run that makes some of the products, into an output of its own."""
    settings = yaml.safe_load(config.read_text())
    settings["products"] = {name: settings["products"][name] for name in names}
    settings["output"] = f"out-{'-'.join(names)}"
    other = config.with_name(f"{settings['output']}.yaml")
    other.write_text(yaml.safe_dump(settings))
    return other


EXPERIMENT = Experiment("one_pass", run, small=SMALL_DEMO | {"measure": here})
