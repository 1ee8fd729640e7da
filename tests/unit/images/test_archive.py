"""Pictures in a zip file: by every name in which rows have them, and archives that mean harm."""

import stat
import zipfile

import pytest

from medix_r1.errors import DataError
from medix_r1.images import archive as archives
from medix_r1.images.archive import ImageArchive, archive_at, is_archive
from tests.support.problems import coded

MADE = "imgs.zip"


def packed(tmp_path, members, method=zipfile.ZIP_DEFLATED):
    path = tmp_path / MADE
    with zipfile.ZipFile(path, "w", method) as made:
        for name, data in members:
            made.writestr(name, data)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize(
    ("member", "name"),
    [
        ("a.png", "a.png"),
        ("a.png", "./a.png"),
        ("a.png", "imgs/a.png"),  # as if it were unpacked into a folder of its name
        ("./a.png", "a.png"),
        ("imgs/x/a.png", "x/a.png"),
        ("imgs/x/a.png", "imgs/x/a.png"),
        ("imgs/x/a.png", "imgs\\x\\a.png"),
        ("set/x/a.png", "x/a.png"),
        ("home/me/set/a.png", "a.png"),  # packed with the way to it
        ("imgs\\a.png", "imgs/a.png"),  # packed on Windows
        ("Größe.png", "Größe.png"),
        ("Gro\u0308\u00dfe.png", "Größe.png"),  # composed otherwise, as macOS does
        ("肺 (1).png", "肺 (1).png"),
        ("a;b=c,d~e.png", "a;b=c,d~e.png"),
    ],
)
def test_a_member_is_found_by_the_name_in_a_row(tmp_path, member, name, method) -> None:
    assert ImageArchive(packed(tmp_path, [(member, b"picture")], method)).read(name) == b"picture"


def test_a_name_in_utf8_without_its_flag_is_read(tmp_path) -> None:
    path = packed(tmp_path, [("Größe.png", b"picture")])
    data = path.read_bytes()
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.index(mark) + at
        flags = int.from_bytes(data[start : start + 2], "little") & ~0x800
        data = data[:start] + flags.to_bytes(2, "little") + data[start + 2 :]
    path.write_bytes(data)

    assert ImageArchive(path).read("Größe.png") == b"picture"


def test_the_same_picture_twice_is_one(tmp_path) -> None:
    assert ImageArchive(packed(tmp_path, [("x/a.png", b"same"), ("y/a.png", b"same")])).read("a.png") == b"same"


def test_a_changed_archive_is_opened_again(tmp_path) -> None:
    path = packed(tmp_path, [("a.png", b"old")])
    assert archive_at(path).read("a.png") == b"old"
    packed(tmp_path, [("a.png", b"newer")])
    assert archive_at(path).read("a.png") == b"newer"


LINK = zipfile.ZipInfo("link.png")
LINK.external_attr = (stat.S_IFLNK | 0o777) << 16
EVIL = [
    ("../../etc/passwd", b"evil"),
    ("/etc/passwd", b"evil"),
    ("C:/evil.png", b"evil"),
    (LINK, "/etc/passwd"),
    ("train/a.png", b"one"),
    ("test/a.png", b"another"),
    ("imgs/b.png", b"fine"),
]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("../../etc/passwd", "outside-its-folder"),
        ("/etc/passwd", "outside-its-folder"),
        ("imgs/../../x", "outside-its-folder"),
        ("a\\..\\b", "outside-its-folder"),
        ("C:\\evil.png", "outside-its-folder"),
        ("", "outside-its-folder"),
        ("passwd", "not-a-member"),
        ("etc/passwd", "not-a-member"),
        ("missing.jpg", "not-a-member"),
        ("imgs/", "not-a-member"),
        ("link.png", "not-a-member"),
        ("a.png", "several-members"),
    ],
)
def test_what_is_no_picture_of_the_archive_is_refused(tmp_path, name, code) -> None:
    path = packed(tmp_path, EVIL)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, check=coded(code)):
        ImageArchive(path).read(name)
    assert sorted(tmp_path.rglob("*")) == before  # nothing is ever written


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, monkeypatch) -> None:
    archive = ImageArchive(packed(tmp_path, [("bomb.jpg", b"\0" * 5_000_000), ("a.jpg", bytes(range(256)) * 8)]))
    with pytest.raises(DataError, check=coded("too-large")):
        archive.read("bomb.jpg", 4_999_999)
    monkeypatch.setattr(archives, "MAX_BYTES", 1000)
    with pytest.raises(DataError, check=coded("too-large")):
        archive.read("a.jpg")


def test_a_member_larger_than_it_says_is_refused(tmp_path) -> None:
    path = packed(tmp_path, [("a.jpg", bytes(range(256)) * 40)])
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x01\x02") + 24  # the size that the directory tells
    data[at : at + 4] = (10).to_bytes(4, "little")
    path.write_bytes(bytes(data))
    with pytest.raises(DataError, check=coded("damaged")):
        ImageArchive(path).read("a.jpg")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_member_is_refused(tmp_path, method) -> None:
    path = packed(tmp_path, [("a.jpg", bytes(range(256)) * 40)], method)
    data = path.read_bytes()
    path.write_bytes(data[:50] + b"\xff" * 150 + data[200:])
    with pytest.raises(DataError, check=coded("damaged")):
        ImageArchive(path).read("a.jpg")


def test_an_encrypted_member_is_refused(tmp_path) -> None:
    path = packed(tmp_path, [("a.jpg", b"picture")])
    data = path.read_bytes()
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.index(mark) + at
        data = data[:start] + bytes([data[start] | 1]) + data[start + 1 :]
    path.write_bytes(data)
    with pytest.raises(DataError, match="encrypted", check=coded("damaged")):
        ImageArchive(path).read("a.jpg")


def test_what_is_no_archive_says_so(tmp_path) -> None:
    (tmp_path / MADE).write_bytes(b"<html>login</html>")
    assert not is_archive(tmp_path / MADE)
    with pytest.raises(DataError, check=coded("not-a-zip")):
        ImageArchive(tmp_path / MADE)
