"""What the configuration files of ``stook`` have in common, and one clear line for whatever is wrong in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from stook.models.errors import InputError
from stook.pipelines.engine_options import require_sound
from stook.pipelines.explain import explain
from stook.transforms.choices import LINKS, MOST_DILATION_PX, refused
from stook.transforms.ground.grid import Grid
from stook.transforms.imagery.season import Window
from stook.transforms.imagery.sources import Source

if TYPE_CHECKING:
    from stook.models.encoder import Encoder
    from stook.models.source import ModelSource
    from stook.transforms.backoff import BackOff
    from stook.transforms.store import Address


MOST_VALUES = 100_000  # in a configuration; a few lines of YAML can stand for billions


def beside_the_file(value: str, info: ValidationInfo) -> str:
    """An absolute location: URLs stay, relative paths are relative to the configuration file."""
    if why := refused(value, LINKS):
        raise ValueError(why)
    if "://" in value:
        return value
    folder: Address = (info.context or {}).get("folder", Path())
    if isinstance(folder, Path) or Path(value).is_absolute():
        return str(Path(str(folder), value).resolve())
    return str(folder / value)


def at_hand(value: str) -> str:
    """The same location, unless it is of a scheme that only catalogues may have."""
    if why := refused(value):
        raise ValueError(why)
    return value


Link = Annotated[str, AfterValidator(beside_the_file)]
Location = Annotated[str, AfterValidator(at_hand), AfterValidator(beside_the_file)]


ProductName = Literal["cropland", "harvest_piles", "building_coverage"]


class Section(BaseModel):
    """Base of every section: unknown fields are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceSection(Section):
    """An imagery archive."""

    catalog: Link = Field(description="Address of a STAC API or of a static catalogue's catalog.json; a path or a URL.")
    collection: str = Field(description="Collection id in the catalogue.")
    profile: str = Field(
        description="How the archive's numbers become reflectance or backscatter; see docs/imagery.md."
    )
    hosts: list[str] = Field(
        [],
        description="The only hosts (of s3:// and gs:// the buckets) that links of the catalogue may lead to, besides "
        "its own; * stands for any part. Absent, any host.",
    )
    folders: list[Location] = Field(
        [], description="Folders beside the catalogue's own that links of a catalogue on this machine may lead to."
    )
    headers: dict[str, str] = Field(
        {},
        description="Headers that the catalogue's host, and hosts, are asked with, for catalogue and files alike, e.g. "
        "{Authorization: 'Bearer ${TOKEN}'}: ${NAME} stands for a variable of the environment, ${file:PATH} for the "
        "content of a file, so that no secret is kept.",
    )
    verify: bool = Field(
        False,
        description="Read every file in whole once per process and compare it with the file:checksum of its item, "
        "which every item must then have.",
    )


class ImagerySection(Section):
    """The archives to read, by sensor."""

    sentinel2: SourceSection | None = Field(None, description="Sentinel-2 L2A with scene classification.")
    sentinel1: SourceSection | None = Field(None, description="Terrain-corrected Sentinel-1 backscatter.")
    rgb: SourceSection | None = Field(None, description="Pictures of metre resolution; they need not cover the region.")

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if not self.sections:
            raise ValueError("name at least one of sentinel2, sentinel1, rgb")
        try:
            self.sources()
        except InputError as error:
            raise ValueError(str(error)) from error
        return self

    @property
    def sections(self) -> dict[str, SourceSection]:
        """Those that are given, by sensor."""
        given = {"sentinel2": self.sentinel2, "sentinel1": self.sentinel1, "rgb": self.rgb}
        return {sensor: section for sensor, section in given.items() if section is not None}

    def sources(self) -> dict[str, Source]:
        """The archives by sensor."""
        return {
            sensor: Source(
                sensor,
                section.catalog,
                section.collection,
                section.profile,
                tuple(section.hosts),
                tuple(section.folders),
                section.verify,
                tuple(section.headers.items()),
            )
            for sensor, section in self.sections.items()
        }


class WindowStart(Section):
    """First month of a window."""

    month: int = Field(description="Calendar month, 1 to 12.", ge=1, le=12)
    year: int = Field(0, description="0 is the harvest year, -1 the year before.", ge=-2, le=1)


