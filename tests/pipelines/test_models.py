"""``stook models`` lists, shows, fetches and checks encoders; its words and its exit statuses."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stook.models.checkpoints import CHECKPOINTS
from stook.pipelines import cli
from stook.pipelines.models import markdown
from tests.evidence.weights import NAME, flipped, honest, registered, written

ROOT = Path(__file__).resolve().parents[2]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def stook(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs ``stook models`` in this process: exit status, standard output, standard error."""
    monkeypatch.setenv("STOOK_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.delenv("STOOK_WEIGHTS_MIRROR", raising=False)

    def run(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["stook", "models", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        told = capsys.readouterr()
        return int(end.value.code or 0), told.out, told.err

    return run


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A weights folder that holds the small checkpoint."""
    (tmp_path / "mirror/presto").mkdir(parents=True)
    written(tmp_path / "mirror/presto", honest())
    return tmp_path / "mirror"


def test_the_list_has_every_checkpoint(stook: Run, tmp_path: Path) -> None:
    status, out, _ = stook("list")
    assert status == 0
    assert f"Weights are kept in {tmp_path}/weights" in out
    rows = {line.split()[0]: line for line in out.splitlines()[2:]}
    assert set(rows) == set(CHECKPOINTS)
    assert rows["presto"].split()[-2:] == ["known", "no"]
    assert "CC-BY-NC-4.0" in rows["satmae-group-large"]
    assert rows["satmae-group-large"].split()[-2] == "unverified"


def test_the_list_as_json_says_what_goes_in_and_comes_out(stook: Run) -> None:
    _, out, _ = stook("list", "--json")
    entries = {entry["name"]: entry for entry in json.loads(out)}
    assert set(entries) == set(CHECKPOINTS)
    group = entries["satmae-group-base"]
    assert [band["name"] for band in group["input"]["bands"]][:3] == ["blue", "green", "red"]
    assert group["output"] == {"width": 768, "patch_px": 96}
    assert (group["verified"], group["present"], group["terms"]) == (False, False, "non-commercial")


def test_show_says_everything_a_user_needs(stook: Run, tmp_path: Path) -> None:
    _, out, _ = stook("show", "geossl-resnet50-moco-tp")
    for words in (
        "224 px of 1 m",
        "1 image",
        "no answer where anything is missing",
        "2048",
        "https://zenodo.org/records/7379715/files/moco_tp.pth.tar?download=1",
        "unverified: nobody has recorded one",
        "(unknown)",
        "arXiv:2011.09980",
        f"{tmp_path}/weights/resnet/moco_tp.pth.tar (absent)",
        "resolution_m (1)",
    ):
        assert words in out
    bands = [line.split() for line in out.splitlines() if " rgb " in line]
    assert [band[0] for band in bands] == ["red", "green", "blue"]
    assert bands[0][-2:] == ["-0.485", "0.229"]


def test_show_as_json_is_the_entry_of_the_list(stook: Run) -> None:
    _, one, _ = stook("show", "presto", "--json")
    _, every, _ = stook("list", "--json")
    assert json.loads(one) in json.loads(every)


def test_an_unknown_name_is_the_users_mistake(stook: Run) -> None:
    for command in ("show", "fetch", "verify"):
        status, _, err = stook(command, "presta")
        assert status == 2
        assert "'presta' is unknown; allowed are presto" in err


def test_fetch_takes_a_mirror_and_prints_the_hash_to_record(stook: Run, mirror: Path, tmp_path: Path) -> None:
    with registered(mirror / "presto/weights.pt"):
        status, _, err = stook("fetch", NAME, "--mirror", str(mirror))
        assert status == 2
        assert "--allow-unverified" in err
        status, out, _ = stook("fetch", NAME, "--mirror", str(mirror), "--allow-unverified")
        assert status == 0
        assert f"{tmp_path}/weights/presto/weights.pt: fetched" in out
        assert "Record it in models/checkpoints.py" in out
        _, out, _ = stook("fetch", NAME, "--allow-unverified")
        assert "was there already" in out


def test_the_mirror_may_come_from_the_environment(
    stook: Run, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STOOK_WEIGHTS_MIRROR", str(mirror))
    with registered(mirror / "presto/weights.pt"):
        assert stook("fetch", NAME, "--allow-unverified", "--weights-dir", str(tmp_path / "other"))[0] == 0
    assert (tmp_path / "other/presto/weights.pt").is_file()


def test_a_licence_that_is_not_free_must_be_accepted(stook: Run) -> None:
    status, _, err = stook("fetch", "satmae-rgb", "--allow-unverified")
    assert status == 2
    assert "non-commercial: CC-BY-NC-4.0; --accept-licence" in err


def test_without_an_address_the_status_is_that_of_an_archive_that_is_down(stook: Run) -> None:
    status, _, err = stook("fetch", "presto-worldcereal")
    assert status == 4
    assert err.startswith("stook: presto-worldcereal: the address of the file is not known; on another machine")


def test_verify_tells_the_right_from_the_wrong(stook: Run, mirror: Path) -> None:
    folder, path = ("--weights-dir", str(mirror)), mirror / "presto/weights.pt"
    with registered(path):
        status, out, _ = stook("verify", *folder)
        assert status == 0
        assert "unverified; not opened, --allow-unverified opens it" in out
        status, out, _ = stook("verify", NAME, "--allow-unverified", *folder)
        assert status == 0
        assert f"{len(honest())} keys used, 0 dropped" in out
        flipped(path)
        status, out, _ = stook("verify", "--allow-unverified", *folder)
        assert status == 2
        assert f"{NAME}: WRONG: {path}: damaged" in out
        assert "1 wrong" in out


def test_verify_of_an_absent_file_says_how_to_get_it(stook: Run) -> None:
    status, _, err = stook("verify", "presto")
    assert status == 2
    assert "'stook models fetch presto' gets them" in err


@pytest.mark.shared
def test_verify_finds_the_real_weights_as_published(stook: Run, shared: Path) -> None:
    status, out, _ = stook("verify", "--weights-dir", str(shared / "weights"))
    assert status == 0
    assert "presto: as published, 404,160 parameters, 50 keys used, 52 dropped (decoder)" in out
    assert f"3 of {len(CHECKPOINTS)} checkpoints present, 0 wrong" in out


def test_the_page_has_the_registry_as_it_is() -> None:
    """If this fails, put what ``stook.pipelines.models.markdown()`` gives into docs/encoders.md."""
    assert markdown() in (ROOT / "docs/encoders.md").read_text()
