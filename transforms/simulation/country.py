"""Simulated countries: how people build, farm and heap their harvest, and what the soil is like. Plain data.

A map trained in one country and judged in the other meets field sizes, roofs, settlements, seasons and soils that it
has not seen.
"""

from dataclasses import dataclass, replace
from enum import IntEnum


class Roof(IntEnum):
    """What a roof is made of; shares of roofs are given in this order."""

    THATCH = 0
    RUSTY = 1  # corrugated iron of some rains
    METAL = 2  # corrugated iron, new
    TILE = 3
    CONCRETE = 4


@dataclass(frozen=True)
class SettlementKind:
    """One kind of settlement.

    Attributes:
        per_km2: How many there are; 0 for exactly one, the town.
        radius_m: Smallest and largest radius; houses thin out beyond half of it.
        plot_m: Side of the square that one household has.
        built: Largest share of a plot under its main roof, in the middle of the settlement.
        street_m: Width of the streets, along which houses then stand; 0 for none, and every house turned as it likes.
        huts: Share of round houses.
        roofs: Share of each ``Roof``; a round house has thatch whatever they say.
        height_m: Lowest and highest wall.
    """

    per_km2: float
    radius_m: tuple[float, float]
    plot_m: float
    built: float
    street_m: float
    huts: float
    roofs: tuple[float, float, float, float, float]
    height_m: tuple[float, float]


@dataclass(frozen=True)
class Country:
    """What distinguishes one country from another.

    Attributes:
        name: For people.
        settlements: The town first, then from larger to smaller.
        block_ha: Land between two paths.
        parcel_m: Width of a smallholder's parcel; parcels are about 1.75 times as long.
        estate_m: Width of the parcels of large farms.
        crops: Upper ends of the shares of maize and teff; the rest is pulses.
        heaping: Share of neighbourhoods in which sheaves are left in heaps on the field.
        soil_tone: Mean tone, 0 black clay … 1 pale sand.
        soil_red: Mean share of laterite.
        season_shift_days: Days by which rains and calendar lie later than in the first country; negative: earlier.
    """

    name: str
    settlements: tuple[SettlementKind, ...]
    block_ha: float = 9.0
    parcel_m: float = 52.0
    estate_m: float = 120.0
    crops: tuple[float, float] = (0.42, 0.78)
    heaping: float = 0.34
    soil_tone: float = 0.5
    soil_red: float = 0.1
    season_shift_days: int = 0


SAVANNA = Country(
    name="savanna",
    settlements=(
        SettlementKind(0, (430, 430), 17.0, 0.80, 7.0, 0.0, (0.02, 0.50, 0.40, 0.0, 0.08), (2.6, 5.0)),
        SettlementKind(0.35, (110, 190), 20.0, 0.42, 6.0, 0.1, (0.15, 0.50, 0.35, 0.0, 0.0), (2.4, 3.2)),
        SettlementKind(1.0, (45, 90), 25.0, 0.22, 0.0, 0.5, (0.45, 0.35, 0.20, 0.0, 0.0), (2.0, 2.8)),
        SettlementKind(5.0, (12, 26), 22.0, 0.16, 0.0, 0.65, (0.60, 0.25, 0.15, 0.0, 0.0), (1.8, 2.6)),
    ),
)
# Larger fields and villages, hardly a hut or a lone farmstead, red soil, and the rains two months earlier.
PLATEAU = replace(
    SAVANNA,
    name="plateau",
    settlements=(
        SettlementKind(0, (450, 450), 21.0, 0.72, 9.0, 0.0, (0.0, 0.10, 0.15, 0.45, 0.30), (3.0, 8.0)),
        SettlementKind(0.6, (130, 230), 24.0, 0.36, 7.0, 0.0, (0.0, 0.15, 0.25, 0.45, 0.15), (2.6, 4.5)),
        SettlementKind(0.5, (40, 70), 28.0, 0.22, 0.0, 0.05, (0.1, 0.25, 0.25, 0.40, 0.0), (2.4, 3.2)),
        SettlementKind(1.5, (12, 24), 26.0, 0.18, 0.0, 0.1, (0.1, 0.30, 0.20, 0.40, 0.0), (2.2, 3.0)),
    ),
    block_ha=15.0,
    parcel_m=82.0,
    estate_m=170.0,
    crops=(0.30, 0.72),
    heaping=0.4,
    soil_tone=0.38,
    soil_red=0.5,
    season_shift_days=-60,
)
