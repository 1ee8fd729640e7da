"""Formats, depths, transparency, frames, bombs and damage."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from medix_r1.images.decode import prepare_image
from medix_r1.images.rules import ImageReason, ImageRejected, ImageRules
from tests.support.problems import coded
from tests.unit.data.support import encoded, picture

RULES = ImageRules()


def opened(prepared):
    return Image.open(io.BytesIO(prepared.content))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_plain_pictures_pass_unchanged(kind):
    raw = encoded(picture(1), kind)

    prepared = prepare_image(raw, RULES)

    assert prepared.content == raw
    assert (prepared.width, prepared.height, prepared.format, prepared.converted) == (96, 64, kind, "")


@pytest.mark.parametrize("kind", ["TIFF", "BMP", "GIF"])
def test_other_kinds_become_png(kind):
    prepared = prepare_image(encoded(picture(1), kind), RULES)

    assert opened(prepared).format == prepared.format == "PNG"
    assert kind.lower() in prepared.converted


def test_transparency_is_put_on_white():
    image = picture(1).convert("RGBA")
    image.putalpha(0)

    prepared = prepare_image(encoded(image), RULES)

    assert opened(prepared).mode == "RGB"
    assert set(opened(prepared).get_flattened_data()) == {(255, 255, 255)}


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_contrast(kind):
    values = np.linspace(1000, 3000, 64 * 64).reshape(64, 64).astype(np.uint16)  # Pillow's own conversion cuts at 255

    shown = np.asarray(opened(prepare_image(encoded(Image.fromarray(values), kind), RULES)))

    assert shown.min() == 0
    assert shown.max() == 255
    assert len(np.unique(shown)) > 200


def test_a_rotated_photograph_is_put_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = encoded(picture(1, 96, 64), "JPEG", exif=exif)

    prepared = prepare_image(raw, RULES)

    assert (prepared.width, prepared.height) == opened(prepared).size == (64, 96)
    assert prepared.converted == "rotated"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_picture_is_found(kind, share):
    raw = encoded(picture(1, 400, 400), kind)

    with pytest.raises(ImageRejected) as caught:
        prepare_image(raw[: int(len(raw) * share)], RULES)

    assert caught.value.reason is ImageReason.CORRUPT_IMAGE


def test_what_is_no_picture_is_named():
    with pytest.raises(ImageRejected, check=coded("corrupt_image", "PNG")):
        prepare_image(b"<html>not found</html>", RULES)


@pytest.mark.parametrize("side", [11_000, 50_000])  # above our limit, above Pillow's
def test_a_bomb_is_refused_by_its_header(side):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000))

    with pytest.raises(ImageRejected, check=coded("image_bomb")):
        prepare_image(bomb + chunk(b"IEND", b""), RULES)


def test_a_large_file_is_refused_before_it_is_looked_at():
    with pytest.raises(ImageRejected, check=coded("image_bomb", "3145728")):
        prepare_image(b"\0" * (3 * 2**20), ImageRules(max_mebibytes=2))


def test_several_frames_are_a_choice():
    frames = [picture(seed) for seed in range(3)]
    raw = encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:])

    with pytest.raises(ImageRejected, check=coded("several_frames", "3")):
        prepare_image(raw, RULES)
    middle = opened(prepare_image(raw, ImageRules(frames="middle")))
    assert np.array_equal(np.asarray(middle), np.asarray(frames[1]))


def dicom(values, *, syntax=ExplicitVRLittleEndian, photometric="MONOCHROME2", **fields) -> bytes:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = syntax
    dataset = FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    dataset.Rows, dataset.Columns = values.shape[-2:]
    if values.ndim == 3:
        dataset.NumberOfFrames = len(values)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, photometric
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 0
    for name, value in fields.items():
        setattr(dataset, name, value)
    dataset.PixelData = values.astype("<u2").tobytes()
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


GREY = np.arange(0, 4096, dtype=np.uint16).reshape(64, 64)


def pixels(raw, rules=RULES):
    return np.asarray(opened(prepare_image(raw, rules))).astype(int)


def test_dicom_uses_its_own_window_and_rescale():
    """The values 1000..3000 minus 1024 are -24..1976, which is exactly the window 976 ± 1000, so it fills 0..255."""
    raw = dicom(GREY, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=976, WindowWidth=2000)

    shown = pixels(raw).flatten()

    assert shown[900] == 0
    assert shown[3100] == 255
    assert abs(shown[2000] - 127.5) < 1.5
    assert np.all(np.diff(shown) >= 0)


def test_a_configured_window_beats_the_files():
    raw = dicom(GREY, WindowCenter=976, WindowWidth=2000)

    shown = pixels(raw, ImageRules(dicom_window=(500, 100))).flatten()

    assert (shown[440], shown[560]) == (0, 255)


def test_monochrome1_is_inverted_and_percentiles_stand_in_for_a_window():
    plain, inverted = (pixels(dicom(GREY, photometric=name)) for name in ("MONOCHROME2", "MONOCHROME1"))

    assert np.array_equal(inverted, 255 - plain)
    assert plain.max() == 255


def test_dicom_frames_and_deflate():
    several = np.stack([GREY, GREY // 2, GREY])

    with pytest.raises(ImageRejected, check=coded("several_frames", "3")):
        prepare_image(dicom(several), RULES)
    assert np.array_equal(pixels(dicom(GREY, syntax=DeflatedExplicitVRLittleEndian)), pixels(dicom(GREY)))
    bomb = dicom(np.zeros((1000, 1000)), syntax=DeflatedExplicitVRLittleEndian)
    with pytest.raises(ImageRejected, check=coded("image_bomb", "DICOM")):
        prepare_image(bomb, ImageRules(max_mebibytes=1))
    with pytest.raises(ImageRejected, check=coded("corrupt_image")):
        prepare_image(dicom(GREY)[:-3000], RULES)


def test_what_a_header_says_about_the_picture_is_kept():
    raw = dicom(GREY, ImageType=["DERIVED", "SECONDARY"], LossyImageCompression="01", BurnedInAnnotation="YES")

    assert prepare_image(raw, RULES).facts == ("lossy", "derived", "burned_in")
