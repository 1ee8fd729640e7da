import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from medix_r1.errors import DataError
from medix_r1.images.stand_ins import grey_picture, other_of_each, resized, size_of


@given(st.sets(st.text(), min_size=2, max_size=20))
def test_each_picture_stands_once_and_never_for_itself(keys) -> None:
    others = other_of_each(keys, "the set")
    assert others.keys() == keys == set(others.values())
    assert all(one != other for one, other in others.items())
    assert others == other_of_each(sorted(keys, reverse=True), "the set"), "their order does not count"


@pytest.mark.parametrize("keys", [[], ["a"], ["a", "a"]])
def test_one_picture_has_no_other(keys) -> None:
    with pytest.raises(DataError) as caught:
        other_of_each(keys, "the set")
    assert caught.value.code == "nothing-to-shuffle"


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "I;16"])
def test_stand_ins_have_the_size_that_was_asked_for(mode) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (7, 5)).save(buffer, format="PNG")
    assert size_of(buffer.getvalue()) == (7, 5)
    for stand_in in (resized(buffer.getvalue(), (20, 9)), grey_picture((20, 9))):
        with Image.open(io.BytesIO(stand_in)) as opened:
            assert (opened.size, opened.mode) == ((20, 9), "RGB")
