"""How several things are written as one answer."""

from __future__ import annotations

from tools.rewordings.templates import Writing, fill, writing


def test_things_are_joined_as_the_entry_says() -> None:
    assert Writing(between=", ", last=" or ").write(["a", "b", "c"]) == "a, b or c"
    assert Writing(before="either ", between=" or ", after=".").write(["a", "b"]) == "either a or b."
    assert Writing(item="{n}. {}", between=" ").write(["a", "b"]) == "1. a 2. b"
    assert Writing(item="({l}) {}", between=", ").write(["a", "b"]) == "(a) a, (b) b"
    assert Writing(between=" or ", case="upper").write(["a", "b"]) == "A OR B"


def test_an_entry_may_be_for_some_things_only() -> None:
    limited = writing({"between": ", ", "not": ["quantity"], "groups": ["bone"], "sizes": [2]})
    assert limited.sizes == (2,)
    assert limited.fits("named", "bone")
    assert not limited.fits("quantity", "bone")
    assert not limited.fits("named", "muscle")


def test_a_field_in_capitals_begins_with_one() -> None:
    assert fill("{x}. {About}.", {"x": "no", "about": "there is none"}) == "no. There is none."
