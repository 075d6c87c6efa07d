"""``stook models``: the published encoders, their files, and what is known about both."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.table import Table

from stook.models.checkpoints import CHECKPOINTS, Checkpoint
from stook.models.errors import InputError
from stook.models.families import FAMILIES
from stook.models.fetch import Consent, fetch, offline_line
from stook.models.fetch import Progress as ProgressCallback
from stook.models.specification import InputSpecification, OutputSpecification
from stook.models.weights import checkpoint_named, file_sha256, find, open_checkpoint, place, weights_dir

WIDTH = 150  # of tables; wider than a terminal is better than names that are cut
SENSORS = {"sentinel1": "S1", "sentinel2": "S2", "rgb": "RGB"}
UNITS = {"sentinel1": "dB", "sentinel2": "reflectance", "rgb": "brightness 0…1"}


def print_list(weights: Path | None, as_json: bool) -> None:
    """Print every checkpoint that is known."""
    folder = weights_dir(weights)
    if as_json:
        print(json.dumps([facts(checkpoint, folder) for checkpoint in CHECKPOINTS.values()], indent=2))
        return
    table = Table(box=None, title=f"Weights are kept in {folder}", title_justify="left")
    for heading in ("name", "family", "sensors", "time", "sees", "gives", "licence", "hash", "present"):
        table.add_column(heading, no_wrap=True)
    for checkpoint in CHECKPOINTS.values():
        present = "yes" if place(checkpoint, folder).is_file() else "no"
        table.add_row(*summary(checkpoint), "known" if checkpoint.sha256 else "unverified", present)
    Console(width=WIDTH).print(table)


def print_encoder(name: str, weights: Path | None, as_json: bool) -> None:
    """Print all that is known of one checkpoint; raises InputError if it is unknown."""
    checkpoint, folder = checkpoint_named(name), weights_dir(weights)
    if as_json:
        print(json.dumps(facts(checkpoint, folder), indent=2))
        return
    specification, output = interface(checkpoint)
    path = place(checkpoint, folder)
    lines = {
        "family": f"{checkpoint.family} {asdict(checkpoint.size)}",
        "sees": f"{sees(specification)} of {specification.resolution_m:g} m; resampling {specification.resampling}",
        "time": time_layout(specification),
        "gaps": "left out band by band" if specification.masks_missing else "no answer where anything is missing",
        "gives": gives(specification, output),
        "options": ", ".join(f"{name} ({getattr(checkpoint.size, name)})" for name in checkpoint.options) or "none",
        "file": f"{path} ({'present' if path.is_file() else 'absent'}{size_in_words(checkpoint)})",
        "sources": " ".join(checkpoint.sources) or "no address of the file is known, see the page",
        "page": checkpoint.page,
        "sha256": checkpoint.sha256 or "unverified: nobody has recorded one",
        "licence": f"{checkpoint.licence} ({checkpoint.terms})",
        "cite": checkpoint.citation,
    }
    print(checkpoint.name)
    for word, text in lines.items():
        print(f"  {word:<8} {text}")
    print("  bands in order, each scaled as (x + shift) / divide" + steps_in_words(specification))
    table = Table(box=None, padding=(0, 2))
    for heading in ("", "band", "sensor", "unit", "shift", "divide"):
        table.add_column(heading, justify="right" if heading in ("shift", "divide") else "left")
    for band in specification.bands:
        table.add_row("", band.name, band.sensor, UNITS[band.sensor], f"{band.shift:.6g}", f"{band.divide:.6g}")
    Console(width=WIDTH).print(table)


def run_fetch(
    name: str, weights: Path | None, mirror: str | None, accept_licence: bool, allow_unverified: bool
) -> None:
    """Download a checkpoint and print where it is, its licence and its citation; raises as ``fetch``."""
    checkpoint, folder = checkpoint_named(name), weights_dir(weights)
    consent = Consent(licence=accept_licence, unverified=allow_unverified)
    with progress_bar(name) as progress:
        fetched = fetch(checkpoint, folder, consent, mirror, progress)
    print(f"{fetched.path}: {'was there already' if fetched.was_there else 'fetched'}")
    if checkpoint.sha256 is None:
        print(f"sha256 {fetched.sha256} is what arrived; nobody has verified it. Record it in models/checkpoints.py")
    print(f"licence: {checkpoint.licence} ({checkpoint.terms}); cite: {checkpoint.citation}")


def run_verify(name: str | None, weights: Path | None, allow_unverified: bool) -> int:
    """Hash and open the checkpoints that are present, or one; returns the exit status, 2 if a file is wrong."""
    folder = weights_dir(weights)
    if name is not None:
        find(name, folder)
        chosen = [CHECKPOINTS[name]]
    else:
        chosen = [checkpoint for checkpoint in CHECKPOINTS.values() if place(checkpoint, folder).is_file()]
    wrong = 0
    for checkpoint in chosen:
        try:
            print(f"{checkpoint.name}: {examined(checkpoint, place(checkpoint, folder), allow_unverified)}")
        except InputError as error:
            wrong += 1
            print(f"{checkpoint.name}: WRONG: {error}")
    print(f"{folder}: {len(chosen)} of {len(CHECKPOINTS)} checkpoints present, {wrong} wrong")
    return InputError.exit_status if wrong else 0


def examined(checkpoint: Checkpoint, path: Path, allow_unverified: bool) -> str:
    """What hashing and opening a file showed; InputError if it is wrong."""
    if checkpoint.sha256 is None and not allow_unverified:
        return f"sha256 {file_sha256(path)}, unverified; not opened, --allow-unverified opens it"
    opened = open_checkpoint(checkpoint.name, path, allow_unverified=allow_unverified)
    parameters = sum(parameter.numel() for parameter in opened.encoder.parameters())
    groups = ", ".join(dict.fromkeys(key.split(".")[0] for key in opened.dropped))
    dropped = f"{len(opened.dropped)} dropped" + (f" ({groups})" if groups else "")
    status = "as published" if checkpoint.sha256 else f"unverified sha256 {opened.sha256}"
    return f"{status}, {parameters:,} parameters, {len(opened.used)} keys used, {dropped}"


def facts(checkpoint: Checkpoint, folder: Path) -> dict[str, Any]:
    """Everything about a checkpoint, as plain data."""
    specification, output = interface(checkpoint)
    path = place(checkpoint, folder)
    return {
        **asdict(checkpoint),
        "sensors": specification.sensors,
        "input": specification.as_json(),
        "output": asdict(output),
        "path": str(path),
        "present": path.is_file(),
        "verified": checkpoint.sha256 is not None,
        "offline": offline_line(checkpoint, folder),
    }


def markdown() -> str:
    """The registry as the table of docs/encoders.md."""
    headings = ("name", "family", "sensors", "time", "sees", "gives", "licence", "sha256")
    rows = [f"| {' | '.join(headings)} |", "|" + "---|" * len(headings)]
    for checkpoint in CHECKPOINTS.values():
        known = f"`{checkpoint.sha256[:8]}…`" if checkpoint.sha256 else "unverified"
        name, *rest = summary(checkpoint)
        rows.append(f"| [`{name}`]({checkpoint.page}) | {' | '.join(rest)} | {known} |")
    return "\n".join(rows)


def summary(checkpoint: Checkpoint) -> tuple[str, ...]:
    """Name, family, sensors, time, input, output and licence in a few words each."""
    specification, output = interface(checkpoint)
    sensors = ", ".join(SENSORS[sensor] for sensor in specification.sensors)
    licence = checkpoint.licence if checkpoint.terms != "unknown" else "unknown"
    return (
        checkpoint.name,
        checkpoint.family,
        f"{sensors} ({len(specification.bands)} bands)",
        time_layout(specification),
        f"{sees(specification)} of {specification.resolution_m:g} m",
        gives(specification, output),
        licence,
    )


def interface(checkpoint: Checkpoint) -> tuple[InputSpecification, OutputSpecification]:
    """What the checkpoint's encoder expects and gives, without building it."""
    return FAMILIES[checkpoint.family].interface(checkpoint.size)


