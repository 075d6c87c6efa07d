"""The models of a region's editions, kept beside them by their hashes: a worker needs the output and the archive only.

They are copies, not links: whoever writes into a bundle later must not change what an edition was made with.
"""

import json
import shutil
from dataclasses import replace

from stook.models.source import ModelSource
from stook.transforms.editions.edition import Edition
from stook.transforms.editions.plan import ProductPlan
from stook.transforms.editions.season_folder import SeasonFolder
from stook.transforms.store import appearing, read_whole

MODELS = "models"  # folder of a region
LAST = "model.json"  # of the folder of a model; names the bundle or checkpoint beside it


def keep_model(season: SeasonFolder, product: ProductPlan) -> None:
    """Copy the model of a product, unless it is there.

    Raises:
        InputError: If it cannot be read.
        UnreachableError: If it is in a bucket that does not answer.
        STORE_FAILURES: If the output does not take it.
    """
    home = season.region / MODELS / product.model_hash
    if read_whole(home, LAST) is not None:
        return
    source = product.model.local
    with appearing(home, LAST) as folder:
        copy = shutil.copytree if source.is_dir() else shutil.copyfile
        copy(source, folder / source.name)
        (folder / LAST).write_text(json.dumps({"name": source.name}), encoding="utf-8")


def kept_model(edition: Edition, product: ProductPlan) -> ModelSource:
    """Where the model of a product is read from: its copy, or the user's own where an older version has kept none."""
    home = SeasonFolder.at(edition.folder.parent).region / MODELS / product.model_hash
    note = read_whole(home, LAST)
    return product.model if note is None else replace(product.model, path=str(home / note["name"]))
