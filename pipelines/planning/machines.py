"""Machines that an operator may run on, as the configuration names them: price, and speed as it was measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from stook.pipelines.sections import Section

if TYPE_CHECKING:
    from stook.transforms.tiles.rates import Speed


class MachineSection(Section):
    """A machine type, for ``stook plan --machine``. Nothing is assumed of any machine: measure, then write it here."""

    price_per_hour: float = Field(description="Of one machine, in ``currency``.", ge=0)
    currency: str = Field("USD", description="Of the price.")
    tiles_in_flight: int = Field(description="Of one machine: run.workers of the runs there.", ge=1, le=64)
    reading: float = Field(
        description="How many times faster it reads a tile than the machine on which 'stook plan' is run; compare the "
        "seconds of 'read' and 'composite' in the ledgers of both.",
        gt=0,
    )
    encoding: float = Field(description="The same of encoding, seconds of 'encode'.", gt=0)
    machines: int = Field(1, description="How many of them work at the same time.", ge=1, le=100_000)

    def speed(self) -> Speed:
        """As data."""
        from stook.transforms.tiles.rates import Speed

        return Speed(self.tiles_in_flight, None, self.reading, self.encoding, self.machines)

    def cost(self, seconds: float) -> float:
        """What so long a run costs."""
        return seconds / 3600 * self.price_per_hour * self.machines