def sees(specification: InputSpecification) -> str:
    """The chip in words."""
    return "1 pixel" if specification.chip_px == 1 else f"{specification.chip_px} px"


def time_layout(specification: InputSpecification) -> str:
    """The periods in words."""
    most = specification.most_periods
    match specification.period:
        case "month":
            return f"≤ {most} months"
        case "month-mean":
            return f"mean of ≤ {most} months"
        case "ten-days":
            return f"≤ {most} × 10 days"
        case _:
            return "1 image" if most == 1 else f"{most} images"


def gives(specification: InputSpecification, output: OutputSpecification) -> str:
    """The feature vectors in words."""
    if output.patch_px == specification.chip_px:
        return f"{output.width}"
    return f"{output.width} per {output.patch_px} px"


def steps_in_words(specification: InputSpecification) -> str:
    """What follows the scaling, if anything does."""
    return f", clipped to 0…1, cut to {specification.levels} levels" if specification.levels else ""


def size_in_words(checkpoint: Checkpoint) -> str:
    """The file's size in MB, if known."""
    return f", {checkpoint.size_bytes / 1e6:.1f} MB" if checkpoint.size_bytes else ""


@contextmanager
def progress_bar(name: str) -> Iterator[ProgressCallback]:
    """A bar on standard error if that is a terminal, gone when it is done; give the callback it follows."""
    columns = (TextColumn(name), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
