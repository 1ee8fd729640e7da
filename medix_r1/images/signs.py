"""What kind of file bytes are, by how they begin; nothing is decoded."""

from __future__ import annotations

_MARK = slice(128, 132)  # of DICOM, after a preamble of any content
_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT OB OW PN SH SL SQ SS ST TM UI UL UN US UT".split())
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


def what_instead(raw: bytes) -> str:
    """What a file that is no picture looks like, without its content: empty, a pointer, text, or other bytes."""
    if not raw:
        return "an empty file"
    if raw.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS, whose file was not fetched"
    head = raw[:64]
    is_text = all(byte >= 32 or byte in b"\t\r\n" for byte in head) and head.isascii()
    return "text" if is_text else "bytes of an unknown kind"


def is_picture(raw: bytes) -> bool:
    """Whether bytes begin like a picture of a kind that is read: PNG, JPEG, WebP, TIFF, BMP, GIF or DICOM."""
    if raw[:4] == b"RIFF":
        return raw[8:12] == b"WEBP"
    return raw.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM", b"GIF8")) or is_dicom(raw)
