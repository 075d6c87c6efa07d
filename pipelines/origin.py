"""The encoder that a training starts from: where it comes from, and what it learnt from before."""

from dataclasses import dataclass

from stook.models.checkpoints import CHECKPOINTS
from stook.models.encoder import Encoder
from stook.models.seen import LATTICE_M, SeenGround
from stook.pipelines.sections import EncoderSection


@dataclass(frozen=True)
class Origin:
    """An encoder and where it comes from.

    Attributes:
        encoder: In evaluation mode.
        name: Of the published checkpoint, or what the encoder of a bundle is.
        sha256: Of the published file; None where there is none, or it is not known.
        licence: In words.
        seen: Ground that it was trained with before; None if that is not known.
        learnt: For the card, what it was trained on before; empty for random weights.
        trained_on: Places and seasons of the bundle it is taken from, in words; empty for others.
    """

    encoder: Encoder
    name: str
    sha256: str | None
    licence: str
    seen: SeenGround | None = None
    learnt: str = ""
    trained_on: str = ""

    def trained_on_too(self, places: str) -> str:
        """The places of a training and those of the bundle that it started from, in words."""
        return f"{places}; before that, the bundle it started from: {self.trained_on}" if self.trained_on else places


def origin_of(section: EncoderSection) -> Origin:
    """The configured encoder; raises InputError if it is unusable."""
    if section.untrained is not None:
        name = f"ResNet-{section.untrained.depth}, trained here"
        return Origin(section.untrained.encoder(), name, None, "", SeenGround())
    source = section.source()
    if source.checkpoint is None:
        bundle = source.bundle()
        made = bundle.provenance
        learnt = f"The encoder is that of a bundle that was trained on {made.trained_on}. {known(made.seen)}"
        return Origin(
            bundle.encoder, made.encoder, made.encoder_sha256, made.licence, made.seen, learnt, made.trained_on
        )
    checkpoint = CHECKPOINTS[source.checkpoint]
    learnt = "What ground the published encoder was pretrained on is not known here."
    return Origin(source.encoder(), checkpoint.name, checkpoint.sha256, checkpoint.told, learnt=learnt)


def known(seen: SeenGround | None) -> str:
    """What is known of the ground that the encoder of a bundle was trained with, in a sentence."""
    if seen is None:
        return (
            "What ground its encoder was trained with is not known: where it is that of this training, what is said of "
            "accuracy and calibration flatters."
        )
    ground = f"{len(seen.squares)} squares of {LATTICE_M} m"
    more = "" if seen.complete else "; what was seen before that is not known"
    return f"Its encoder was trained with {ground}, on which no place may be held out{more}."
