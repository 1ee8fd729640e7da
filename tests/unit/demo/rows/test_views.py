import io
import random

import numpy as np
import pytest
from PIL import Image

from medix_r1.demo.rows import labels as label_file
from medix_r1.demo.rows.labels import Labels, Source
from medix_r1.demo.rows.views import VIEW_SIDE, is_sided, make_view, stream, to_png


@pytest.fixture(scope="module")
def labels() -> Labels:
    return label_file.load()


@pytest.fixture(scope="module")
def source(labels: Labels) -> Source:
    return next(s for s in labels.sources if s.upright)


@pytest.fixture(scope="module")
def half_bright() -> Image.Image:
    """A picture whose left half is bright: mirroring and turning can be told from the pixels."""
    pixels = np.zeros((256, 256, 3), dtype=np.uint8)
    pixels[:, :128] = 200
    return Image.fromarray(pixels)


def test_the_same_name_gives_the_same_bytes(labels: Labels, source: Source, half_bright: Image.Image) -> None:
    first = make_view(half_bright, source, "colour", "train", 0, labels)
    random.random()  # the global stream plays no part
    again = make_view(half_bright, source, "colour", "train", 0, labels)
    assert to_png(first.picture) == to_png(again.picture)
    assert first.question == again.question


@pytest.mark.parametrize(("part", "k", "question_type"), [("heldout_views", 0, "colour"), ("train", 1, "colour")])
def test_other_parts_and_numbers_give_other_views(
    part: str, k: int, question_type: str, labels: Labels, source: Source, half_bright: Image.Image
) -> None:
    first = make_view(half_bright, source, "colour", "train", 0, labels)
    other = make_view(half_bright, source, question_type, part, k, labels)
    assert to_png(first.picture) != to_png(other.picture)


def test_streams_do_not_depend_on_the_hash_seed() -> None:
    assert stream("view", "xray_chest", 0).random() == 0.9688649561678218


def test_a_sided_answer_is_never_mirrored(labels: Labels, source: Source, half_bright: Image.Image) -> None:
    for k in range(40):
        view = make_view(half_bright, source, "rotation", "train", k, labels)
        pixels = np.asarray(view.picture.convert("L"), dtype=float)
        if view.fact == "turned_left":  # the bright left half comes to lie at the bottom, and only there
            assert pixels[-30:].mean() > 2 * pixels[:30].mean() + 10


def test_views_of_unsided_answers_are_mirrored_about_half_the_time(
    labels: Labels, source: Source, half_bright: Image.Image
) -> None:
    bright_right = 0
    for k in range(60):
        pixels = np.asarray(make_view(half_bright, source, "colour", "train", k, labels).picture.convert("L"))
        bright_right += int(pixels[:, -20:].mean() > pixels[:, :20].mean())
    assert 18 <= bright_right <= 42


def test_the_rotation_fact_is_drawn_from_all_rotations(
    labels: Labels, source: Source, half_bright: Image.Image
) -> None:
    drawn = {make_view(half_bright, source, "rotation", "train", k, labels).fact for k in range(20)}
    assert drawn == set(labels.rotations)


def test_size_and_png(labels: Labels, source: Source, half_bright: Image.Image) -> None:
    view = make_view(half_bright, source, "view", "train", 0, labels)
    reread = Image.open(io.BytesIO(to_png(view.picture)))
    assert reread.size == (VIEW_SIDE, VIEW_SIDE)
    assert np.array_equal(np.asarray(reread), np.asarray(view.picture))


@pytest.mark.parametrize(("wordings", "sided"), [(("turned left",), True), (("left lung",), True), (("cleft",), False)])
def test_is_sided(wordings: tuple[str, ...], sided: bool) -> None:
    assert is_sided(wordings) is sided
