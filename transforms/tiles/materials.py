"""What all tiles of an edition have in common: plan, region, frozen inputs and models, read once per process."""

from collections.abc import Sequence
from dataclasses import dataclass

import pystac

from stook.models.bundle import Bundle
from stook.models.encoder import Encoder
from stook.models.errors import InputError
from stook.models.families import fingerprint
from stook.models.inference import Embedder, default_device
from stook.transforms.backoff import BackOff
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.kept_models import kept_model
from stook.transforms.editions.plan import EMBEDDING, Plan, ProductPlan
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.encoding.encodings import Encoding, PictureEncoding
from stook.transforms.ground.geodesy import lonlat_bounds
from stook.transforms.ground.grid import Tile
from stook.transforms.ground.region import Region
from stook.transforms.imagery.inputs import Inputs
from stook.transforms.tiles.embeddings import EmbeddingStore

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True)
class Machine:
    """How a run uses its machine; never what it computes.

    Attributes:
        readers: Threads that read imagery, per tile in flight.
        batch: Chips (pixels, for an encoder of single pixels) that an encoder sees at once; None for what the device
            is likely to hold.
        backoff: How patiently archives are asked.
    """

    readers: int = 8
    batch: int | None = None
    backoff: BackOff = BackOff()


class Materials:
    """See the module.

    Args:
        edition: An open edition.
        machine: How to use the machine.
        home: Folder of the season whose stored vectors are used; the edition's own if absent.

    Attributes:
        inputs: The frozen scenes.
        scenes: The same without what only reading needs, in memory: some 200 bytes each.
        bundles: Product -> its model; none for feature vectors.
        embedders: The encoders; products with the same one share it.
        stored: Vectors that were encoded before, if the plan uses any and the edition takes over what there is.

    Raises:
        InputError: If a model is not the one the edition was opened with.
    """

    def __init__(self, edition: Edition, machine: Machine, home: SeasonFolder | None = None):
        self.edition = edition
        self.machine = machine
        self.plan: Plan = edition.plan
        self.absent_bands = frozenset(edition.manifest["absent_bands"])
        self.region = Region.read(edition.units)
        self.inputs = Inputs.read(edition.inputs)
        self.scenes = self.inputs.in_memory()
        self.device = default_device()
        self.bundles: dict[str, Bundle] = {}
        self.embedders: dict[tuple[str, str], Embedder] = {}
        for product in self.plan.products:
            self._load(product)
        stored = self._vectors(home or SeasonFolder.at(edition.folder.parent))
        self.stored = EmbeddingStore(stored, stored.plan) if stored else None

    def embedder(self, encoding: Encoding | PictureEncoding) -> Embedder:
        """The encoder of an encoding, on its device."""
        return self.embedders[encoding.encoder, encoding.precision]

    def absent(self, encoding: Encoding) -> frozenset[str]:
        """Bands that the encoder does without: no archive has them, or its head never saw them."""
        return (self.absent_bands & set(encoding.bands)) | set(encoding.absent_bands)

    def bounds(self, tile: Tile, halo_px: int) -> Bounds:
        """West, south, east and north of a tile with a halo, degrees."""
        return lonlat_bounds(self.plan.grid.geobox(tile, halo_px))

    def near(self, tile: Tile, halo_px: int) -> dict[str, Sequence[pystac.Item]]:
        """The scenes that touch a tile with a halo, by sensor."""
        return dict(self.inputs.near(self.bounds(tile, halo_px)))

    def _vectors(self, home: SeasonFolder) -> Edition | None:
        """The published vectors of a season, if the edition may use them."""
        rounded = any(
            product.product != EMBEDDING and isinstance(product.encoding, Encoding) and product.encoding.storage
            for product in self.plan.products
        )
        return home.embeddings.current() if rounded and self.edition.manifest.get("carries", True) else None

    def _load(self, product: ProductPlan) -> None:
        encoder: Encoder
        model = kept_model(self.edition, product)
        if product.product == EMBEDDING:
            encoder = model.encoder()
            found = fingerprint(encoder)
        else:
            bundle = self.bundles[product.product] = model.bundle()
            encoder, found = bundle.encoder, bundle.hash
        if found != product.model_hash:
            raise InputError(
                f"{model.path}: the model has changed since edition {self.edition.id} was opened "
                f"(now {found[:12]}, then {product.model_hash[:12]}); put it back, or use --refresh"
            )
        key = product.encoding.encoder, product.encoding.precision
        if key not in self.embedders:
            self.embedders[key] = Embedder(encoder, self.device, self.machine.batch, product.encoding.precision)
        if product.product != EMBEDDING:
            bundle.encoder = self.embedders[key].encoder  # equal ones are kept in memory once
