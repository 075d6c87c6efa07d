"""Several writers of one folder of a bucket, in simulated time: the store and the clock are simulated."""

import json
import random
from pathlib import Path
from threading import Condition, Thread, current_thread

import pytest
from upath.implementations.cloud import GCSPath

from stook.transforms.store import ChangedError, cloud, upload_whole, uploading, write_json

FOLDER = GCSPath("gs://simulated/one")
LAST = "last.json"
END_S = 3600.0
REQUEST_S = 0.1


class KilledError(Exception):
    """A writer is killed."""


class Simulated:
    """Stands for ``cloud`` and for ``time``: of all writers the one that is earliest goes on, nobody sleeps.

    Args:
        starts: Writer -> when it starts, in seconds.
        upload_s: How long the upload of a file takes.
        chance: Draws how far each request takes longer, which answers are lost and who is killed; None: none of these.
        killed: Probability that a writer is killed at a request; of uploads, half have arrived.
    """

    ABSENT = cloud.ABSENT

    def __init__(
        self, starts: dict[str, float], upload_s: float, chance: random.Random | None = None, killed: float = 0.0
    ):
        self.objects: dict[str, tuple[bytes, int]] = {}
        self.claimed: list[str] = []
        self.finished: list[str] = []
        self._clocks, self._turn = dict(starts), Condition()
        self._upload_s, self._chance, self._killed = upload_s, chance, killed
        self._generation = cloud.ABSENT

    def begin(self) -> None:
        self.sleep(0.0)

    def leave(self) -> None:
        with self._turn:
            del self._clocks[current_thread().name]
            self._turn.notify_all()

    def sleep(self, seconds: float) -> None:
        me = current_thread().name
        with self._turn:
            self._clocks[me] += seconds
            assert self._clocks[me] < END_S, "writers go on for ever"
            self._turn.notify_all()
            assert self._turn.wait_for(lambda: min(self._clocks, key=self._clocks.__getitem__) == me, timeout=30)

    def monotonic(self) -> float:
        return self._clocks[current_thread().name]

    def read(self, where: GCSPath) -> tuple[bytes, int] | None:
        self._request()
        return self.objects.get(where.name)

    def generation(self, where: GCSPath) -> int:
        self._request()
        return self._there(where)

    def generations_below(self, _: GCSPath) -> dict[str, int]:
        self._request()
        return {name: generation for name, (_, generation) in self.objects.items()}

    def put(self, where: GCSPath, content: bytes, generation: int) -> int:
        self._request()
        if self._there(where) != generation:
            raise ChangedError("put")
        return self._set(where, content)

    def upload(self, file: Path, where: GCSPath, generation: int) -> int:
        try:
            self._request(self._upload_s)
        except KilledError:
            if self._draw() < 0.5 and self._there(where) == generation:
                self._set(where, file.read_bytes())
            raise
        if self._there(where) != generation:
            raise ChangedError("upload")
        written = self._set(where, file.read_bytes())
        if self._draw() < 0.1:
            raise ChangedError("the answer was lost, and the repetition finds the object")
        return written

    def delete(self, where: GCSPath, generation: int) -> None:
        self._request()
        if self._there(where) == generation != cloud.ABSENT:
            del self.objects[where.name]
            self.require_no_mixture()

    def told(self) -> dict[str, object] | None:
        """What the last file says, None where there is none or a claim."""
        found = json.loads(self.objects.get(LAST, (b"null", 0))[0])
        return None if found is None or "writing" in found else found

    def require_no_mixture(self) -> None:
        told = self.told()
        if told is not None:
            assert {self.objects[name][0].decode() for name in told["files"]} <= {told["by"]}  # type: ignore[attr-defined]

    def _draw(self) -> float:
        return 1.0 if self._chance is None else self._chance.random()

    def _request(self, seconds: float = REQUEST_S) -> None:
        self.sleep(seconds * (1.0 if self._chance is None else self._chance.uniform(0.5, 5.0)))
        if self._draw() < self._killed:
            raise KilledError

    def _there(self, where: GCSPath) -> int:
        return self.objects.get(where.name, (b"", cloud.ABSENT))[1]

    def _set(self, where: GCSPath, content: bytes) -> int:
        self._generation += 1
        self.objects[where.name] = content, self._generation
        self.require_no_mixture()
        if where.name == LAST:
            (self.claimed if self.told() is None else self.finished).append(current_thread().name)
        return self._generation


def run(store: Simulated, files: dict[str, list[str]], home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Have writers upload their files; returns what became of each: ``ours``, ``theirs`` or ``killed``."""
    monkeypatch.setattr(uploading, "cloud", store)
    monkeypatch.setattr(uploading, "time", store)
    became: dict[str, str] = {}

    def write(by: str) -> None:
        try:
            store.begin()
            became[by] = "ours" if upload_whole(home / by, FOLDER, LAST, over=True) else "theirs"
        except KilledError:
            became[by] = "killed"
        finally:
            store.leave()

    for by, names in files.items():
        (home / by).mkdir(parents=True)
        for name in names:
            (home / by / name).write_text(by)
        write_json(home / by / LAST, {"by": by, "files": names})
    threads = [Thread(target=write, args=(by,), name=by) for by in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert became.keys() == files.keys()
    return became


@pytest.mark.parametrize("stagger_s", [0.5, 5.0, 15.0])
@pytest.mark.parametrize(("upload_s", "files"), [(1, 12), (3, 12), (10, 8), (60, 2), (200, 1)])
def test_writers_do_not_take_over_from_each_other_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, upload_s: float, files: int, stagger_s: float
) -> None:
    names = [f"{number}.txt" for number in range(files)]
    store = Simulated({"one": 0.0, "two": stagger_s}, upload_s)
    became = run(store, dict.fromkeys(("one", "two"), names), tmp_path, monkeypatch)
    told = store.told()
    assert told is not None and became[str(told["by"])] == "ours"
    assert [by for by, what in became.items() if what == "ours"] == store.finished
    assert store.objects.keys() == {*names, LAST}


def test_a_writer_that_goes_on_uploading_is_not_taken_for_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Simulated({"one": 0.0, "two": 5.0}, uploading.PATIENCE_S * 0.4)
    files = dict.fromkeys(("one", "two"), [f"{number}.txt" for number in range(12)])
    assert run(store, files, tmp_path, monkeypatch) == {"one": "theirs", "two": "ours"}
    assert store.claimed == ["one", "two"]


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0.0, 0.02])
def test_by_chance_there_is_never_a_mixture_and_no_file_stays_that_nobody_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed: float
) -> None:
    overtaken = 0
    for seed in range(150):
        chance = random.Random(seed)
        writers = [f"writer-{number}" for number in range(chance.randint(2, 4))]
        files = {by: sorted(chance.sample("abcd", chance.randint(1, 4))) for by in writers}
        store = Simulated({by: chance.uniform(0, 3) for by in writers}, chance.choice([0.2, 5.0]), chance, killed)
        became = run(store, files, tmp_path / str(seed), monkeypatch)
        told = store.told()
        assert (told is not None) == bool(store.finished)
        overtaken += "theirs" in became.values()
        if "killed" not in became.values():
            assert told is not None and store.objects.keys() == {*files[str(told["by"])], LAST}, seed
    assert overtaken > 10