class WindowSection(Section):
    """The months that a product reads."""

    start: WindowStart = Field(description="First month.")
    months: int = Field(description="Number of months.", ge=1, le=24)

    def window(self) -> Window:
        """The window as data."""
        return Window(self.start.month, self.start.year, self.months)


class UntrainedSection(Section):
    """A ResNet with random weights, to be trained together with its head."""

    depth: Literal[18, 50] = Field(18, description="Of the ResNet.")
    bands: list[str] = Field(description="Its bands, e.g. vv, vh, blue, … swir22.", min_length=1)
    chip_px: int = Field(32, description="Side of what it sees around a cell, in its pixels.", ge=8, le=1024)
    resolution_m: float | None = Field(
        None, description="Pixel of the pictures (imagery.rgb) that it sees; absent, it sees composites of 10 m.", gt=0
    )
    composite: Literal["window", "months"] = Field(
        "window",
        description="window: it sees one composite of all of it; months: the mean of its monthly composites, so that "
        "it shares its reading with cropland.",
    )
    width: int = Field(64, description="Channels of its first stage; 64 is the usual ResNet.", ge=4, le=256)

    @model_validator(mode="after")
    def _pictures_have_no_months(self) -> Self:
        if self.composite == "months" and self.resolution_m is not None:
            raise ValueError(
                f"composite: months has no meaning with resolution_m: {self.resolution_m:g}; pictures have none"
            )
        return self

    def encoder(self) -> Encoder:
        """The encoder; raises InputError for an unknown band."""
        from stook.models.resnet import ResNet, ResNetSize, Scaling

        scaling: Scaling = "plain" if self.resolution_m is None else "imagenet"
        size = ResNetSize(
            self.depth,
            tuple(self.bands),
            scaling,
            self.chip_px,
            self.resolution_m or Grid().resolution_m,
            self.width,
            "month-mean" if self.composite == "months" else "part",
        )
        return ResNet(size).eval()


class EncoderSection(Section):
    """An encoder: a published checkpoint, the encoder of a bundle of ours, or one without any training."""

    name: str | None = Field(None, description="Name of a published checkpoint, e.g. presto; see 'stook models list'.")
    weights: Location | None = Field(None, description="The checkpoint's file; found in the weights folder if absent.")
    bundle: Location | None = Field(None, description="A bundle whose encoder is used instead of a checkpoint.")
    untrained: UntrainedSection | None = Field(None, description="For training.fine_tuning: an encoder to start from.")
    options: dict[str, int | str] = Field(
        {}, description="What the checkpoint's family leaves open, e.g. {patch_px: 2, chip_px: 8}."
    )
    allow_unverified: bool = Field(False, description="Open a checkpoint although nobody has recorded its hash.")

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if [self.name, self.bundle, self.untrained].count(None) != 2:
            raise ValueError("give one of name, bundle and untrained")
        if self.name is None and (self.weights is not None or self.options):
            raise ValueError("weights and options go with name only")
        return self

    def source(self) -> ModelSource:
        """Where it is read from; raises InputError if a checkpoint is unknown or absent, or has no weights."""
        from stook.models.source import ModelSource
        from stook.models.weights import find, weights_dir

        if self.untrained is not None:
            raise InputError("encoder.untrained: has no weights; allowed here are name and bundle")
        if self.name is None:
            return ModelSource(str(self.bundle))
        path = self.weights or str(find(self.name, weights_dir()))
        return ModelSource(path, self.name, self.options, self.allow_unverified)


class CompositeSection(Section):
    """How imagery is reduced to months."""

    cloud_dilation_px: int = Field(
        0, description="Pixels by which masked cloud and shadow grow.", ge=0, le=MOST_DILATION_PX
    )


