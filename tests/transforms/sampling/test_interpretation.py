"""Answer files: what is read, what is told, what is refused."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from stook.models.errors import InputError
from stook.transforms.sampling.answer_files import Form
from stook.transforms.sampling.files import cells_of
from stook.transforms.sampling.interpretation import Interpretation, interpreted

CLASSES = ("other", "cropland")
POINTS = pd.DataFrame({"point": [1, 2, 3, 4], "lon": [36.0, 36.1, 36.2, 36.3], "lat": [9.0, 9.1, 9.2, 9.3]})
FORM = Form("PLOTID", ("class",), None, "LON", "LAT", ("unknown", "cannot tell"), {"cropland": ["Crop", "Maize"]})
NOBODY = np.nan
CELL_M = 10.0


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def read(path: Path, text: str, form: Form = FORM, classes: tuple[str, ...] | None = CLASSES) -> Interpretation:
    return interpreted([written(path, text)], form, POINTS, classes, CELL_M)


def test_words_in_any_case_become_classes_and_what_nobody_answered_is_marked(tmp_path: Path) -> None:
    found = read(tmp_path / "ann.csv", "PLOTID,class\n1,CROP \n2, Other\n4,cannot tell\n")
    np.testing.assert_array_equal(found.answers, [[1, 0, NOBODY, NOBODY]])
    assert found.interpreters == ("class",)
    assert "3 answers came without coordinates (LON, LAT)" in found.notes[0]
    assert list(found.files.values())[0] == found.files[str(tmp_path / "ann.csv")] and len(found.files) == 1


def test_several_columns_are_several_interpreters_in_their_order(tmp_path: Path) -> None:
    form = replace(FORM, answers=("zoe", "ann"))
    found = read(tmp_path / "both.csv", "PLOTID,ann,zoe\n1,crop,other\n2,other,\n", form)
    assert found.interpreters == ("zoe", "ann")
    np.testing.assert_array_equal(found.answers, [[0, NOBODY, NOBODY, NOBODY], [1, 0, NOBODY, NOBODY]])


def test_a_column_may_name_the_interpreter_in_one_file_or_several(tmp_path: Path) -> None:
    form = replace(FORM, interpreter="who")
    files = [
        written(tmp_path / "a.csv", "PLOTID,who,class\n1,zoe,crop\n1,ann,other\n"),
        written(tmp_path / "b.csv", "PLOTID,who,class\n2,ann,crop\n"),
    ]
    found = interpreted(files, form, POINTS, CLASSES, CELL_M)
    assert found.interpreters == ("ann", "zoe")
    np.testing.assert_array_equal(found.answers, [[0, 1, NOBODY, NOBODY], [1, NOBODY, NOBODY, NOBODY]])


def test_one_file_for_each_interpreter(tmp_path: Path) -> None:
    files = [
        written(tmp_path / "zoe.csv", "PLOTID,class\n1,crop\n"),
        written(tmp_path / "ann.csv", "PLOTID,class\n1,other\n"),
    ]
    found = interpreted(files, FORM, POINTS, CLASSES, CELL_M)
    assert found.interpreters == ("zoe", "ann")
    assert found.answers[:, 0].tolist() == [1, 0]


@pytest.mark.parametrize("name", ["answers.gpkg", "answers.geojson"])
def test_features_are_read_with_their_places(tmp_path: Path, name: str) -> None:
    at = gpd.points_from_xy(POINTS["lon"], POINTS["lat"])
    table = gpd.GeoDataFrame({"PLOTID": [1, 2, 3, 4], "class": ["crop", None, "other", "maize"]}, geometry=at, crs=4326)
    table.to_file(tmp_path / name)
    found = interpreted([tmp_path / name], FORM, POINTS, CLASSES, CELL_M)
    np.testing.assert_array_equal(found.answers, [[1, NOBODY, 0, 1]])
    assert found.notes == ()


def test_features_that_moved_are_refused_by_their_places(tmp_path: Path) -> None:
    at = gpd.points_from_xy(POINTS["lon"] + 0.001, POINTS["lat"])
    table = gpd.GeoDataFrame({"PLOTID": [1, 2, 3, 4], "class": "crop"}, geometry=at, crs=4326)
    table.to_file(tmp_path / "answers.geojson")
    with pytest.raises(InputError, match="4 points are not where they were drawn"):
        interpreted([tmp_path / "answers.geojson"], FORM, POINTS, CLASSES, CELL_M)


def test_percents_become_shares(tmp_path: Path) -> None:
    found = read(tmp_path / "a.csv", "PLOTID,class\n1,0\n2,12.5 %\n3,100\n4,\n", classes=None)
    np.testing.assert_allclose(found.answers, [[0, 0.125, 1, NOBODY]])


def test_the_same_answer_twice_counts_once_and_is_told(tmp_path: Path) -> None:
    text = "PLOTID,class,LON,LAT\n1,crop,36.0,9.0\n1,maize,36.0,9.0\n2,,36.1,9.1\n2,unknown,36.1,9.1\n"
    found = read(tmp_path / "a.csv", text)
    np.testing.assert_array_equal(found.answers, [[1, NOBODY, NOBODY, NOBODY]])
    assert found.notes == ("2 points were answered twice by one interpreter, the same both times",)


def test_coordinates_of_five_decimals_are_where_they_were(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", "PLOTID,class,LON,LAT\n1,crop,36.000004,9.000004\n").notes == ()


CASES: dict[str, tuple[str, Form, tuple[str, ...] | None, str]] = {
    "no such column": ("PLOTID;class\n1;crop\n", FORM, CLASSES, r"has no column 'PLOTID'; there are PLOTID;class"),
    "unknown word": (
        "PLOTID,class\n1,crop\n2,Krop\n",
        FORM,
        CLASSES,
        r"row 3: 'Krop' is no class, as are 1 answers; allowed are 'other', 'cropland', 'crop', 'maize'",
    ),
    "word of no class": (
        "PLOTID,class\n1,crop\n",
        replace(FORM, words={"trees": ["tree"]}),
        CLASSES,
        r"sample.answers.words.trees: is no class of this map; allowed are other, cropland",
    ),
    "word of two classes": (
        "PLOTID,class\n1,crop\n",
        replace(FORM, words={"cropland": ["x"], "other": ["X"]}),
        CLASSES,
        r"'x' already is a word for other",
    ),
    "two answers": (
        "PLOTID,class\n1,crop\n2,crop\n1,other\n",
        FORM,
        CLASSES,
        r"row 2: 'class' answered point 1 twice and differently, as 1 points in all \(1\)",
    ),
    "an answer and none": ("PLOTID,class\n1,crop\n1,\n", FORM, CLASSES, "answered point 1 twice and differently"),
    "not drawn": (
        "PLOTID,class\n1,crop\n7,crop\n8,crop\n",
        FORM,
        CLASSES,
        r"row 3: point 7 is none of the sample's, as are 2 points in all \(7, 8\); .* --without-design",
    ),
    "no number": ("PLOTID,class\n1.5,crop\n", FORM, CLASSES, "row 2: the point is '1.5', which is no number"),
    "moved": (  # the last by little, but over the edge of its cell
        "PLOTID,class,LON,LAT\n1,crop,36.0,9.0\n2,crop,36.1,9.11\n4,crop,36.3,9.3000108\n",
        FORM,
        CLASSES,
        r"row 3: 2 points are not where they were drawn \(2 by 1,106 m, 4 by 1 m\)",
    ),
    "moved under other names": (
        "plotid,class,lon,lat\n1,crop,36.0,9.0\n2,crop,36.1,9.11\n",
        FORM,
        CLASSES,
        r"row 3: 1 points are not where they were drawn \(2 by 1,106 m\)",
    ),
    "names that differ by case": (
        "plotid,PlotId,class\n1,1,crop\n",
        FORM,
        CLASSES,
        "columns plotid, PlotId differ by capitals alone; name one of them, not PLOTID",
    ),
    "a delimiter more": (
        "PLOTID,class,LON,LAT\n1,crop,36.0,9.0\n2,crop,36.1,9.1,\n",
        FORM,
        CLASSES,
        "row 3 has 5 fields, the heading 4; they have to match",
    ),
    "a delimiter more in all rows": ("class,PLOTID\n9,other,1\n", FORM, CLASSES, "row 2 has 3 fields, the heading 2"),
    "a column twice": (
        "PLOTID,class,class\n1,crop,other\n",
        FORM,
        CLASSES,
        "column 'class' is there twice; nobody knows which is meant",
    ),
    "an open quote": ('PLOTID,class\n1,"crop\n', FORM, CLASSES, "cannot be read as CSV"),
    "a word that is none": (
        "PLOTID,class\n1,bush\n",
        replace(FORM, words={"other": ["Bush"]}, unanswered=("bush",)),
        CLASSES,
        "sample.answers.words.other: 'Bush' is one of sample.answers.unanswered too",
    ),
    "a class that is none": (
        "PLOTID,class\n1,crop\n",
        replace(FORM, unanswered=("Other",)),
        CLASSES,
        "sample.answers.unanswered: 'other' is the name of a class",
    ),
    "shares of one, percents of another": (
        "PLOTID,class,who\n1,30,ann\n2,95,ann\n1,0.3,bo\n2,0.95,bo\n",
        replace(FORM, interpreter="who"),
        None,
        "row 4: all answers of 'bo' lie between 0 and 1; they have to be percents",
    ),
    "swapped": ("PLOTID,class,LON,LAT\n1,crop,9.0,136.0\n", FORM, CLASSES, "longitude and latitude in degrees"),
    "no degrees": ("PLOTID,class,LON,LAT\n1,crop,36E,9.0\n", FORM, CLASSES, "row 2: LON is '36E', no degrees"),
    "no percent": ("PLOTID,class\n1,crop\n", FORM, None, "'crop' is no percent.*allowed are 0 to 100"),
    "over a hundred": ("PLOTID,class\n1,120\n", FORM, None, "'120' is no percent"),
    "shares for percents": ("PLOTID,class\n1,0.3\n2,0\n3,1\n", FORM, None, "have to be percents, 0 to 100"),
    "empty": ("PLOTID,class\n", FORM, CLASSES, "holds no points"),
    "nameless": (
        "PLOTID,class,who\n1,crop,\n",
        replace(FORM, interpreter="who"),
        CLASSES,
        "row 2: who is empty; each answer needs its interpreter's name",
    ),
    "names and columns": (
        "PLOTID,class,who\n1,crop,ann\n",
        replace(FORM, interpreter="who", answers=("class", "again")),
        CLASSES,
        "sample.answers.interpreter: 'who' names the interpreter.*not class, again",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_used_is_refused_by_file_and_row(case: str, tmp_path: Path) -> None:
    text, form, classes, reason = CASES[case]
    with pytest.raises(InputError, match=reason) as refused:
        read(tmp_path / "a.csv", text, form, classes)
    assert "\n" not in str(refused.value)


UNREADABLE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "absent": (lambda folder: folder / "none.csv", "none.csv: cannot be read"),
    "no features": (lambda folder: written(folder / "a.gpkg", "text"), "a.gpkg: not a vector file that can be read"),
    "no table": (lambda folder: written(folder / "a.csv", ""), "a.csv: cannot be read as CSV"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_files_that_cannot_be_read_are_named(case: str, tmp_path: Path) -> None:
    make, reason = UNREADABLE[case]
    with pytest.raises(InputError, match=reason):
        interpreted([make(tmp_path)], FORM, POINTS, CLASSES, CELL_M)


def test_a_copy_of_a_file_is_no_second_interpreter(tmp_path: Path) -> None:
    files = [written(tmp_path / name, "PLOTID,class\n1,crop\n") for name in ("ann.csv", "zoe.csv")]
    with pytest.raises(InputError, match=r"zoe.csv: is the same as .*ann.csv; an interpreter's answers count once"):
        interpreted(files, FORM, POINTS, CLASSES, CELL_M)


# Which point


def test_a_column_written_as_asked_for_is_taken_before_one_of_another_case(tmp_path: Path) -> None:
    found = read(tmp_path / "a.csv", "plotid,PLOTID,class\n4,1,crop\n")
    np.testing.assert_array_equal(found.answers, [[1, NOBODY, NOBODY, NOBODY]])


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("PLOTID,class\n1,crop\n2,crop\n", 2),
        ("PLOTID,class,LON\n1,crop,36.0\n", 1),
        ("PLOTID,class,LON,LAT\n1,crop,36.0,\n2,crop,36.1,9.1\n", 1),
        ("PLOTID,class,LON,LAT\n1,crop,36.0,9.0\n", 0),
    ],
)
def test_what_has_no_whole_place_is_told(text: str, count: int, tmp_path: Path) -> None:
    found = read(tmp_path / "a.csv", text)
    told = f"{count} answers came without coordinates (LON, LAT)"
    assert found.unplaced.startswith(told) if count else found.unplaced == ""
    assert found.notes == ((found.unplaced,) if count else ())


def test_the_middle_of_the_cell_that_was_drawn_is_its_place(tmp_path: Path) -> None:
    middles = shapely.centroid(cells_of(POINTS, 100))
    table = pd.DataFrame({"plotid": POINTS["point"], "class": "crop", "lon": shapely.get_x(middles)})
    table.assign(lat=shapely.get_y(middles)).to_csv(tmp_path / "a.csv", index=False)
    found = interpreted([tmp_path / "a.csv"], FORM, POINTS, CLASSES, 100)
    assert found.answers.tolist() == [[1, 1, 1, 1]] and found.notes == ()
    with pytest.raises(InputError, match="points are not where they were drawn"):
        interpreted([tmp_path / "a.csv"], FORM, POINTS, CLASSES, CELL_M)


def test_features_without_a_geometry_are_refused_by_their_number(tmp_path: Path) -> None:
    at = [shapely.Point(36.0, 9.0), None, shapely.Point(36.2, 9.2)]
    gpd.GeoDataFrame({"PLOTID": [1, 2, 3], "class": "crop"}, geometry=at, crs=4326).to_file(tmp_path / "a.gpkg")
    with pytest.raises(InputError, match="a.gpkg: feature 2 has no geometry, as have 1 features"):
        interpreted([tmp_path / "a.gpkg"], FORM, POINTS, CLASSES, CELL_M)


# Whose answer


def test_a_heading_alone_is_no_interpreter(tmp_path: Path) -> None:
    files = [written(tmp_path / "ann.csv", "PLOTID,class\n1,crop\n"), written(tmp_path / "bo.csv", "PLOTID,class\n")]
    with pytest.raises(InputError, match="bo.csv: holds no points"):
        interpreted(files, FORM, POINTS, CLASSES, CELL_M)


def test_a_name_in_other_capitals_or_with_more_blanks_is_the_same_interpreter(tmp_path: Path) -> None:
    text = "PLOTID,class,who\n1,crop,Zoe  B\n2,crop,zoe b \n3,other,ann\n"
    found = read(tmp_path / "a.csv", text, replace(FORM, interpreter="who"))
    assert found.interpreters == ("ann", "Zoe  B")
    np.testing.assert_array_equal(found.answers, [[NOBODY, NOBODY, 0, NOBODY], [1, 1, NOBODY, NOBODY]])


def test_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for name, word in (("ann", "crop"), ("bo", "other")):
        (tmp_path / name).mkdir()
        written(tmp_path / name / "answers.csv", f"PLOTID,class\n1,{word}\n")
    files = [tmp_path / name / "answers.csv" for name in ("ann", "bo")]
    found = interpreted(files, FORM, POINTS, CLASSES, CELL_M)
    assert found.interpreters == ("ann/answers", "bo/answers")
    assert found.answers[:, 0].tolist() == [1, 0]


def test_a_percent_with_its_sign_is_no_share(tmp_path: Path) -> None:
    found = read(tmp_path / "a.csv", "PLOTID,class\n1,0.5 %\n2,0\n", classes=None)
    np.testing.assert_allclose(found.answers, [[0.005, 0, NOBODY, NOBODY]])


def test_plots_that_nobody_has_analysed_are_unanswered(tmp_path: Path) -> None:
    form = replace(FORM, interpreter="email")
    found = read(tmp_path / "ceo.csv", "PLOTID,email,class\n1,a@b.org,crop\n2,,\n3,a@b.org,other\n4,,\n", form)
    np.testing.assert_array_equal(found.answers, [[1, NOBODY, 0, NOBODY]])
    with pytest.raises(InputError, match="email is empty; each answer needs its interpreter"):
        read(tmp_path / "ceo.csv", "PLOTID,email,class\n1,a@b.org,crop\n2,,other\n", form)
    with pytest.raises(InputError, match=r"ceo.csv: nobody has answered yet"):
        read(tmp_path / "ceo.csv", "PLOTID,email,class\n1,,\n", form)
