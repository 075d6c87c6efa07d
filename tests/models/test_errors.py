"""What failures say: never a token, a password or a key, whatever library's words are part of it."""

import pickle

import pytest

from stook.models.errors import TileError, without_secrets

TOLD = [
    ("GET https://a.example/c.tif?se=2030&sig=SECRET%2F failed", "GET https://a.example/c.tif?… failed"),
    ("https://me:SECRET@a.example/x is down", "https://…@a.example/x is down"),
    ("Max retries exceeded with url: /a.tif?sp=r&sig=SECRET (Caused by X)", "with url: /a.tif?… (Caused by X)"),
    ("'/vsicurl/https://a.example/c.tif?sig=SECRET' is none", "'/vsicurl/https://a.example/c.tif?…' is none"),
    ("Authorization: Bearer SECRET.x", "Authorization: …"),
    ("{'Authorization': 'Basic SECRET'}", "{'Authorization': '…'}"),
    ("{'Ocp-Apim-Subscription-Key': 'SECRET'}", "{'Ocp-Apim-Subscription-Key': '…'}"),
    ("a header with Bearer SECRET012345", "a header with Bearer …"),
    ("X-Amz-Signature=SECRET&x=1", "X-Amz-Signature=…&x=1"),
    ("se=2030&sp=r&sig=SECRET, again", "se=2030&sp=r&sig=…, again"),
    ('{"access_token": "SECRET"}', '{"access_token": "…"}'),
]  # fmt: skip
ORDINARY = [
    "answers HTTP 404; is it a STAC catalogue or API?",
    "seed=5, threshold=40; allowed are 0 to 100",
    "region.file: /data/a@b/units.gpkg: no such file",
    "gs://bucket/prefix/catalog.json: unreachable (HTTP 503)",
    "S2A: no token for http://a.example/x.tif",
]


@pytest.mark.parametrize(("text", "left"), TOLD)
def test_secrets_are_left_out_of_what_is_told(text: str, left: str) -> None:
    assert left in without_secrets(text) and "SECRET" not in without_secrets(text)
    assert str(TileError(text)) == without_secrets(text)


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_words_stay(text: str) -> None:
    assert without_secrets(text) == text


def test_failures_travel_between_processes() -> None:
    error = pickle.loads(pickle.dumps(TileError("S2A: missing asset red")))  # noqa: S301
    assert type(error) is TileError and str(error) == "S2A: missing asset red"
