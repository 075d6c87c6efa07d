"""Feature vectors come back from the store as they went in, give or take a rounding whose bound is stated."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor

from stook.models.errors import TileError
from stook.models.source import ModelSource
from stook.transforms.choices import Storage
from stook.transforms.editions import map_store
from stook.transforms.editions.plan import EMBEDDING, ProductPlan
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.encoding.chips import ChipLayout
from stook.transforms.encoding.encode import Features
from stook.transforms.encoding.encodings import Encoding, Quantisation
from stook.transforms.ground import cells
from stook.transforms.ground.cells import strips
from stook.transforms.ground.grid import Grid, Tile
from stook.transforms.imagery.season import Window
from stook.transforms.tiles.embeddings import EmbeddingStore, pack, rounded, unpack
from stook.transforms.values import NODATA
from tests.transforms.editions.test_edition import make_plan

WIDTH = 6
TILE_PX = 20
TILES = [Tile.parse(name) for name in ("32637_2500_50000", "32637_2501_50001", "32737_2500_49999")]
PIXELS, CELLS_OF_A_CHIP, PATCHES = ChipLayout(1, 1, 1), ChipLayout(9, 9, 5), ChipLayout(8, 2, 4)
STORAGES: tuple[Storage, ...] = get_args(Storage)
HALF_EPSILON, SMALLEST_HALF = 2.0**-11, 2.0**-25  # of float16: relative, and where numbers become subnormal


UNEVEN = Quantisation(offset=(0.0, 3.0, -1.0, 0.5, 0.0, 2.0), spread=(1.0, 0.2, 2.0, 0.5, 1.0, 3.0))


def vectors(largest: float = 6e4) -> st.SearchStrategy[Tensor]:
    """Some vectors, of magnitudes that lie far apart."""
    numbers = st.floats(-largest, largest, width=32, allow_subnormal=False)
    shapes = st.tuples(st.integers(1, 5), st.just(WIDTH))
    return arrays.arrays(np.float32, shapes, elements=numbers).map(torch.as_tensor)


@given(vectors())
def test_float32_keeps_every_bit(exact: Tensor) -> None:
    assert torch.equal(unpack(pack(exact, "float32")), exact)


@given(vectors())
def test_float16_is_off_by_a_two_thousandth_of_each_number_at_most(exact: Tensor) -> None:
    error = (unpack(pack(exact, "float16")) - exact).abs()
    assert (error <= HALF_EPSILON * exact.abs() + SMALLEST_HALF).all()


@given(vectors(largest=2.0**96))
def test_int8_is_off_by_half_the_scale_at_most_which_is_a_254th_of_the_largest_number(exact: Tensor) -> None:
    packed = pack(exact, "int8")
    assert packed.scale is not None and packed.values.dtype == torch.int8
    largest = exact.abs().amax(dim=1, keepdim=True)
    assert (packed.values.abs() <= 127).all()
    assert ((unpack(packed) - exact).abs() <= largest / 254 * (1 + 1e-4)).all()


@given(vectors(largest=100.0))
def test_int8_spends_its_steps_on_what_differs_between_places(exact: Tensor) -> None:
    packed = pack(exact, "int8", UNEVEN)
    assert packed.scale is not None
    bound = packed.scale[:, None] * torch.tensor(UNEVEN.spread) / 2
    assert ((unpack(packed, UNEVEN) - exact).abs() <= bound * (1 + 1e-4) + 1e-5).all()


@given(vectors(), st.sampled_from(STORAGES))
def test_what_was_rounded_once_is_not_changed_by_rounding_it_again(exact: Tensor, storage: Storage) -> None:
    once = unpack(pack(exact, storage))
    assert torch.equal(unpack(pack(once, storage)), once)


@given(vectors(), st.sampled_from(STORAGES))
def test_a_vector_is_rounded_by_itself_whatever_stands_beside_it(exact: Tensor, storage: Storage) -> None:
    alone = torch.cat([unpack(pack(exact[row : row + 1], storage)) for row in range(len(exact))])
    assert torch.equal(unpack(pack(exact, storage)), alone)


@pytest.mark.parametrize("storage", STORAGES)
def test_a_vector_of_zeros_stays_one_and_one_that_is_no_number_never_becomes_one(storage: Storage) -> None:
    given_vectors = torch.stack([torch.zeros(WIDTH), torch.full((WIDTH,), torch.nan), torch.ones(WIDTH)])
    found = unpack(pack(given_vectors, storage))
    assert torch.equal(found[0], torch.zeros(WIDTH))
    assert found[1].isnan().all()
    assert torch.allclose(found[2], torch.ones(WIDTH))


def test_a_number_beyond_float16_fails_the_tile_and_is_not_infinite() -> None:
    with pytest.raises(TileError, match=r"embeddings.storage: float16 cannot hold 7e\+04; float32 and int8 can"):
        pack(torch.full((1, WIDTH), 7e4), "float16")


def make_store(folder: Path, storage: Storage, layout: ChipLayout) -> EmbeddingStore:
    """An empty store of three tiles in two zones."""
    encoding = Encoding(
        encoder="encoder",
        width=WIDTH,
        layout=layout,
        periods=Window(6, 0, 2).periods(2023),
        resampling="nearest",
        bands=("red",),
        storage=storage,
        quantisation=UNEVEN if storage == "int8" else None,
    )
    product = ProductPlan(EMBEDDING, ModelSource("nowhere"), "encoder", encoding, 0)
    plan = replace(make_plan(), grid=Grid(tile_px=TILE_PX), products=(product,))
    season = SeasonFolder(folder, "region", "main-2023")
    with season.opening(plan) as (edition, manifest):
        map_store.create(edition.maps, plan, TILES)
        manifest["tiles"] = [tile.name for tile in TILES]
    [opened] = season.editions()
    return EmbeddingStore(opened, plan, mode="r+")


def tile_vectors(store: EmbeddingStore, seed: int = 0) -> tuple[np.ndarray, Tensor]:
    """Which cells of a tile have a vector, about two thirds, and one for every cell [row, column, width]."""
    random, side = np.random.default_rng(seed), store.cells.tile_px
    known = random.random((side, side)) < 0.67
    known[: side // 2, 0] = False
    return known, torch.as_tensor(random.normal(size=(side, side, WIDTH)).astype(np.float32))


def parts_of(known: np.ndarray, values: Tensor) -> list[Features]:
    """The vectors of the known cells strip by strip, as an encoder gives them."""
    parts = []
    for strip in strips(len(known), WIDTH):
        rows, columns = np.nonzero(known[strip])
        parts.append(Features(rows + strip.start, columns, values[rows + strip.start, columns]))
    return parts


@pytest.mark.parametrize(
    ("storage", "layout", "strip_values"),
    [
        ("float32", PIXELS, 250),  # strips of two rows
        ("float16", CELLS_OF_A_CHIP, 2**23),
        ("int8", PIXELS, 2**23),
        ("int8", PATCHES, 130),  # 2 of 10 rows
    ],
)
def test_vectors_come_back_strip_by_strip_as_if_they_had_just_been_encoded(
    storage: Storage, layout: ChipLayout, strip_values: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "STRIP_VALUES", strip_values)
    store = make_store(tmp_path, storage, layout)
    written = {tile: tile_vectors(store, seed) for seed, tile in enumerate(TILES)}
    for tile, (known, values) in written.items():
        assert (store.write(tile, iter(parts_of(known, values)), lambda: None) == known).all()
    for tile, (known, values) in written.items():
        everything = np.ones_like(known)
        found, expected = list(store.read(tile, everything)), parts_of(known, values)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one.rows, other.rows)
            np.testing.assert_array_equal(one.columns, other.columns)
            assert torch.equal(one.vectors, rounded(other, store.product.encoding).vectors)
            assert one.vectors.is_contiguous() and one.vectors.dtype == torch.float32


def test_only_wanted_cells_are_given_and_a_strip_without_any_is_given_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "STRIP_VALUES", 250)
    store, tile = make_store(tmp_path, "int8", PIXELS), TILES[0]
    known, values = tile_vectors(store)
    store.write(tile, iter(parts_of(known, values)), lambda: None)
    wanted = np.zeros_like(known)
    wanted[7:9, 3:12] = True
    found = list(store.read(tile, wanted))
    assert len(found) == TILE_PX // 2
    seen = np.zeros_like(known)
    for part in found:
        assert part.vectors.shape == (len(part.rows), WIDTH)
        seen[part.rows, part.columns] = True
    np.testing.assert_array_equal(seen, wanted & known)


def test_what_is_written_again_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    store, tile = make_store(tmp_path, "float16", PIXELS), TILES[1]
    for seed in (1, 2):
        known, values = tile_vectors(store, seed)
        store.write(tile, iter(parts_of(known, values)), lambda: None)
    [part] = store.read(tile, np.ones_like(known))
    assert len(part.rows) == known.sum()
    assert torch.equal(part.vectors, values[part.rows, part.columns].half().float())


def test_heads_see_the_stored_observations_and_nothing_where_the_store_does_not_reach(tmp_path: Path) -> None:
    store, tile = make_store(tmp_path, "int8", PATCHES), TILES[2]
    clear = np.random.default_rng(3).integers(0, 255, (10, 10)).astype(np.uint8)
    array = map_store.open_layer(store.edition.maps, tile.zone.name, 20, "embedding_clear_observations", mode="r+")
    array[:] = clear
    np.testing.assert_array_equal(store.view(tile).clear, clear)
    for elsewhere in ("32637_2499_50000", "32638_2500_50000"):
        view = store.view(Tile.parse(elsewhere))
        assert view.clear.shape == (10, 10) and (view.clear == NODATA).all()
        assert list(view.features(np.ones((10, 10), bool))) == []


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_any_reader_of_zarr_opens_the_vectors(storage: Storage, tmp_path: Path) -> None:
    store, tile = make_store(tmp_path, storage, CELLS_OF_A_CHIP), TILES[2]
    known, values = tile_vectors(store)
    store.write(tile, iter(parts_of(known, values)), lambda: None)
    opened = xr.open_zarr(store.edition.maps, group="32737/50m", consolidated=False)
    assert opened[EMBEDDING].dims == ("feature", "y", "x")
    found = opened[EMBEDDING]
    if storage == "int8":
        told = (xr.DataArray(found.attrs[name], dims="feature") for name in ("offset", "spread"))
        offset, spread = told
        found = found * opened["embedding_scale"] * spread + offset
    np.testing.assert_array_equal(np.isfinite(found).all("feature"), known)
    tolerance = {"float32": 0, "float16": 2e-3, "int8": 0.3}[storage]
    np.testing.assert_allclose(found.transpose("y", "x", "feature").values[known], values[known], atol=tolerance)
    text = (store.edition.maps / "32737/50m/embedding/zarr.json").read_text()
    assert ": NaN" not in text, "NaN is no JSON"


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_a_tile_that_was_given_up_has_no_vectors(storage: Storage, tmp_path: Path) -> None:
    store, tile = make_store(tmp_path, storage, PIXELS), TILES[0]
    known, values = tile_vectors(store)
    store.write(tile, iter(parts_of(known, values)), lambda: None)
    window = store.extents[tile.zone].slices(store.cells, tile)
    map_store.write_blank(store.edition.maps, store.plan, store.product, tile, window)
    assert sum(len(part.rows) for part in store.read(tile, np.ones_like(known))) == 0
    group = zarr.open_group(store.edition.maps / "32637/10m", mode="r")
    assert (np.asarray(group["embedding_clear_observations"][window]) == NODATA).all()
