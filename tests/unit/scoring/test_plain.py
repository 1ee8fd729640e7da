"""Nothing that a model wrote moves the cursor or hides."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from medix_r1.scoring.plain import plain


def test_escapes_are_shown_by_number() -> None:
    assert plain("a\x1b[2Jb\u202ec\u200bd").plain == "a\\u001b[2Jb\\u202ec\\u200bd"


def test_markup_is_text() -> None:
    assert plain("[red]x[/]").plain == "[red]x[/]"
    assert plain("[red]x[/]").spans == []


@given(st.text(max_size=300))
def test_no_control_or_format_character_is_left(text: str) -> None:
    left = set(plain(text).plain) - {"\n", "\t"}
    assert not [c for c in left if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


def test_long_text_is_cut_and_says_so() -> None:
    assert plain("x" * 100, limit=10).plain == "xxxxxxxxxx … (90 more characters)"
