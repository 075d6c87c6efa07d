"""What is read and encoded for a tile is counted, by however many threads."""

from concurrent.futures import ThreadPoolExecutor

from stook.transforms.amounts import Amounts


def test_scenes_count_once_and_files_as_often_as_they_are_opened() -> None:
    amounts = Amounts()
    for scene in ("a", "b", "a"):
        amounts.opened(scene)
        amounts.read(10)
    amounts.encoded(chips=3, pixels_per_chip=4)
    assert amounts.counts() == {"scenes": 2, "assets": 3, "bytes_read": 30, "chips": 3, "pixels": 12}


def test_files_of_unknown_size_are_told() -> None:
    amounts = Amounts()
    amounts.read(None)
    assert amounts.counts()["unsized"] == 1 and amounts.counts()["bytes_read"] == 0


def test_threads_lose_nothing() -> None:
    amounts = Amounts()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: amounts.read(1), range(20_000)))
    assert amounts.bytes_read == 20_000
