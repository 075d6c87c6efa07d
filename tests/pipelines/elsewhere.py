"""``python -m tests.pipelines.elsewhere map CONFIG --year Y`` is ``stook`` on a system that has only what all have.

Modules of ours cannot import what Windows lacks, there is no /proc, and no container says its limits. Libraries may do
as they like: they have other ways elsewhere.
"""

import builtins
import ctypes
import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

import stook

ABSENT = ("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios")
NOWHERE = Path("/nowhere")

original = builtins.__import__


def without(name: str, globals: Mapping[str, Any] | None = None, *more: Any, **named: Any) -> Any:  # noqa: A002
    """As ``import``, but modules of ours find no module that Windows lacks."""
    if globals is not None and str(globals.get("__name__")).startswith("stook.") and name in ABSENT:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return original(name, globals, *more, **named)


class NamedLibrary(ctypes.CDLL):
    """A library that has a name; Windows has no one of the process itself."""

    def __init__(self, name: str | None, *more: Any, **named: Any):
        if name is None:
            raise TypeError("argument 1 must be str, not None")
        super().__init__(name, *more, **named)


def leave() -> None:
    """Take away what other systems lack, and import all of ours."""
    builtins.__import__ = without
    psutil.LINUX = False
    for module in pkgutil.walk_packages(stook.__path__, "stook."):
        importlib.import_module(module.name)
    from stook.transforms import memory
    from stook.transforms.editions import lease

    lease.BOOT_ID = lease.NAMESPACE = memory.LIMIT = memory.USED = memory.PREFERENCE = NOWHERE
    ctypes.CDLL = NamedLibrary  # type: ignore[misc]


if __name__ == "__main__":
    leave()
    from stook.pipelines.cli import main

    main()