class RunSection(Section):
    """How a run uses the machine; never what it computes."""

    mode: Literal["memory", "threads", "processes"] = Field(
        "threads",
        description="memory: one tile at a time; threads: one is read while another is encoded; processes: the same, "
        "each in a process of its own, so that one that is killed does not end the run.",
    )
    workers: int = Field(2, description="Tiles in flight; the bound on memory. Ignored by mode memory.", ge=1, le=64)
    readers: int = Field(8, description="Threads that read imagery, per tile in flight.", ge=1, le=64)
    batch: int | None = Field(
        None,
        description="Chips (or pixels) an encoder sees at once; what the device holds if absent.",
        ge=1,
        le=1_000_000,
    )
    attempts: int = Field(
        5, description="How often an archive is asked for the same before it is called unreachable.", ge=1, le=20
    )
    timeout_s: float = Field(60.0, description="Seconds after which a silent archive has failed.", gt=0, le=3600)
    engine: dict[str, Any] | None = Field(
        None,
        description="Apache Beam's pipeline options of the engine that does the work, e.g. {runner: FlinkRunner, "
        "flink_master: 'flink:8081'}; absent, this machine. See docs/engines.md.",
    )
    accelerator: str | None = Field(
        None, description="Accelerator that workers of an engine get, as Beam writes it: type:nvidia-l4;count:1;…"
    )

    @model_validator(mode="after")
    def _engine_is_sound(self) -> Self:
        if self.engine is not None:
            require_sound(self.engine, self.accelerator)
        return self

    def backoff(self) -> BackOff:
        """How patiently archives are asked."""
        from stook.transforms.backoff import BackOff

        return BackOff(self.attempts, timeout_s=self.timeout_s)


Schema = TypeVar("Schema", bound=Section)


def load(path: str | Path, schema: type[Schema]) -> Schema:
    """Read and validate a configuration file.

    Raises:
        InputError: One line: the file, the field, its value, what is allowed.
    """
    content, folder = _read(path)
    if content is None:
        raise InputError(f"{path}: the configuration file does not exist")
    try:
        data = yaml.load(content.decode(), Loader=_Loader)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: the configuration file cannot be read ({error})") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date such as 2023-02-30 is a ValueError
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if next(islice(_values(data), MOST_VALUES, None), None) is not None:
        raise InputError(f"{path}: more than {MOST_VALUES:,} values once its anchors (&, *) are expanded")
    return checked(data, schema, folder, f"{path}: ")


def _values(data: Any) -> Iterator[bool]:
    """One True for each value in a document, as often as its anchors repeat it; without end where one holds itself."""
    pending = [data]
    while pending:
        value = pending.pop()
        yield True
        if isinstance(value, Mapping):
            pending += value.values()
        elif isinstance(value, list | tuple | set):
            pending += value


class _Loader(yaml.SafeLoader):
    """Refuses a field that is given twice, of which YAML readers keep the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:str" and key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} is given twice", key.start_mark)
            seen.add(key.value if key.tag == "tag:yaml.org,2002:str" else "")
        return super().construct_mapping(node, deep)


def checked(data: Any, schema: type[Schema], folder: Address | None = None, where: str = "") -> Schema:
    """A configuration that is at hand as data, validated.

    Args:
        data: As YAML would hold it.
        schema: Of the configuration.
        folder: What relative paths start from; the working directory if None.
        where: Begins the message of an error.

    Raises:
        InputError: One line: the field, its value, what is allowed.
    """
    if not isinstance(data, Mapping):
        raise InputError(f"{where}a configuration is a mapping of fields; allowed are {', '.join(schema.model_fields)}")
    try:
        return schema.model_validate(dict(data), context={"folder": folder or Path()})
    except ValidationError as error:
        raise InputError(f"{where}{explain(error, schema)}") from error


def _read(path: str | Path) -> tuple[bytes | None, Address]:
    """The bytes of a file, None where there is none, and the folder that its relative paths start from.

    Clients of cloud storage take longer to import than all else that checking a configuration needs.
    """
    if "://" not in str(path):
        try:
            return Path(path).read_bytes(), Path(path).resolve().parent
        except FileNotFoundError:
            return None, Path()
        except OSError as error:
            raise InputError(f"{path}: the configuration file cannot be read ({error})") from error
    from stook.transforms.store import STORE_FAILURES, address_of, read_bytes

    address = address_of(path)
    try:
        return read_bytes(address), address.parent
    except STORE_FAILURES as error:
        raise InputError(f"{path}: the configuration file cannot be read ({error})") from error
