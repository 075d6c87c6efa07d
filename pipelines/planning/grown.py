"""What the tiles that were looked at come to, grown to the region."""

from dataclasses import dataclass, field

from stook.transforms.editions.plan import Plan
from stook.transforms.imagery.volume import PieceSample, Volume
from stook.transforms.tiles.forecast import FATES, Key, TileForecast
from stook.transforms.tiles.materials import Materials
from stook.transforms.tiles.rates import Work

KINDS = {True: "picture", False: "composite"}


@dataclass(frozen=True)
class Estimate:
    """A number that was grown from a sample.

    Attributes:
        value: The number.
        error: Its standard error; 0 where all was looked at.
    """

    value: float
    error: float = 0.0


@dataclass
class Grown:
    """Sums over the tiles that were looked at; holds no tile.

    Attributes:
        grow: Tiles of the region for each that is looked at.
        pieces: What is read.
    """

    grow: float
    pieces: PieceSample = field(default_factory=PieceSample)
    counts: dict[str, int] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)
    squares: dict[str, float] = field(default_factory=dict)
    looked: int = 0
    largest: dict[str, tuple[int, str, tuple[str, ...]]] = field(default_factory=dict)

    def add(self, forecast: TileForecast, materials: Materials) -> None:
        """Take in a tile."""
        self.looked += 1
        for product, fate in forecast.fates.items():
            self._count(f"{product}/{fate}")
        pixels = {key: chips * pixels_of(materials, key) for key, chips in forecast.need.chips.items()}
        by_kind = dict.fromkeys(KINDS.values(), 0)
        for piece in forecast.need.pieces:
            by_kind[KINDS[piece.source.sensor == "rgb"]] += 1
        values: dict[str, float] = {
            "compute": float(forecast.due),
            "scene_reads": len(forecast.need.scenes),
            "assets": len(forecast.need.pieces),
            "chips": sum(forecast.need.chips.values()),
            "pixels": sum(pixels.values()),
            "ground_px": forecast.ground_px if forecast.due else 0,
        }
        values |= {f"assets/{kind}": count for kind, count in by_kind.items()}
        values |= {f"pixels/{'/'.join(key)}": count for key, count in pixels.items()}
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.squares[name] = self.squares.get(name, 0.0) + value**2
        due = tuple(sorted(name for name, fate in forecast.fates.items() if fate in ("new", "again")))
        size = int(values["pixels"] + values["assets"])
        self._count(f"due/{' '.join(due)}")
        for product in due:
            if size > self.largest.get(product, (0, "", ()))[0]:
                self.largest[product] = size, forecast.tile.name, due
        self.pieces.add(forecast.need.pieces)

    def _count(self, name: str) -> None:
        self.counts[name] = self.counts.get(name, 0) + 1

    def total(self, name: str) -> Estimate:
        """A sum over all tiles of the region."""
        value = self.sums.get(name, 0.0)
        if self.grow == 1 or self.looked < 2:
            return Estimate(value * self.grow)
        variance = (self.squares.get(name, 0.0) - value**2 / self.looked) / (self.looked - 1)
        tiles = self.looked * self.grow
        return Estimate(value * self.grow, tiles * (max(0.0, variance) / self.looked * (1 - 1 / self.grow)) ** 0.5)

    def bytes_read(self, volume: Volume) -> Estimate:
        """Bytes of all tiles: the errors of the files' sizes and of the choice of tiles together."""
        assets = self.total("assets")
        of_tiles = volume.size * self.grow * assets.error / assets.value if assets.value else 0.0
        return Estimate(volume.size * self.grow, ((volume.error * self.grow) ** 2 + of_tiles**2) ** 0.5)

    def by_product(self, plan: Plan, unchanged: int) -> dict[str, dict[str, float]]:
        """Product -> fate -> tiles of the region."""
        return {
            product.product: {
                fate: self.counts.get(f"{product.product}/{fate}", 0) * self.grow
                + (unchanged if fate == "unchanged" else 0)
                for fate in FATES
            }
            for product in plan.all_products
        }

    def work(self) -> Work:
        """What there is to do."""
        return Work(
            self.total("compute").value,
            {kind: self.total(f"assets/{kind}").value for kind in KINDS.values()},
            {name.removeprefix("pixels/"): self.total(name).value for name in self.sums if name.startswith("pixels/")},
        )

    def chips(self, materials: Materials) -> dict[Key, float]:
        """Encoder -> chips that it is shown."""
        pixels = {key: self.total(f"pixels/{'/'.join(key)}").value for key in materials.embedders}
        return {key: count / pixels_of(materials, key) for key, count in pixels.items()}

    def everything_due(self, plan: Plan) -> bool:
        """Whether, where anything is computed, everything is, but for one tile in ten."""
        every = " ".join(sorted(product.product for product in plan.all_products))
        due = {name: count for name, count in self.counts.items() if name.startswith("due/") and name != "due/"}
        return due.get(f"due/{every}", 0) >= 0.9 * sum(due.values())


def pixels_of(materials: Materials, key: Key) -> int:
    """In one chip of an encoder."""
    return int(materials.embedders[key].encoder.specification.chip_px ** 2)
