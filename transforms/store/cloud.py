"""Objects of Google Cloud Storage: read, written under a precondition, copied by the server, listed, removed.

Every request is repeated while the service refuses (429, 5xx) or the connection breaks. A write whose answer was lost
is repeated too: under a precondition the repetition then fails although the first one succeeded, so what is there
decides.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from google.api_core.exceptions import NotFound, PreconditionFailed
from google.auth.exceptions import DefaultCredentialsError
from google.cloud import storage  # type: ignore[attr-defined]
from google.cloud.storage.retry import DEFAULT_RETRY
from upath.implementations.cloud import GCSPath

from stook.models.errors import InputError
from stook.transforms.store.failures import ChangedError

ABSENT = 0  # the generation of what is not there
RETRY = DEFAULT_RETRY.with_timeout(300.0)  # seconds; then the store counts as one that does not answer


@cache
def client() -> storage.Client:
    """The client of this process, with the credentials that Google's libraries find; raises InputError without any."""
    try:
        return storage.Client()
    except DefaultCredentialsError:
        raise InputError(
            "gs://: no credentials of Google Cloud were found; run 'gcloud auth application-default login', or name a "
            "key file in GOOGLE_APPLICATION_CREDENTIALS"
        ) from None


def blob(where: GCSPath) -> storage.Blob:
    """The object at a place, there or not."""
    bucket, _, name = where.path.partition("/")
    return client().bucket(bucket).blob(name)


def read(where: GCSPath) -> tuple[bytes, int] | None:
    """Content and generation of an object, or None where there is none."""
    found = blob(where)
    try:
        content = found.download_as_bytes(retry=RETRY)
    except NotFound:
        return None
    return content, int(found.generation)


def put(where: GCSPath, content: bytes, generation: int | None = None) -> int:
    """Write an object that may be replaced later; returns its generation.

    Args:
        where: The object.
        content: Of it.
        generation: Write only over this one; ``ABSENT`` for none. None writes over whatever is there.

    Raises:
        ChangedError: If another generation is there.
    """
    written = blob(where)
    written.cache_control = "no-store"  # objects of public buckets are served an hour long from caches otherwise
    try:
        written.upload_from_string(
            content, content_type="application/octet-stream", if_generation_match=generation, retry=RETRY
        )
    except PreconditionFailed:
        there = read(where)
        if there is not None and there[0] == content:  # ours, its answer was lost
            return there[1]
        raise ChangedError(f"{where}: was changed by somebody else") from None
    return int(written.generation)


def upload(file: Path, where: GCSPath, generation: int | None = None) -> int:
    """Write a file of this machine as an object, which appears whole; returns its generation.

    Args:
        file: The file.
        where: The object.
        generation: Write only over this one, what may be replaced again; ``ABSENT`` for none.

    Raises:
        ChangedError: If another generation is there, also that of a first try whose answer was lost.
    """
    written = blob(where)
    written.cache_control = "no-store"
    try:
        written.upload_from_filename(
            str(file), content_type="application/octet-stream", if_generation_match=generation, retry=RETRY
        )
    except PreconditionFailed:
        raise ChangedError(f"{where}: was changed by somebody else") from None
    return int(written.generation)


def download(where: GCSPath, file: Path) -> None:
    """Write an object as a file of this machine; raises FileNotFoundError where there is none."""
    try:
        blob(where).download_to_filename(str(file), retry=RETRY)
    except NotFound:
        raise FileNotFoundError(str(where)) from None


def copy(source: GCSPath, target: GCSPath) -> bool:
    """Copy an object without its bytes coming here; returns whether there was one."""
    token = None
    try:
        while True:  # a large object is copied in several calls
            token, _, _ = blob(target).rewrite(blob(source), token=token, retry=RETRY)
            if token is None:
                return True
    except NotFound:
        return False


def exists(where: GCSPath) -> bool:
    """Whether there is an object."""
    return bool(blob(where).exists(retry=RETRY))


def generation(where: GCSPath) -> int:
    """The generation of an object, ``ABSENT`` where there is none."""
    found = blob(where)
    try:
        found.reload(retry=RETRY)
    except NotFound:
        return ABSENT
    return int(found.generation)


def delete(where: GCSPath, generation: int | None = None) -> None:
    """Remove an object if it is there, and of this generation where one is given."""
    try:
        blob(where).delete(if_generation_match=generation, retry=RETRY)
    except (NotFound, PreconditionFailed):
        return


def delete_below(where: GCSPath) -> None:
    """Remove every object whose name starts with a place and a slash."""
    for found in below(where):
        delete(where.joinpath(found.name.removeprefix(f"{where.path.partition('/')[2].rstrip('/')}/")))


def below(where: GCSPath) -> Iterator[storage.Blob]:
    """Every object whose name starts with a place and a slash, by name."""
    bucket, _, name = where.path.partition("/")
    yield from client().list_blobs(bucket, prefix=f"{name.rstrip('/')}/", retry=RETRY)


def generations_below(where: GCSPath) -> dict[str, int]:
    """What follows a place and a slash in names of objects -> their generation."""
    prefix = f"{where.path.partition('/')[2].rstrip('/')}/"
    found = {each.name.removeprefix(prefix): int(each.generation) for each in below(where)}
    return {name: each for name, each in found.items() if name and not name.endswith("/")}  # of consoles, see below


def files_in(where: GCSPath) -> Iterator[storage.Blob]:
    """Every object whose name is a place, a slash and a word without one, by name; those further below are not read."""
    bucket, _, name = where.path.partition("/")
    prefix = f"{name.rstrip('/')}/"
    listed = client().list_blobs(bucket, prefix=prefix, delimiter="/", retry=RETRY)
    yield from (found for found in listed if found.name != prefix)  # which consoles make to show an empty folder


def folders_in(where: GCSPath) -> list[str]:
    """What follows a place in names of objects, up to the next slash, sorted."""
    bucket, _, name = where.path.partition("/")
    listing = client().list_blobs(bucket, prefix=f"{name.rstrip('/')}/", delimiter="/", retry=RETRY)
    for _ in listing.pages:  # prefixes are known once every page was read
        continue
    return sorted(prefix.rstrip("/").rpartition("/")[2] for prefix in listing.prefixes)


def bucket_exists(where: GCSPath) -> bool:
    """Whether the bucket of a place is there.

    Asked by listing: who may read and write objects may not see the bucket itself.
    """
    bucket, _, name = where.path.partition("/")
    try:
        next(iter(client().list_blobs(bucket, prefix=name, max_results=1, retry=RETRY)), None)
    except NotFound:
        return False
    return True
