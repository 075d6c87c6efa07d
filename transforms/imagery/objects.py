"""Objects of S3, and of what speaks like it, asked by a client of their own.

GDAL reads them, but says of every failure that there is no such file. Credentials and endpoint are found where GDAL
finds them: in ``AWS_*`` of the environment.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

if TYPE_CHECKING:
    from obstore.store import S3Config

FAILURES = (BaseError, OSError)
"""What this client raises; some of Python's own, too."""

NO_BUCKET = "NoSuchBucket"  # code of S3's answer, which the client's errors quote
NO = ("no", "false", "0", "off")


def status_of(href: str, timeout_s: float) -> int | str:
    """The status of HTTP that a store answers to a request of an object's first byte, or in words why there is none."""
    try:
        store, key = _opened(href, timeout_s)
        obstore.get_range(store, key, start=0, length=1)
    except (NotFoundError, FileNotFoundError) as error:
        return "there is no such bucket" if NO_BUCKET in str(error) else 404
    except UnauthenticatedError:
        return 401
    except (PermissionDeniedError, PermissionError):
        return 403
    except FAILURES as error:
        return in_a_line(error)
    return 200


def parts_of(href: str, timeout_s: float) -> Iterator[bytes]:
    """The content of an object, part by part; raises ``FAILURES``."""
    store, key = _opened(href, timeout_s)
    yield from (bytes(part) for part in obstore.get(store, key).stream())


def in_a_line(error: Exception) -> str:
    """The first sentence of what went wrong: the client adds its whole configuration."""
    return str(error).partition("\n")[0].partition("Debug source")[0].strip()[:200]


def _opened(href: str, timeout_s: float) -> tuple[S3Store, str]:
    """The bucket of an ``s3://`` address, and the object's key."""
    parts = urlsplit(href, allow_fragments=False)
    silence = timedelta(seconds=timeout_s)
    store = S3Store(
        parts.netloc,
        config=settings(os.environ),
        client_options={"timeout": silence, "connect_timeout": silence, "allow_http": True},
        retry_config={"max_retries": 0},  # patience is ours
    )
    return store, href.partition(f"://{parts.netloc}/")[2]


def settings(environment: Mapping[str, str]) -> "S3Config":
    """What GDAL makes of the environment, in the words of this client, which reads keys and tokens itself."""

    def on(name: str, default: str) -> bool:
        return environment.get(name, default).lower() not in NO

    config: S3Config = {
        "region": environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1",
        "virtual_hosted_style_request": on("AWS_VIRTUAL_HOSTING", "TRUE"),
        "skip_signature": on("AWS_NO_SIGN_REQUEST", "NO"),
        "request_payer": environment.get("AWS_REQUEST_PAYER", "").lower() == "requester",
    }
    if endpoint := environment.get("AWS_S3_ENDPOINT"):
        web = "https" if on("AWS_HTTPS", "YES") else "http"
        config["endpoint"] = endpoint if "://" in endpoint else f"{web}://{endpoint}"
    return config
