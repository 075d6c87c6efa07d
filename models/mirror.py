"""Models in Google Cloud Storage, copied to this machine once; what they are is checked where they are opened."""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import fsspec

from stook.models.errors import InputError, UnreachableError
from stook.models.weights import weights_dir

CLOUD = "gs://"


def on_this_machine(path: str) -> Path:
    """A file or folder of a model: the path itself, or for ``gs://…`` a copy in the cache, made anew when it changes.

    Raises:
        InputError: If there is nothing, or no permission to read it.
        UnreachableError: If the store does not answer.
    """
    if not path.startswith(CLOUD):
        return Path(path)
    # The emulator's variable is Google's own; without it gcsfs looks for credentials where Google's libraries do.
    options = {"token": "anon"} if os.environ.get("STORAGE_EMULATOR_HOST") else {}
    try:
        store, name = fsspec.url_to_fs(path, use_listings_cache=False, **options)
        found = {each: facts for each, facts in store.find(name, detail=True).items() if not each.endswith("/")}
        if not found:
            raise InputError(f"{path}: no such model, or no permission to read it")
        versions = sorted((each, str(facts.get("generation", facts["size"]))) for each, facts in found.items())
        copy = weights_dir() / "mirror" / hashlib.sha256(repr(versions).encode()).hexdigest()[:24]
        if not copy.exists():
            _fetch(store, name, sorted(found), copy)
    except (InputError, UnreachableError):
        raise
    except Exception as error:  # the store's client has failures of five libraries
        raise UnreachableError(f"{path}: cannot be read ({' '.join(str(error).split())[:200]})") from error
    return copy / name.rpartition("/")[2]


def _fetch(store: fsspec.AbstractFileSystem, name: str, files: list[str], copy: Path) -> None:
    """Copy the files, in a folder that appears whole."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{copy.name}-", dir=copy.parent))
    try:
        for file in files:
            target = scratch / file.removeprefix(f"{name.rpartition('/')[0]}/")
            target.parent.mkdir(parents=True, exist_ok=True)
            store.get_file(file, str(target))
        try:
            scratch.rename(copy)
        except OSError:
            if not copy.exists():  # else another process was faster
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
