"""Logs of libraries without tokens: GDAL and urllib3 tell whole addresses, signed ones too."""

import logging
from functools import lru_cache

from stook.models.errors import without_secrets

TALKERS = ("rasterio._env", "urllib3.connectionpool", "pystac_client.stac_api_io")


@lru_cache(maxsize=1)
def keep_secrets() -> None:
    """See that what these libraries log has no tokens, whatever is done with it; once per process."""
    for name in TALKERS:
        logging.getLogger(name).addFilter(_without_secrets)


def _without_secrets(record: logging.LogRecord) -> bool:
    record.msg, record.args = without_secrets(record.getMessage()), None
    return True
