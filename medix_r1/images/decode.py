"""Reads an image file, checks it, and converts it to 8-bit PNG where needed: for training and evaluation alike.

PNG, JPEG and WebP of 8 bits a channel pass unchanged. TIFF, DICOM, GIF, BMP, JPEG 2000, PGM, palettes, transparency
(put on white), CMYK, 16 bits and floats (windowed by percentiles), and rotated photographs (EXIF) become PNG. Every
image is decoded in full, because nothing else detects a truncated file.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from medix_r1.images import signs
from medix_r1.images.eight_bits import to_eight_bits
from medix_r1.images.rules import ImageReason, ImageRejected, ImageRules, PreparedImage, check_size, frame_number

_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "JPEG2000", "PPM")  # a JPEG of several pictures opens as MPO
_NAMED = ("PNG", "JPEG", "WebP", "TIFF", "BMP", "GIF", "JPEG 2000", "PGM", "DICOM")
KEPT_FORMATS = ("PNG", "JPEG", "WEBP")
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")


@dataclass(frozen=True, slots=True)
class ReadImage:
    """A picture as a model gets it: 8 bits a channel, no transparency, upright, one frame.

    Attributes:
        picture: its pixels.
        content: the file: the original bytes if `converted` is empty, else a PNG.
        format: of `content`: PNG, JPEG or WEBP.
        converted: what was converted, joined by +.
        facts: of a DICOM header: `dicom.facts_of`.
    """

    picture: Image.Image
    content: bytes
    format: str
    converted: str
    facts: tuple[str, ...] = ()


def read_image(raw: bytes, rules: ImageRules, kept_formats: Collection[str] = KEPT_FORMATS) -> ReadImage:
    """Check one image and, where needed, convert it; files of other than `kept_formats` become PNG.

    Raises:
        ImageRejected: it is corrupt, truncated, of an unknown format, too large, or has several frames.
    """
    if len(raw) > rules.max_mebibytes * 2**20:
        raise ImageRejected(ImageReason.IMAGE_BOMB, f"{len(raw)} bytes; image.max_mebibytes is {rules.max_mebibytes}")
    try:
        with warnings.catch_warnings():
            # Pillow's on bombs, for which `check_size` raises; pydicom's, which may hold values of the file
            warnings.simplefilter("ignore")
            return _read(raw, rules, kept_formats)
    except ImageRejected:
        raise
    except Image.DecompressionBombError as error:  # Pillow's own limit, checked when it reads a header
        raise ImageRejected(ImageReason.IMAGE_BOMB, str(error)) from error
    except UnidentifiedImageError as error:
        raise ImageRejected(
            ImageReason.CORRUPT_IMAGE, f"{signs.what_instead(raw)}; none of {', '.join(_NAMED)}"
        ) from error
    except Exception as error:  # decoders may raise anything on malformed bytes
        raise ImageRejected(ImageReason.CORRUPT_IMAGE, f"{type(error).__name__}: {error}"[:300]) from error


def prepare_image(raw: bytes, rules: ImageRules) -> PreparedImage:
    """Read one image for a training set, with the hashes by which the same picture is found again.

    Raises:
        ImageRejected: as `read_image`.
    """
    image = read_image(raw, rules)
    return PreparedImage(
        content=image.content,
        width=image.picture.width,
        height=image.picture.height,
        format=image.format,
        sha256=hashlib.sha256(raw).hexdigest(),
        phash=perceptual_hash(image.picture),
        converted=image.converted,
        facts=image.facts,
    )


def _read(raw: bytes, rules: ImageRules, kept_formats: Collection[str]) -> ReadImage:
    if signs.is_dicom(raw):
        from medix_r1.images.dicom import read_dicom  # pydicom takes a while to import

        picture, facts = read_dicom(raw, rules)
        return ReadImage(picture, encode(picture, "PNG"), "PNG", "dicom", facts)
    opened = Image.open(io.BytesIO(raw), formats=_FORMATS)
    check_size(opened.width, opened.height, rules)
    is_photograph = opened.format == "MPO"  # its further frames are previews, or the view of a second lens
    if not is_photograph:
        _choose_frame(opened, rules)
    opened.load()
    picture, steps = _convert(opened, rules)
    if opened.format not in kept_formats or (getattr(opened, "n_frames", 1) > 1 and not is_photograph):
        steps.append((opened.format or "").lower())
    if steps:
        return ReadImage(picture, encode(picture, "PNG"), "PNG", "+".join(steps))
    return ReadImage(picture, raw, opened.format or "", "")


def _choose_frame(picture: Image.Image, rules: ImageRules) -> None:
    count = getattr(picture, "n_frames", 1)
    if number := frame_number(count, rules):
        picture.seek(number)
        check_size(picture.width, picture.height, rules)


def _convert(picture: Image.Image, rules: ImageRules) -> tuple[Image.Image, list[str]]:
    """The picture upright, opaque and in 8 bits, and what had to be done for it."""
    steps: list[str] = []
    if picture.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        picture = ImageOps.exif_transpose(picture)
        steps.append("rotated")
    if picture.mode in _DEEP_MODES:
        steps.append("float" if picture.mode == "F" else "16-bit")
        picture = to_eight_bits(np.asarray(picture, dtype=np.float32), rules.percentiles)
    elif picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = _on_white(picture)
        steps.append("transparency")
    elif picture.mode not in ("RGB", "L"):
        steps.append(f"mode {picture.mode}")
        picture = picture.convert("RGB")
    return picture, steps


def _on_white(picture: Image.Image) -> Image.Image:
    layer = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def perceptual_hash(picture: Image.Image) -> int:
    """Perceptual hash of a picture (imagehash's DCT `phash`), as an unsigned 64-bit integer."""
    import imagehash  # with scipy's transforms; evaluation needs neither

    bits = imagehash.phash(picture).hash.flatten()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def encode(picture: Image.Image, image_format: str) -> bytes:
    """Encode a picture as PNG (lossless) or JPEG (quality 95), without metadata."""
    buffer = io.BytesIO()
    options: dict[str, Any] = {"compress_level": 3} if image_format == "PNG" else {"quality": 95}
    clean = picture if picture.mode in ("RGB", "L") else picture.convert("RGB")
    clean.info = {}
    clean.save(buffer, image_format, **options)
    return buffer.getvalue()


def resized(image: PreparedImage, width: int, height: int) -> PreparedImage:
    """Resize an image to `width` x `height` pixels (bicubic); JPEG stays JPEG, all other formats become PNG."""
    with Image.open(io.BytesIO(image.content)) as picture:
        smaller = picture.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    image_format = "JPEG" if image.format == "JPEG" else "PNG"
    content = encode(smaller, image_format)
    return replace(image, content=content, width=width, height=height, format=image_format, shrunk=True)


def header_size(content: bytes) -> tuple[int, int]:
    """(width, height) in pixels, from the header; nothing is decoded."""
    with Image.open(io.BytesIO(content)) as picture:
        return picture.size
