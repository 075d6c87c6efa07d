"""Labelled places as a frozen encoder sees them: from imagery, or from vectors that were stored before."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stook.models.encoder import Encoder
from stook.models.errors import InputError
from stook.models.inference import Embedder
from stook.models.seen import SeenGround
from stook.pipelines.progress import Reporter
from stook.pipelines.training_configuration import LabelsSection, TrainConfiguration, TrainingSection
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.encoding.chips import ChipLayout
from stook.transforms.encoding.encode import TileView
from stook.transforms.encoding.encodings import Encoding
from stook.transforms.ground.grid import Tile
from stook.transforms.ground.squares import Squares
from stook.transforms.imagery.freeze import require_bands
from stook.transforms.labelled.features import (
    LabelledFeatures,
    SeasonReader,
    SeasonSettings,
    labelled_features,
    training_grid,
)
from stook.transforms.labelled.label_files import read_labels
from stook.transforms.labelled.labels import Classes, LabelledPixels
from stook.transforms.labelled.seen_ground import on_seen_ground
from stook.transforms.labelled.splits import require_unseen
from stook.transforms.tiles.embeddings import EmbeddingStore
from stook.transforms.tiles.view import encoded_view


@dataclass(frozen=True)
class Place:
    """One labelled place as the encoder sees it, the ground of its chips, and the bands that its archives lack."""

    section: LabelsSection
    labels: LabelledPixels
    seen: LabelledFeatures
    chips: Squares
    absent: frozenset[str]


def see(config: TrainConfiguration, section: LabelsSection, embedder: Embedder, reporter: Reporter) -> Place:
    """Read the labels of a place and get the vectors of its labelled pixels."""
    labels = labels_of(section).thinned(config.training.most_pixels, config.training.seed)
    seen, absent = features_of(config, section, labels, embedder)
    positive = int(seen.samples.labels.sum())
    text = f"{name_of(section)}: {len(seen.samples.labels)} labelled pixels, {positive} of the class"
    reporter.say("place_read", text, pixels=len(seen.samples.labels), positive=positive, unseen=seen.unseen)
    specification = embedder.encoder.specification
    side_m = max(labels.pixel_m, specification.chip_px * specification.resolution_m)
    return Place(section, labels, seen, Squares.around(labels.table, labels.pixel_m, side_m), absent)


def require_elsewhere(section: LabelsSection, blocks: np.ndarray, trained: np.ndarray, block_m: float) -> None:
    """Raise InputError if a held-out place has blocks that are trained on."""
    shared = np.isin(blocks, trained).sum()
    if shared:
        raise InputError(
            f"training.held_out: {section.file}: {shared} labels are in {block_m:g} m blocks that were trained on; "
            "held-out places must lie elsewhere"
        )


def require_never_seen(section: LabelsSection, chips: Squares, seen: SeenGround | None) -> None:
    """Raise InputError if chips of a held-out place lie on ground that the encoder was trained with before."""
    require_unseen(int(on_seen_ground(chips, seen).sum()), f"training.held_out: {section.file}")


def require_own_names(held_out: Sequence[LabelsSection]) -> None:
    """Raise InputError if two held-out places have one name, under which only one could be told."""
    names = [name_of(section) for section in held_out]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"training.held_out: two places are called {name}; rename a file")


def labels_of(section: LabelsSection) -> LabelledPixels:
    """The labelled pixels of a place."""
    classes = Classes(tuple(section.positive), tuple(section.negative))
    parcels = Path(section.parcels) if section.parcels else None
    return read_labels(Path(section.file), classes, section.field, parcels)


def features_of(
    config: TrainConfiguration, section: LabelsSection, labels: LabelledPixels, embedder: Embedder
) -> tuple[LabelledFeatures, frozenset[str]]:
    """The vectors of labelled pixels, stored ones if the configuration names them, and the bands that were absent."""
    training, encoder = config.training, embedder.encoder
    layout = layout_of(training, encoder)
    window = training.window.window()
    if section.embeddings is not None:
        wanted = Encoding.of(encoder, window, section.year, training.stride_px)
        store = stored_vectors(section, wanted)
        grid, view, absent = store.plan.grid, store.view, frozenset(store.edition.manifest["absent_bands"])
        if store.plan.cloud_dilation_px != config.composite.cloud_dilation_px:
            raise InputError(
                f"composite.cloud_dilation_px: {config.composite.cloud_dilation_px}, but {section.embeddings} was made "
                f"with {store.plan.cloud_dilation_px}"
            )
    else:
        settings = SeasonSettings(
            sources=config.imagery.sources(),
            periods=window.periods(section.year, encoder.specification.period, encoder.specification.most_periods),
            cloud_dilation_px=config.composite.cloud_dilation_px,
            readers=config.run.readers,
            backoff=config.run.backoff(),
        )
        grid = training_grid(layout.cell_px)
        reader = SeasonReader(encoder.specification, settings, labels.bounds, grid, layout.halo_px)
        require_bands(encoder.specification, encoder.family, reader.absent)
        absent = reader.absent
        everywhere = np.ones((grid.tile_px, grid.tile_px), bool)

        def view(tile: Tile) -> TileView:
            return encoded_view(reader.read(tile), embedder, layout, everywhere, absent)

    seen = labelled_features(
        labels, view, grid, layout.cell_px, encoder.output.width, training.minimum_observations, training.block_m
    )
    return seen, absent


def stored_vectors(section: LabelsSection, wanted: Encoding) -> EmbeddingStore:
    """The stored vectors of a place's season; raises InputError if there are none of that encoder and window."""
    folder = Path(str(section.embeddings))
    edition = SeasonFolder.at(folder).current()
    if edition is None:
        raise InputError(f"{folder}: holds no published vectors; 'stook embed' makes them")
    store = EmbeddingStore(edition, edition.plan)
    found = store.encoding
    if found.exact != wanted:
        raise InputError(f"{edition.folder}: holds vectors of another encoder, window or stride than the training's")
    return store


def layout_of(training: TrainingSection, encoder: Encoder) -> ChipLayout:
    """How the encoder's chips lie."""
    return ChipLayout.of(encoder.specification, encoder.output, training.stride_px)


def name_of(section: LabelsSection) -> str:
    """A place and year in words."""
    return f"{Path(section.file).stem} {section.year}"
