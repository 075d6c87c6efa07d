"""The registry of published checkpoints: a name, and everything one must know to load it right.

A hash stands here only if somebody has computed it from the published file; an address only if the authors give it, or
a program that downloads from them. Adding a checkpoint is an entry here.
"""

from dataclasses import dataclass
from typing import Any, Literal

from stook.models.galileo import GalileoSize
from stook.models.presto import PrestoSize
from stook.models.resnet import ResNetSize
from stook.models.satmae import GroupSize, PictureSize, SatMAESize
from stook.models.softcon import SENTINEL1_BANDS, SENTINEL2_BANDS, SoftConSize

Terms = Literal["free", "non-commercial", "unknown"]


@dataclass(frozen=True)
class Checkpoint:
    """One published checkpoint.

    Attributes:
        name: What configurations call it.
        family: Of ``stook.models.families``, and the subfolder of the weights folder.
        size: Dimensions; with the family they decide what goes in and what comes out.
        file: What the file is called in that subfolder.
        sources: Where the authors publish the file, URLs to be tried in order; empty if no address is known.
        page: Where a person finds it.
        sha256: Of the file; None where the authors publish none and nobody has verified it.
        licence: SPDX identifier, or in words.
        terms: What the licence means for users: ``free``, ``non-commercial`` or ``unknown``.
        citation: The paper to cite.
        options: Dimensions that the weights leave open, for users to choose.
        container: Entry of the file that holds the tensors, e.g. ``model``; None where the file is the tensors.
        size_bytes: Of the file, if known.
    """

    name: str
    family: str
    size: Any
    file: str
    sources: tuple[str, ...]
    page: str
    sha256: str | None
    licence: str
    terms: Terms
    citation: str
    options: tuple[str, ...] = ()
    container: str | None = None
    size_bytes: int | None = None

    @property
    def told(self) -> str:
        """What everything made with it must say of its licence."""
        return f"encoder {self.licence}" + ("" if self.terms == "free" else f" ({self.terms} terms)")


def _zenodo(record: int, file: str) -> tuple[str, ...]:
    return (f"https://zenodo.org/records/{record}/files/{file}?download=1",)


PRESTO = (
    Checkpoint(
        name="presto",
        family="presto",
        size=PrestoSize(),
        file="default_model.pt",
        sources=("https://github.com/nasaharvest/presto/raw/main/data/default_model.pt",),
        page="https://github.com/nasaharvest/presto",
        sha256="559c9d76f525bdf2dd3774da8b1e7f1510769b73baacac12e9e4d8d5c67fbe65",
        licence="MIT",
        terms="free",
        citation="Tseng et al. 2023, Lightweight, pre-trained transformers for remote sensing time series, "
        "arXiv:2304.14065",
        size_bytes=3_321_716,
    ),
    Checkpoint(
        name="presto-worldcereal",
        family="presto",
        size=PrestoSize(most_steps=72, period="ten-days"),
        file="worldcereal_finetuned_presto_model.pt",
        sources=(),
        page="https://github.com/WorldCereal/prometheo",
        sha256="5c11407d84b7f622e415796d13e9790eb6d7c2545510041a64abf60bd4f138fc",
        licence="MIT",
        terms="free",
        citation="Tseng et al. 2023, Lightweight, pre-trained transformers for remote sensing time series, "
        "arXiv:2304.14065; fine-tuned on crop types by WorldCereal",
        size_bytes=1_647_786,
    ),
)


def _galileo(variant: str, size: GalileoSize, sha256: str | None = None, size_bytes: int | None = None) -> Checkpoint:
    github = "https://github.com/nasaharvest/galileo/raw/main/data/models/nano/encoder.pt"
    hub = f"https://huggingface.co/nasaharvest/galileo/resolve/main/models/{variant}/encoder.pt"
    return Checkpoint(
        name=f"galileo-{variant}",
        family="galileo",
        size=size,
        file=f"{variant}_encoder.pt",
        sources=(github, hub) if variant == "nano" else (hub,),
        page="https://github.com/nasaharvest/galileo",
        sha256=sha256,
        licence="MIT",
        terms="free",
        citation="Tseng et al. 2025, Galileo: learning global and local features of many remote sensing modalities, "
        "arXiv:2502.09356",
        options=("patch_px", "chip_px"),
        size_bytes=size_bytes,
    )


GALILEO = (
    _galileo(
        "nano",
        GalileoSize(width=128, depth=4, heads=8),
        "eab6acacf527886a508a555bc24efe4b4a2cf91b162e84cd1c4a1807e942180c",
        4_189_406,
    ),
    _galileo("tiny", GalileoSize(width=192, depth=12, heads=3)),
    _galileo("base", GalileoSize(width=768, depth=12, heads=12)),
)


