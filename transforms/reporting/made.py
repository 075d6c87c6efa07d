"""What a published edition was made from and what it says, read once, to be held against another."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
from pydantic import ValidationError

from stook.models.errors import InputError
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.plan import DerivedPlan, Plan, ProductPlan
from stook.transforms.reporting.columns import AREAS
from stook.transforms.reporting.facts import scenes_of
from stook.transforms.reporting.tables import estimates_table, key_of, newest_of_each, vintage_of
from stook.transforms.store import exists, fetched

TABLE = "statistics.parquet"
COLUMNS = [name for name in AREAS if name not in ("edition", "boundary_vintage")]  # which reports add
SCENE = ["source", "item_id"]


@dataclass(frozen=True)
class Made:
    """An edition that was finished.

    Attributes:
        edition: The edition.
    """

    edition: Edition

    @cached_property
    def plan(self) -> Plan:
        """What it is made of.

        Raises:
            InputError: If another version of Stook wrote it in a form that this one does not read.
        """
        try:
            return self.edition.plan
        except (ValidationError, KeyError) as error:
            raise InputError(
                f"{self.edition.folder}: was made by another version of Stook, whose editions this one cannot read"
            ) from error

    @cached_property
    def versions(self) -> Mapping[str, str]:
        """Package -> version that the edition was opened with."""
        versions: dict[str, str] = self.edition.manifest["versions"]
        return versions

    @cached_property
    def areas(self) -> pd.DataFrame:
        """The table as it was published.

        Raises:
            InputError: If the edition was never finished.
        """
        path = self.edition.folder / TABLE
        if not exists(path):
            raise InputError(f"{self.edition.folder}: this edition was never finished, it has no {TABLE}")
        return pd.read_parquet(fetched(path)).reindex(columns=COLUMNS)  # versions before this one wrote fewer

    @cached_property
    def estimates(self) -> pd.DataFrame | None:
        """The newest estimates, None where there are none."""
        return estimates_table(self.edition, vintage_of(self.edition, None))

    @cached_property
    def summaries(self) -> dict[tuple[str, str], Mapping[str, Any]]:
        """Product and earlier season (empty but for changes) -> what its newest estimates rest on."""
        return {key_of(found): found.summary for found in newest_of_each(self.edition)}

    @cached_property
    def scenes(self) -> pd.DataFrame:
        """Baseline and updated of every frozen scene, by source and item."""
        return scenes_of(self.edition).drop_duplicates(SCENE).set_index(SCENE)

    def product(self, name: str) -> ProductPlan | DerivedPlan | None:
        """A product of the edition, None if it has no such."""
        return next((product for product in self.plan.all_products if product.product == name), None)

    def made_by_models(self, name: str) -> Iterator[ProductPlan]:
        """The products of models that a product is or is made from."""
        product = self.product(name)
        if isinstance(product, ProductPlan):
            yield product
        elif product is not None:
            for source in product.inputs:
                yield from self.made_by_models(source)

    def scenes_read(self, product: ProductPlan) -> pd.DataFrame:
        """The frozen scenes that a product of a model reads."""
        periods = product.encoding.periods
        sensors = self.scenes.index.get_level_values("source").isin(product.encoding.sensors)
        within = (self.scenes["datetime"] >= periods[0].start) & (self.scenes["datetime"] < periods[-1].end)
        return self.scenes[sensors & within]
