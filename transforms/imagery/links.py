"""Where the links of a catalogue may lead: what somebody else wrote must not decide what is opened on this machine."""

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urljoin, urlsplit
from urllib.request import url2pathname

from stook.models.errors import InputError

HTTP = ("http", "https")
REMOTE = (*HTTP, "s3", "gs")
LOCAL = ("", "file")
IN_A_HEADER = re.compile(r"[\x20-\x7e]+")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")  # RFC 9110, token
STANDS_FOR = re.compile(r"\$\{(file:)?([^{}]+)\}")
SECRET = re.compile(
    r"(?i)(^|&)(sig|signature|token|access_token|api_?key|(?:ocp-apim-)?subscription-key|x-amz-\w[\w-]*|x-goog-\w[\w-]*|awsaccesskeyid)="
)


def scheme_of(href: str) -> str:
    """The scheme in small letters; empty for a path, also of a drive of Windows."""
    scheme = urlsplit(href).scheme.lower()
    return scheme if len(scheme) > 1 else ""


def local_path(href: str) -> str:
    """The path that a path or a file:// link names."""
    parts = urlsplit(href)
    return url2pathname(parts.path) if parts.scheme.lower() == "file" else href


def path_of(href: str) -> str:
    """The path of a link: on this machine as it stands, of an address without what asks for a part of the file."""
    return local_path(href) if scheme_of(href) in LOCAL else urlsplit(href).path


def absolute(href: str, base: str) -> str:
    """The absolute form of a link in the document at ``base``; a path on this machine may hold #, % and ? as it is."""
    scheme = scheme_of(base)
    if scheme not in REMOTE:
        folder = Path(local_path(base)).parent
        return href if scheme_of(href) else os.path.abspath(folder / href)  # noqa: PTH100  resolves no symbolic links
    if urlsplit(href).scheme:
        return href
    # urljoin knows the schemes of the web only.
    return scheme + urljoin("https" + base[len(scheme) :], href)[len("https") :]


def carries_secret(href: str) -> str | None:
    """What in a link is a secret, or None: links are kept in editions, and tokens expire."""
    parts = urlsplit(href)
    if "@" in parts.netloc:
        return "a user name or password"
    return "a token" if SECRET.search(parts.query) else None


@dataclass(frozen=True)
class Reach:
    """Where the links of one archive may lead.

    A link in a document of a folder may name files of the catalogue's own folder tree, and http, https, s3 and gs
    addresses; one in a document from elsewhere only the latter. GDAL's virtual paths, and links that carry a token, are
    refused everywhere.

    Attributes:
        catalog: Where the catalogue is; its own host is always allowed.
        sensor: For messages.
        hosts: The only hosts (buckets of object stores) that addresses may have, ``*`` for any part; any if empty.
        folders: More folder trees that files may lie in.
        headers: Name and value of headers that the catalogue's own host and ``hosts`` are asked with; ``${NAME}`` in a
            value stands for a variable of the environment, ``${file:PATH}`` for the content of a file.
    """

    catalog: str
    sensor: str
    hosts: Sequence[str] = ()
    folders: Sequence[str] = ()
    headers: Sequence[tuple[str, str]] = ()

    def headers_for(self, url: str) -> dict[str, str]:
        """The headers that an address is asked with, secrets filled in; none where they are not meant for its host.

        Raises:
            InputError: If a secret is not there.
        """
        if not self.headers or scheme_of(url) not in HTTP or not self._is_named(urlsplit(url).hostname or ""):
            return {}
        return {name: STANDS_FOR.sub(self._secret, value) for name, value in self.headers}

    def _secret(self, place: re.Match[str]) -> str:
        """What stands for a variable of the environment or a file."""
        try:
            value = Path(place[2]).read_text(encoding="utf-8-sig") if place[1] else os.environ[place[2]]
        except (KeyError, OSError, UnicodeDecodeError):
            what = "the file cannot be read" if place[1] else "the environment has no such variable"
            raise InputError(f"imagery.{self.sensor}.headers: {place[0]}: {what}") from None
        if not IN_A_HEADER.fullmatch(value.strip()):
            raise InputError(
                f"imagery.{self.sensor}.headers: {place[0]}: is empty, or holds what no header can, such as "
                "a second line"
            )
        return value.strip()

    def _is_named(self, host: str) -> bool:
        """Whether a host is the catalogue's own or one of ``hosts``."""
        own = urlsplit(self.catalog).hostname if scheme_of(self.catalog) in REMOTE else None
        return host == own or any(fnmatchcase(host, pattern.lower()) for pattern in self.hosts)

    def resolved(self, href: object, base: str, what: str) -> str:
        """The absolute form of a link, if it may be followed.

        Args:
            href: As it stands in the document.
            base: Where the document is.
            what: Names the link in messages: item and asset, or the document.

        Raises:
            InputError: If it may not; names the link and the field that allows more.
        """
        if not isinstance(href, str) or not href.strip():
            raise InputError(f"{self.catalog}: {what}: a link without an address")
        if href.startswith((".\\", "..\\")):
            href = href.replace("\\", "/")  # written on Windows
        if href.startswith("/vsi") or "<" in href or any(ord(letter) < 32 for letter in href):
            raise self._refusal(what, href, "it is no path or address of a file")
        target = absolute(href, base)
        scheme = scheme_of(target)
        if scheme not in (*LOCAL, *REMOTE) or target.startswith("/vsi"):
            raise self._refusal(what, href, f"allowed are paths and {', '.join(REMOTE)}")
        if scheme in REMOTE and (secret := carries_secret(target)):
            raise self._refusal(what, href, f"it carries {secret}, which would be kept with the edition")
        if scheme in REMOTE:
            self.allow_host(target, what)
        elif scheme_of(base) in REMOTE:
            raise self._refusal(what, href, "a file of this machine, but the catalogue is not")
        else:
            self._allow_file(target, what)
            return local_path(target)
        return target

    def allow_host(self, url: str, what: str = "a redirect") -> None:
        """Raise InputError if an address is on a host that is not allowed."""
        parts = urlsplit(url)
        if parts.scheme.lower() not in REMOTE:
            raise self._refusal(what, url, f"allowed are {', '.join(REMOTE)}")
        host = parts.hostname or ""
        if self.hosts and not self._is_named(host):
            raise self._refusal(what, url, f"imagery.{self.sensor}.hosts allows {', '.join(self.hosts)}")

    def _allow_file(self, path: str, what: str) -> None:
        """Raise InputError if a file, symbolic links resolved, lies outside the catalogue's and given folders."""
        wanted = Path(os.path.realpath(local_path(path)))
        own = Path(local_path(self.catalog)).parent
        trees = [Path(os.path.realpath(tree)) for tree in (str(own), *self.folders)]
        if not any(wanted.is_relative_to(tree) for tree in trees):
            raise self._refusal(
                what, path, f"outside the catalogue's folder; imagery.{self.sensor}.folders can allow other folders"
            )

    def _refusal(self, what: str, href: str, why: str) -> InputError:
        return InputError(f"{self.catalog}: {what}: link {href[:200]!r} is refused: {why}")