def _satmae(name: str, family: str, size: SatMAESize, record: int, file: str) -> Checkpoint:
    return Checkpoint(
        name=f"satmae-{name}",
        family=family,
        size=size,
        file=file,
        sources=_zenodo(record, file),
        page=f"https://zenodo.org/records/{record}",
        sha256=None,
        licence="CC-BY-NC-4.0",
        terms="non-commercial",
        citation="Cong et al. 2022, SatMAE: pre-training transformers for temporal and multi-spectral satellite "
        "imagery, arXiv:2207.08051",
        options=("output", "resolution_m") if isinstance(size, PictureSize) else ("output",),
        container="model",
    )


VIT_BASE = GroupSize(width=768, depth=12, heads=12)
VIT_BASE_TUNED = GroupSize(width=768, depth=12, heads=12, pool="mean")

SATMAE = (
    _satmae("rgb", "satmae-rgb", PictureSize(), 7369797, "fmow_pretrain.pth"),
    _satmae("rgb-finetuned", "satmae-rgb", PictureSize(pool="mean"), 7369797, "fmow_finetune.pth"),
    _satmae("temporal", "satmae-temporal", PictureSize(), 7369797, "pretrain_fmow_temporal.pth"),
    _satmae("temporal-finetuned", "satmae-temporal", PictureSize(pool="mean"), 7369797, "finetune_fmow_temporal.pth"),
    _satmae("group-base", "satmae-group", VIT_BASE, 7338613, "pretrain-vit-base-e199.pth"),
    _satmae("group-base-finetuned", "satmae-group", VIT_BASE_TUNED, 7338613, "finetune-vit-base-e7.pth"),
    _satmae("group-large", "satmae-group", GroupSize(), 7338613, "pretrain-vit-large-e199.pth"),
    _satmae("group-large-finetuned", "satmae-group", GroupSize(pool="mean"), 7338613, "finetune-vit-large-e7.pth"),
)


def _geossl(variant: str, file: str) -> Checkpoint:
    return Checkpoint(
        name=f"geossl-resnet50-{variant}",
        family="resnet",
        # The pictures of fMoW were resized to 224 px whatever their resolution; 1 m stands for about what that gave.
        size=ResNetSize(50, ("red", "green", "blue"), "imagenet", resolution_m=1),
        file=file,
        sources=_zenodo(7379715, file),
        page="https://zenodo.org/records/7379715",
        sha256=None,
        licence="none stated in the authors' repository",
        terms="unknown",
        citation="Ayush et al. 2021, Geography-aware self-supervised learning, arXiv:2011.09980",
        options=("resolution_m",),
        container="state_dict",
    )


GEOSSL = (
    _geossl("moco", "moco.pth.tar"),
    _geossl("moco-geo", "moco_geo.pth.tar"),
    _geossl("moco-tp", "moco_tp.pth.tar"),
    _geossl("moco-geo-tp", "moco_geo+tp.pth.tar"),
)


def _softcon(network: str, sensor: Literal["s1", "s2"]) -> Checkpoint:
    bands = SENTINEL1_BANDS if sensor == "s1" else SENTINEL2_BANDS
    mission: Literal["sentinel1", "sentinel2"] = "sentinel1" if sensor == "s1" else "sentinel2"
    sizes = {
        "resnet50": ResNetSize(50, tuple(band.name for band in bands), "ssl4eo"),
        "vit-small": SoftConSize(width=384, depth=12, heads=6, sensor=mission),
        "vit-base": SoftConSize(width=768, depth=12, heads=12, sensor=mission),
    }
    short = {"resnet50": "rn50", "vit-small": "vits14", "vit-base": "vitb14"}[network]
    file = f"B{len(bands)}_{short}_softcon.pth"
    return Checkpoint(
        name=f"softcon-{network}-{sensor}",
        family="resnet" if network == "resnet50" else "softcon",
        size=sizes[network],
        file=file,
        sources=(f"https://huggingface.co/wangyi111/softcon/resolve/main/{file}",),
        page="https://github.com/zhu-xlab/softcon",
        sha256=None,
        licence="Apache-2.0",
        terms="free",
        citation="Wang et al. 2024, Multi-label guided soft contrastive learning for efficient Earth observation "
        "pretraining, arXiv:2405.20462",
    )


SOFTCON = tuple(
    _softcon(network, sensor) for network in ("resnet50", "vit-small", "vit-base") for sensor in ("s1", "s2")
)

CHECKPOINTS = {checkpoint.name: checkpoint for checkpoint in (*PRESTO, *GALILEO, *SATMAE, *GEOSSL, *SOFTCON)}
