"""`data view` in a real browser: what a person sees, and that hostile text in a row cannot run."""

import re

import numpy as np
import pytest
from PIL import Image

from medix_r1.data.looking.view import marked_question, write_view
from medix_r1.errors import ConfigError
from tests.support.browser import dom_of, needs_browser
from tests.support.problems import only
from tests.unit.data.support import encoded, make_backbone, picture, row, run_prepare, write_rows

TITLE = "document.title='RAN'"
HOSTILE = (
    f'</p><script>{TITLE}</script><img src=x onerror="{TITLE}"><svg onload="{TITLE}"> {{{{ 7*7 }}}} '
    f"<iframe src='javascript:parent.{TITLE}'></iframe><a href=\"javascript:{TITLE}\">x</a>"
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("view")
    backbone = make_backbone(folder / "backbone")
    red = Image.new("RGB", (400, 300), (200, 10, 20))
    rows = [
        row(1, images=[encoded(red)], question="Which colour is this?", answer="crimson red"),
        row(
            2,
            question=HOSTILE,
            answer=f"left <script>{TITLE}</script>",
            source=f"<b onclick={TITLE}>",
            accepted=[HOSTILE],
        ),
        row(3, images=[encoded(picture(3)), encoded(picture(4))], choices=["left lung", f"<script>{TITLE}</script>"]),
        row(5, images=[], tag=None, question="Größe? Ω 日本語"),
    ]
    run_prepare(write_rows(folder, rows), folder / "out", backbone, "split.validation=0")
    return folder / "out"


@needs_browser
def test_hostile_text_is_shown_and_does_not_run(prepared, tmp_path):
    assert write_view(prepared, tmp_path / "view.html", rows=10) == 4

    dom = dom_of(tmp_path / "view.html", tmp_path / "home")

    assert re.search("<title>view[0-9]*</title>", dom)
    assert dom.count('<article id="row-') == 4
    assert "RAN" not in dom.partition("</title>")[0]
    assert not any(element in dom for element in ("<script", "<svg", "<iframe", "<b onclick"))
    assert "&lt;script&gt;" in dom
    assert "{{ 7*7 }}" in dom
    assert "Größe? Ω 日本語" in dom
    assert dom.count("<img") == 4 == dom.count('src="data:image/jpeg;base64,')


@needs_browser
def test_the_same_text_runs_where_nothing_is_escaped(prepared, tmp_path):
    """The check above can fail: unescaped and without the policy, this browser does run it."""
    (tmp_path / "bad.html").write_text(f"<!doctype html><title>rows</title><p>{HOSTILE}")

    assert "<title>RAN</title>" in dom_of(tmp_path / "bad.html", tmp_path / "home")


@needs_browser
def test_the_policy_holds_even_without_escaping(prepared, tmp_path):
    write_view(prepared, tmp_path / "view.html", rows=10)
    page = (tmp_path / "view.html").read_text()
    (tmp_path / "view.html").write_text(page.replace("<body>", f"<body>{HOSTILE}"))

    dom = dom_of(tmp_path / "view.html", tmp_path / "home")
    assert re.search("<title>view[0-9]*</title>", dom)


@needs_browser
def test_the_picture_is_on_the_screen(prepared, tmp_path):
    write_view(prepared, tmp_path / "view.html", rows=10)
    shot = tmp_path / "shot.png"

    dom_of(tmp_path / "view.html", tmp_path / "home", "", f"--screenshot={shot}", "--window-size=1100,1400")

    with Image.open(shot) as image:
        values = np.asarray(image.convert("RGB")).astype(int)
    crimson = (abs(values - (200, 10, 20)).max(axis=-1) < 12).sum()
    assert crimson > 20_000  # 400x300 pixels, scaled to its column


def test_filters_and_their_mistakes(prepared, tmp_path):
    assert write_view(prepared, tmp_path / "view.html", tag="X_RAY", rows=2) == 2
    with pytest.raises(ConfigError, check=only(("--source", "no-row-matches"))):
        write_view(prepared, tmp_path / "other.html", source="mine")
    assert not (tmp_path / "other.html").exists()


def test_marks_stand_where_the_pictures_do():
    for question in (
        "<image>Which?",
        "Before <image> and after <image>?",
        "Which?\n<image>",
        "No picture?",
        "Ω <image> 日本",
    ):
        plain = question.replace("<image>", " ").strip()
        for rest in ("", "\n\nLook at the picture.", "\nA. left\nB. right"):
            assert marked_question(question + rest, plain).strip() == question.strip()


def test_rejected_rows_are_shown_by_their_reason(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rejected")
    rows = [row(1), row(2), row(3, answer=""), row(4, tag="<b>lung</b>", question="Which <i>tag</i>?")]
    run_prepare(write_rows(folder, rows), folder / "out", make_backbone(folder / "backbone"), "split.validation=0")

    assert write_view(folder / "out", folder / "all.html", reason="all") == 2
    assert write_view(folder / "out", folder / "one.html", reason="unknown_tag") == 1
    page = (folder / "one.html").read_text()
    assert 'id="rejected-1"' in page
    assert "<i>tag" not in page
    assert "&lt;i&gt;tag" in page
    with pytest.raises(ConfigError, check=only(("--reason", "no-row-matches"))):
        write_view(folder / "out", folder / "none.html", reason="too_long")


def test_the_page_has_a_dark_side(prepared, tmp_path):
    write_view(prepared, tmp_path / "view.html", rows=10)

    assert "prefers-color-scheme: dark" in (tmp_path / "view.html").read_text()
