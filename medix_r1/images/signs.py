"""What kind of file bytes are, by how they begin; nothing is decoded."""

from __future__ import annotations

_MARK = slice(128, 132)  # of DICOM, after a preamble of any content
_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT OB OW PN SH SL SQ SS ST TM UI UL UN US UT".split())
_PICTURES = (
    *(b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM", b"GIF8"),
    *(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"),  # JPEG 2000
)
_LAST_ELEMENT = 0x18  # group 8 begins with one of its first elements; SOPInstanceUID is the last that every file has
_LONGEST = 64  # bytes, of a first element without a type; a UID has at most 64


def is_dicom(raw: bytes) -> bool:
    """Whether bytes begin like DICOM: by the mark after the preamble, or, without one, by a first element."""
    if raw[_MARK] == b"DICM":
        return True
    little = int.from_bytes(raw[:2], "little"), int.from_bytes(raw[2:4], "little")
    big = int.from_bytes(raw[:2], "big"), int.from_bytes(raw[2:4], "big")
    is_typed = raw[4:6] in _VRS
    if little in ((2, 0), (2, 1)) or big == (8, 0):
        return is_typed or little[0] == 2
    if little[0] == 8 and little[1] <= _LAST_ELEMENT:
        return is_typed or int.from_bytes(raw[4:8], "little") <= _LONGEST
    return big[0] == 8 and big[1] <= _LAST_ELEMENT and is_typed


_ELSE = {  # where it begins, what stands there: what it is
    (0, b"version https://git-lfs"): "a pointer of Git LFS, whose file was not fetched",
    (0, b"%PDF"): "a PDF document",
    (0, b"PK\x03\x04"): "a zip archive",
    (0, b"\x1f\x8b"): "a gzip file, perhaps of a NIfTI volume",
    (344, b"n+1"): "a NIfTI volume; save its slices as pictures",
    (4, b"ftypheic"): "HEIC of a phone; save it as JPEG",
    (4, b"ftypmif1"): "HEIC of a phone; save it as JPEG",
    (4, b"ftypavif"): "AVIF; save it as PNG",
    (4, b"ftyp"): "a video",
    (0, b"\x00\x00\x01\x00"): "an icon",
}


def what_instead(raw: bytes) -> str:
    """What a file that is no picture looks like, without its content: empty, of another kind, text, or other bytes."""
    if not raw:
        return "an empty file"
    for (start, mark), what in _ELSE.items():
        if raw.startswith(mark, start):
            return what
    head = raw[:64]
    if not (head.isascii() and all(byte >= 32 or byte in b"\t\r\n" for byte in head)):
        return "bytes of an unknown kind"
    lowered = raw[:1000].lower()
    if b"<svg" in lowered:
        return "an SVG drawing; save it as PNG"
    return "a web page" if b"<html" in lowered else "text"


def is_picture(raw: bytes) -> bool:
    """Whether bytes begin like a picture of a kind that is read."""
    if raw[:4] == b"RIFF":
        return raw[8:12] == b"WEBP"
    return raw.startswith(_PICTURES) or is_dicom(raw)
