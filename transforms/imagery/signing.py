"""Tokens of the Planetary Computer: fetched just before a link is opened, and anew when one is refused.

The archive's library knows how tokens look and where they are asked for, and keeps them; it is not left to ask, because
it knows neither a timeout nor our patience.
"""

import threading
from urllib.parse import urlsplit

from planetary_computer import sas
from planetary_computer.settings import Settings
from planetary_computer.utils import parse_blob_url
from pydantic import ValidationError

from stook.models.errors import UnreachableError
from stook.transforms.backoff import BackOff
from stook.transforms.imagery.fetching import Fetcher, StatusError

LEAST_LIFE_S = 300.0  # of a token that is still used: a window is read in seconds, but a slow archive is waited for
ASKING = threading.Lock()  # one thread asks, the others find its token


def signed(href: str, backoff: BackOff, refused: str | None = None) -> str:
    """``href`` with a token; as it is where the archive needs none for it.

    Args:
        href: Unsigned.
        backoff: How patiently the token service is asked.
        refused: The signed link that was just refused: its token is not used again.

    Raises:
        UnreachableError: The token service does not answer, or refuses.
    """
    parts = urlsplit(href)
    if not parts.netloc.endswith(sas.BLOB_STORAGE_DOMAIN):
        return href
    url = "/".join([Settings.get().sas_url or "", *parse_blob_url(parts)])
    with ASKING:
        known = sas.TOKEN_CACHE.get(url)
        if known is None or known.ttl() < LEAST_LIFE_S or (refused and refused.endswith(known.token)):
            known = sas.TOKEN_CACHE[url] = _token(url, backoff)
    return known.sign(href).href


def _token(url: str, backoff: BackOff) -> sas.SASToken:
    """A new token."""
    key = Settings.get().subscription_key
    try:
        answer = Fetcher(backoff).request(url, headers={"Ocp-Apim-Subscription-Key": key} if key else None)
        return sas.SASToken.model_validate_json(answer)
    except StatusError as error:
        raise UnreachableError(f"{url}: no token ({error})") from error
    except ValidationError as error:
        raise UnreachableError(f"{url}: no token (the answer is none)") from error
