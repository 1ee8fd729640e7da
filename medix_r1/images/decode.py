"""Checks an image file, and converts it to 8-bit PNG where needed.

PNG, JPEG and WebP of 8 bits a channel pass unchanged. TIFF, DICOM, GIF, BMP, palettes, transparency (put on white),
16 bits (windowed by percentiles) and rotated photographs (EXIF) become PNG. Every image is decoded in full, because
nothing else detects a truncated file.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import replace
from typing import Any

import imagehash
import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from medix_r1.images.dicom import read_dicom
from medix_r1.images.eight_bits import to_eight_bits
from medix_r1.images.rules import ImageReason, ImageRejected, ImageRules, PreparedImage, check_size, frame_number

_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
_KEPT_FORMATS = ("PNG", "JPEG", "WEBP")
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_DICOM_MARK = slice(128, 132)


def prepare_image(raw: bytes, rules: ImageRules) -> PreparedImage:
    """Check one image and, where needed, convert it.

    Raises:
        ImageRejected: it is corrupt, truncated, of an unknown format, too large, or has several frames.
    """
    if len(raw) > rules.max_mebibytes * 2**20:
        raise ImageRejected(ImageReason.IMAGE_BOMB, f"{len(raw)} bytes; image.max_mebibytes is {rules.max_mebibytes}")
    try:
        picture, kept_format, converted = _read(raw, rules)
        perceptual = perceptual_hash(picture)
        content = raw if kept_format else encode(picture, "PNG")
    except ImageRejected:
        raise
    except Image.DecompressionBombError as error:  # Pillow's own limit, checked when it reads a header
        raise ImageRejected(ImageReason.IMAGE_BOMB, str(error)) from error
    except UnidentifiedImageError as error:
        raise ImageRejected(ImageReason.CORRUPT_IMAGE, f"none of {', '.join(_FORMATS)} or DICOM") from error
    except Exception as error:  # decoders may raise anything on malformed bytes
        raise ImageRejected(ImageReason.CORRUPT_IMAGE, f"{type(error).__name__}: {error}"[:300]) from error
    return PreparedImage(
        content=content,
        width=picture.width,
        height=picture.height,
        format=kept_format or "PNG",
        sha256=hashlib.sha256(raw).hexdigest(),
        phash=perceptual,
        converted=converted,
    )


def _read(raw: bytes, rules: ImageRules) -> tuple[Image.Image, str | None, str]:
    """Decode an image: the picture, its format if the bytes can stay as they are, and what was converted."""
    if raw[_DICOM_MARK] == b"DICM":
        return read_dicom(raw, rules), None, "dicom"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's decompression-bomb warning; `check_size` raises instead
        picture = Image.open(io.BytesIO(raw), formats=_FORMATS)
        check_size(picture.width, picture.height, rules)
        _choose_frame(picture, rules)
        picture.load()
        return _convert(picture, rules)


def _choose_frame(picture: Image.Image, rules: ImageRules) -> None:
    count = getattr(picture, "n_frames", 1)
    if number := frame_number(count, rules):
        picture.seek(number)
        check_size(picture.width, picture.height, rules)


def _convert(picture: Image.Image, rules: ImageRules) -> tuple[Image.Image, str | None, str]:
    source_format = picture.format or ""
    steps: list[str] = []
    several = getattr(picture, "n_frames", 1) > 1
    if picture.getexif().get(ExifTags.Base.Orientation, 1) != 1:
        picture = ImageOps.exif_transpose(picture)
        steps.append("rotated")
    if picture.mode in _DEEP_MODES:
        picture = to_eight_bits(np.asarray(picture, dtype=np.float32), rules.percentiles)
        steps.append("16-bit")
    elif picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = _on_white(picture)
        steps.append("transparency")
    elif picture.mode not in ("RGB", "L"):
        steps.append(f"mode {picture.mode}")
        picture = picture.convert("RGB")
    if source_format not in _KEPT_FORMATS or several:
        steps.append(source_format.lower())
    return picture, None if steps else source_format, "+".join(steps)


def _on_white(picture: Image.Image) -> Image.Image:
    layer = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def perceptual_hash(picture: Image.Image) -> int:
    """Perceptual hash of a picture (imagehash's DCT `phash`), as an unsigned 64-bit integer."""
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
