"""One set of pictures, with their right pixels as data, for both readers: preparation's and evaluation's."""

import base64
import io
import random
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image as PillowImage

from medix_r1.errors import ConfigError, DataError
from medix_r1.evaluation.benchmarks.items import Image, Item
from medix_r1.evaluation.phases.messages import user_message
from medix_r1.evaluation.settings import compose_eval
from medix_r1.images.archive import ImageArchive
from medix_r1.images.decode import prepare_image
from medix_r1.images.rules import ImageRejected, rules_of
from tests.support import golden_pictures

CASES = {case.name: case for case in golden_pictures.read()}


def as_prepared(case):
    return prepare_image(case.content, rules_of(case.rules)).content


def as_asked(case):
    image = Image(0, "key", lambda: case.content, rules_of(case.rules))
    item = Item("id", "mine", 0, "g", None, "What is it?", "", (), "a dot", None, (image,))
    sent = user_message(item, "plain", "think").content[0].image
    head, _, data = sent.partition(",")
    assert head in ("data:image/png;base64", "data:image/jpeg;base64")
    return base64.b64decode(data)


def pixels(content):
    """As a model's processor sees them: opened by Pillow, in RGB, nothing turned."""
    return np.asarray(PillowImage.open(io.BytesIO(content)).convert("RGB")).astype(float)


@pytest.mark.parametrize("read", [as_prepared, as_asked])
@pytest.mark.parametrize("name", CASES)
def test_a_picture_has_its_right_pixels(name, read):
    case = CASES[name]
    if case.refused:
        with pytest.raises((ImageRejected, DataError)) as caught:
            read(case)
        assert case.refused in str(caught.value)
        return

    assert case.pixels is not None
    wanted = case.pixels if case.pixels.ndim == 3 else np.stack([case.pixels] * 3, axis=-1)
    found = pixels(read(case))

    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() <= case.tolerance


def test_the_cases_are_those_that_are_made():
    assert [case.name for case in golden_pictures.cases()] == list(CASES)
    for case in golden_pictures.cases():
        kept = CASES[case.name].pixels
        assert (case.pixels is None) == (kept is None)
        if case.pixels is not None and kept is not None:
            assert np.allclose(np.round(case.pixels.astype(float), 2), kept)


def test_a_bomb_inside_a_zip_is_refused_by_its_header(tmp_path):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", 12_000, 12_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    with zipfile.ZipFile(tmp_path / "imgs.zip", "w") as file:
        file.writestr("imgs/a.png", bomb + chunk(b"IEND", b""))
    image = Image(0, "key", lambda: ImageArchive(tmp_path / "imgs.zip").read("a.png"))
    item = Item("id", "mine", 0, "g", None, "What is it?", "", (), "a dot", None, (image,))

    with pytest.raises(DataError, match="image_bomb"):
        user_message(item, "plain", "think")


def test_nothing_that_identifies_a_person_is_read():
    """Every DICOM case holds a patient's name and number; no output, fact or error does."""
    named = [case for case in CASES.values() if b"Doe^Jane" in case.content]
    assert len(named) > 20
    for case in named:
        told = _told(case)
        assert b"Doe" not in told
        assert b"4711" not in told


def _told(case):
    """Everything that is written or printed about a case."""
    try:
        image = prepare_image(case.content, rules_of(case.rules))
    except ImageRejected as problem:
        return str(problem).encode()
    return image.content + repr(image.facts).encode()


def test_damaged_bytes_are_a_picture_or_a_reason():
    """Bytes changed at random and files cut at random: no decoder's error gets out, nothing hangs."""
    chosen, outcomes = random.Random(3), set()
    for case in CASES.values():
        for _ in range(3 if case.content else 0):
            content = bytearray(case.content)
            for _ in range(chosen.choice((1, 3, 20))):
                content[chosen.randrange(len(content))] = chosen.randrange(256)
            cut = chosen.choice((len(content), chosen.randrange(1, len(content) + 1)))
            try:
                prepare_image(bytes(content[:cut]), rules_of(case.rules))
            except ImageRejected as problem:
                outcomes.add(problem.reason.value)
            else:
                outcomes.add("read")
    assert outcomes >= {"read", "corrupt_image"}


def test_rules_of_a_tasks_pictures_are_checked_by_their_keys():
    wrong = ["+tasks.slake_vqa.image.frames=last", "+tasks.path_vqa.image.frame=first"]

    with pytest.raises(ConfigError) as caught:
        compose_eval(["model=x", "task=[slake_vqa,path_vqa]", *wrong])

    assert {(problem.key, problem.code) for problem in caught.value.problems} >= {
        ("tasks.slake_vqa.image.frames", "not-a-choice"),
        ("tasks.path_vqa.image.frame", "no-such-key"),
    }
