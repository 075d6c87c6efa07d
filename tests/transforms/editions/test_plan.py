"""What a plan's key depends on."""

from dataclasses import replace

from tests.transforms.editions.test_edition import make_plan


def test_the_key_changes_with_what_is_read_and_not_with_how_carefully() -> None:
    plan = make_plan()
    source = plan.sources["sentinel2"]
    for careful in (replace(source, hosts=("a.org",)), replace(source, folders=("/a",)), replace(source, verify=True)):
        assert replace(plan, sources={"sentinel2": careful}).key == plan.key
    other = replace(source, collection="sentinel-2-c1-l2a")
    assert replace(plan, sources={"sentinel2": other}).key != plan.key
