"""SDMX: the data as SDMX-CSV 2.0, and the structure that they follow as SDMX-ML 2.1.

The structure is of version 2.1 of SDMX-ML because the tools of most offices read that one.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from pysdmx.io import write_sdmx
from pysdmx.io.format import Format
from pysdmx.io.pd import PandasDataset
from pysdmx.model import (
    Code,
    Codelist,
    Component,
    Components,
    Concept,
    ConceptScheme,
    DataStructureDefinition,
    DataType,
    ItemReference,
    Organisation,
    Role,
)
from pysdmx.model.message import Header

from stook.transforms.reporting.columns import OBSERVATIONS
from stook.transforms.reporting.observations import (
    CANNOT_EXIST,
    DIMENSIONS,
    ESTIMATED,
    MISSING,
    NORMAL,
    NUMERIC_ATTRIBUTES,
    PROVISIONAL,
    TEXT_ATTRIBUTES,
    Observations,
)

AGENCY, STRUCTURE, CONCEPTS, VERSION = "STOOK", "DSD_LAND", "CS_LAND", "1.0"
DATA_FILE, STRUCTURE_FILE = "sdmx/data.csv", "sdmx/structure.xml"
STATUS = Codelist(
    id="CL_OBS_STATUS",
    name="Observation status",
    agency="SDMX",
    version="2.0",
    is_partial=True,
    items=[
        Code(id=NORMAL, name="Normal value"),
        Code(id=ESTIMATED, name="Estimated value"),
        Code(id=CANNOT_EXIST, name="Missing value; data cannot exist"),
        Code(id=MISSING, name="Missing value"),
        Code(id=PROVISIONAL, name="Provisional value"),
    ],
)
LISTS = {
    "REF_AREA": ("CL_AREA", "Places of the report"),
    "SEASON": ("CL_SEASON", "Seasons"),
    "PRODUCT": ("CL_PRODUCT", "Maps"),
    "MEASURE": ("CL_MEASURE", "What is measured"),
    "CLASS": ("CL_CLASS", "Classes of ground"),
    "UNIT_MEASURE": ("CL_UNIT_MEASURE", "Units"),
    "ESTIMATOR": ("CL_ESTIMATOR", "How figures come about"),
}
TYPES = (
    {"TIME_PERIOD": DataType.PERIOD, "POINTS": DataType.INTEGER}
    | dict.fromkeys(("OBS_VALUE", *NUMERIC_ATTRIBUTES), DataType.DOUBLE)
    | dict.fromkeys(("BASE_PERIOD", *TEXT_ATTRIBUTES), DataType.STRING)
)
REQUIRED = ("OBS_STATUS", "BOUNDARY_VINTAGE", "REVISION")


def write_observations(found: Observations, folder: Path) -> pd.DataFrame:
    """Write ``sdmx/data.csv`` and ``sdmx/structure.xml`` into a folder of a report.

    Returns:
        The table of the data, as it was written.
    """
    lists = codelists(found.codes)
    structure = structure_of(lists)
    (folder / DATA_FILE).parent.mkdir()
    artefacts = [*lists.values(), concepts(), structure]
    header = Header(sender=Organisation(id=AGENCY))
    write_sdmx(artefacts, Format.STRUCTURE_SDMX_ML_2_1, str(folder / STRUCTURE_FILE), header=header)
    data = PandasDataset(structure=structure.to_schema(), data=found.table.copy())
    write_sdmx(data, Format.DATA_SDMX_CSV_2_0_0, str(folder / DATA_FILE))
    head = {"STRUCTURE": "datastructure", "STRUCTURE_ID": f"{AGENCY}:{STRUCTURE}({VERSION})", "ACTION": "I"}
    return pd.concat([pd.DataFrame(head, index=found.table.index), found.table], axis=1)


def codelists(codes: Mapping[str, Mapping[str, str]]) -> dict[str, Codelist]:
    """Component -> its codes."""
    ours = {
        component: Codelist(
            id=LISTS[component][0],
            name=LISTS[component][1],
            agency=AGENCY,
            version=VERSION,
            items=[Code(id=code, name=name) for code, name in of_component.items()],
        )
        for component, of_component in codes.items()
    }
    return ours | {"OBS_STATUS": STATUS}


def concepts() -> ConceptScheme:
    """What each component means, in the words of the dictionary."""
    return ConceptScheme(
        id=CONCEPTS,
        name="Land cover figures",
        agency=AGENCY,
        version=VERSION,
        items=[
            Concept(id=name, name=name.replace("_", " ").capitalize(), description=column.meaning)
            for name, column in OBSERVATIONS.items()
            if name not in ("STRUCTURE", "STRUCTURE_ID", "ACTION")
        ],
    )


def structure_of(lists: Mapping[str, Codelist]) -> DataStructureDefinition:
    """The data structure definition: dimensions, the one measure, attributes of each observation."""

    def component(name: str, role: Role, **more: Any) -> Component:
        codes = lists.get(name)
        return Component(
            id=name,
            role=role,
            required=role is not Role.ATTRIBUTE or name in REQUIRED,
            concept=ItemReference("Concept", AGENCY, CONCEPTS, VERSION, name),
            local_dtype=None if codes else TYPES[name],
            local_codes=codes,
            **more,
        )

    attributes = ("OBS_STATUS", *NUMERIC_ATTRIBUTES, "POINTS", *TEXT_ATTRIBUTES)
    return DataStructureDefinition(
        id=STRUCTURE,
        name="Areas of classes of ground, mapped and estimated",
        agency=AGENCY,
        version=VERSION,
        components=Components(
            [
                *(component(name, Role.DIMENSION) for name in DIMENSIONS),
                component("OBS_VALUE", Role.MEASURE),
                *(component(name, Role.ATTRIBUTE, attachment_level="O") for name in attributes),
            ]
        ),
    )
