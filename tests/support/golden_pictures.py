"""Makes tests/unit/golden/pictures.json: picture files with the pixels that training and evaluation have to see.

The right pixels are arithmetic on the values that a file is made of, written beside them, not what our reader gives.
`python -m tests.support.golden_pictures --write` after a case was added; files of old cases stay as they are.
"""

from __future__ import annotations

import base64
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedMRImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    SecondaryCaptureImageStorage,
)

PATH = Path(__file__).parents[1] / "unit/golden/pictures.json"
Pixels = np.ndarray[Any, Any]
H, W = 6, 8
RAMP = np.arange(H * W, dtype=np.uint16).reshape(H, W)  # 0..47
BYTES = (RAMP * 5).astype(np.uint8)
COLOUR = np.stack([BYTES, 255 - BYTES, np.full_like(BYTES, 40)], axis=-1)
FRAMES = np.stack([RAMP * 10, RAMP * 20, RAMP * 30])


@dataclass(frozen=True, slots=True)
class Golden:
    """One file: its right pixels, or the code of the refusal.

    Attributes:
        tolerance: in grey levels; lossy files have some.
    """

    name: str
    content: bytes
    pixels: Pixels | None
    refused: str = ""
    rules: dict[str, Any] = field(default_factory=dict)
    tolerance: float = 0.51


def read() -> list[Golden]:
    """The cases as they are stored."""
    return [
        Golden(
            name=case["name"],
            content=base64.b64decode(case["file"]),
            pixels=np.array(case["pixels"]) if case["pixels"] is not None else None,
            refused=case["refused"],
            rules=case["rules"],
            tolerance=case["tolerance"],
        )
        for case in json.loads(PATH.read_text(encoding="utf-8"))
    ]


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def stretched(values: Pixels, low: float, high: float) -> Pixels:
    """Grey levels of values between two ends."""
    return (np.clip(values.astype(float), low, high) - low) * 255 / (high - low)


def by_percentiles(values: Pixels, counted: Pixels | None = None) -> Pixels:
    low, high = np.percentile(values if counted is None else counted, (0.5, 99.5))
    return stretched(values, low, high)


def photographs() -> Iterator[Golden]:
    grey, colour = Image.fromarray(BYTES), Image.fromarray(COLOUR)
    flat = Image.new("RGB", (32, 24), (200, 60, 20))
    flat_pixels = np.broadcast_to(np.array([200, 60, 20]), (24, 32, 3))
    yield Golden("grey PNG", encoded(grey, "PNG"), BYTES)
    yield Golden("colour PNG", encoded(colour, "PNG"), COLOUR)
    yield Golden("lossless WebP", encoded(colour, "WEBP", lossless=True, exact=True), COLOUR)
    yield Golden("JPEG", encoded(flat, "JPEG", quality=100), flat_pixels, tolerance=2)
    yield Golden("colour BMP", encoded(colour, "BMP"), COLOUR)
    yield Golden("colour TIFF", encoded(colour, "TIFF"), COLOUR)
    yield Golden("packed TIFF", encoded(colour, "TIFF", compression="tiff_lzw"), COLOUR)
    yield Golden("grey GIF", encoded(grey, "GIF"), BYTES)
    yield Golden("palette PNG", encoded(grey.convert("P"), "PNG"), BYTES)
    yield Golden("PGM", encoded(grey, "PPM"), BYTES)
    yield Golden(
        "lossless JPEG 2000",
        encoded(colour.resize((32, 24)), "JPEG2000", irreversible=False),
        np.asarray(colour.resize((32, 24))),
    )
    yield Golden("black and white PNG", encoded(Image.fromarray(BYTES > 120), "PNG"), (BYTES > 120) * 255)
    cmyk = Image.new("CMYK", (32, 24), (55, 195, 235, 0))
    yield Golden("CMYK JPEG", encoded(cmyk, "JPEG", quality=100), flat_pixels, tolerance=3)
    yield Golden("CMYK TIFF", encoded(cmyk, "TIFF"), flat_pixels)
    clear = colour.convert("RGBA")
    clear.putalpha(0)
    yield Golden("fully transparent PNG", encoded(clear, "PNG"), np.full((H, W, 3), 255))
    half = colour.convert("RGBA")
    half.putalpha(51)  # a fifth
    yield Golden("half transparent PNG", encoded(half, "PNG"), COLOUR * 0.2 + 255 * 0.8, tolerance=1.01)
    yield Golden(
        "grey with transparency",
        encoded(Image.merge("LA", (grey, grey)), "PNG"),
        BYTES * (BYTES / 255) + 255 - BYTES.astype(float),
        tolerance=1.01,
    )


def deep() -> Iterator[Golden]:
    wide = RAMP * 1300
    yield Golden("16-bit PNG", encoded(Image.fromarray(wide), "PNG"), by_percentiles(wide))
    yield Golden("16-bit PGM", b"P5\n8 6\n65535\n" + wide.astype(">u2").tobytes(), by_percentiles(wide))
    yield Golden("16-bit TIFF", encoded(Image.fromarray(wide), "TIFF"), by_percentiles(wide))
    yield Golden("12 bits in a 16-bit PNG", encoded(Image.fromarray(RAMP * 80), "PNG"), by_percentiles(RAMP * 80))
    floats = (RAMP / 47).astype(np.float32)
    yield Golden("float TIFF", encoded(Image.fromarray(floats), "TIFF"), by_percentiles(floats))
    yield Golden(
        "32-bit TIFF", encoded(Image.fromarray(RAMP.astype(np.int32) * 70_000), "TIFF"), by_percentiles(RAMP * 70_000.0)
    )
    holes = floats.copy()
    holes[0, 0] = np.nan
    yield Golden("float TIFF with NaN", encoded(Image.fromarray(holes), "TIFF"), None, "corrupt_image")
    yield Golden(
        "constant 16-bit PNG", encoded(Image.fromarray(np.full((H, W), 700, np.uint16)), "PNG"), np.zeros((H, W))
    )


def turned() -> Iterator[Golden]:
    """EXIF says how a photograph has to be turned; numpy turns the same values."""
    upright = {
        1: COLOUR,
        2: COLOUR[:, ::-1],
        3: COLOUR[::-1, ::-1],
        4: COLOUR[::-1],
        5: COLOUR.transpose(1, 0, 2),
        6: np.rot90(COLOUR, -1),
        8: np.rot90(COLOUR),
    }
    for mark, pixels in upright.items():
        exif = Image.Exif()
        exif[0x0112] = mark
        yield Golden(f"PNG with rotation mark {mark}", encoded(Image.fromarray(COLOUR), "PNG", exif=exif), pixels)
    exif = Image.Exif()
    exif[0x0112] = 6
    webp = encoded(Image.fromarray(COLOUR), "WEBP", lossless=True, exact=True, exif=exif)
    yield Golden("WebP with rotation mark 6", webp, upright[6])
    yield Golden("TIFF with rotation mark 6", encoded(Image.fromarray(COLOUR), "TIFF", exif=exif), upright[6])
    plain = np.zeros((24, 32, 3), np.uint8)
    plain[:, :16] = 255
    jpeg = encoded(Image.fromarray(plain), "JPEG", quality=100, subsampling=0, exif=exif)
    yield Golden("JPEG with rotation mark 6", jpeg, np.rot90(plain, -1), tolerance=3)


def several() -> Iterator[Golden]:
    pages = [Image.fromarray((BYTES // n).astype(np.uint8)) for n in (1, 2, 3)]
    for kind, name in (("TIFF", "TIFF of three pages"), ("GIF", "moving GIF"), ("PNG", "moving PNG")):
        content = encoded(pages[0], kind, save_all=True, append_images=pages[1:])
        yield Golden(name, content, None, "several_frames")
        yield Golden(f"{name}, first", content, BYTES, rules={"frames": "first"})
        yield Golden(f"{name}, middle", content, BYTES // 2, rules={"frames": "middle"})
    flat = [Image.new("RGB", (32, 24), colour) for colour in ((200, 60, 20), (0, 0, 0))]
    mpo = encoded(flat[0], "MPO", save_all=True, append_images=flat[1:], quality=100)
    yield Golden("MPO of a stereo camera", mpo, np.broadcast_to([200, 60, 20], (24, 32, 3)), tolerance=2)


def damaged() -> Iterator[Golden]:
    large = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)), "PNG")
    yield Golden("empty file", b"", None, "corrupt_image")
    yield Golden("a web page", b"<!doctype html><html><body>404</body></html>" * 4, None, "corrupt_image")
    for name, content in (
        ("PDF", b"%PDF-1.4\n%"),
        ("HEIC of a phone", b"\0\0\0\x18ftypheic" + b"\0" * 100),
        ("NIfTI volume", b"\x5c\x01\0\0" + b"\0" * 340 + b"n+1\0"),
        ("SVG drawing", b'<svg xmlns="http://www.w3.org/2000/svg"></svg>'),
        ("zip archive", b"PK\x03\x04" + b"\0" * 100),
    ):
        yield Golden(name, content, None, "corrupt_image")
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n"
    yield Golden("pointer of Git LFS", pointer, None, "corrupt_image")
    yield Golden("truncated PNG", large[: len(large) // 2], None, "corrupt_image")
    yield Golden(
        "too many pixels", encoded(Image.new("1", (2000, 1000)), "PNG"), None, "image_bomb", rules={"max_megapixels": 1}
    )
    yield Golden("too many bytes", large, None, "image_bomb", rules={"max_mebibytes": 0.005})


def dicom(values: Pixels, *, syntax: str = ExplicitVRLittleEndian, bits: int = 16, **fields: Any) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    meta.TransferSyntaxUID = syntax
    order = {"is_implicit_VR": syntax == ImplicitVRLittleEndian, "is_little_endian": syntax != ExplicitVRBigEndian}
    dataset = FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128, **order)
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    dataset.PatientName, dataset.PatientID = "Doe^Jane", "4711"
    colour = values.ndim == 3 and values.shape[-1] == 3
    rows, columns = values.shape[:2] if colour else values.shape[-2:]
    dataset.Rows, dataset.Columns = rows, columns
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    elif values.ndim == 3:
        dataset.NumberOfFrames = len(values)
    dataset.BitsAllocated = dataset.BitsStored = bits
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0
    big = ">" if syntax == ExplicitVRBigEndian else "<"
    dataset.PixelData = values.astype(f"{big}u{bits // 8}").tobytes()
    for name, value in fields.items():
        setattr(dataset, name, value)
    return dataset


def saved(dataset: FileDataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def item(**fields: Any) -> Dataset:
    dataset = Dataset()
    for name, value in fields.items():
        setattr(dataset, name, value)
    return dataset


def table(depth: int, entries: list[int]) -> DicomSequence:
    """A look-up table for the values from 0."""
    dataset = item(LUTDescriptor=[len(entries), 0, depth])
    dataset.add_new("LUTData", "US", entries)
    return DicomSequence([dataset])


def windowed(values: Pixels, centre: float, width: float) -> Pixels:
    """PS3.3 C.11.2.1.2.1, written for an output of 0 to 255."""
    return np.clip(((values.astype(float) - (centre - 0.5)) / (width - 1) + 0.5) * 255, 0, 255)


def grey_dicom() -> Iterator[Golden]:
    window: dict[str, Any] = {"WindowCenter": 20, "WindowWidth": 21}
    shown = windowed(RAMP, 20, 21)
    yield Golden("DICOM with a window", saved(dicom(RAMP, **window)), shown)
    yield Golden("DICOM of implicit VR", saved(dicom(RAMP, syntax=ImplicitVRLittleEndian, **window)), shown)
    yield Golden("big-endian DICOM", saved(dicom(RAMP, syntax=ExplicitVRBigEndian, **window)), shown)
    yield Golden("deflated DICOM", saved(dicom(RAMP, syntax=DeflatedExplicitVRLittleEndian, **window)), shown)
    yield Golden(
        "deflated DICOM that is large",
        saved(dicom(np.zeros((900, 900)), syntax=DeflatedExplicitVRLittleEndian)),
        None,
        "image_bomb",
        rules={"max_mebibytes": 1},
    )
    packed = dicom(RAMP, **window)
    packed.compress(RLELossless)
    yield Golden("RLE DICOM", saved(packed), shown)
    whole = saved(dicom(RAMP, **window))
    yield Golden("DICOM without a preamble", whole[132:], shown)
    bare = saved(dicom(RAMP, syntax=ImplicitVRLittleEndian, **window))
    yield Golden("DICOM data set without a header", bare[bare.index(b"\x08\0\x16\0") :], shown)
    yield Golden("DICOM without a window", saved(dicom(RAMP)), by_percentiles(RAMP))
    yield Golden("MONOCHROME1", saved(dicom(RAMP, PhotometricInterpretation="MONOCHROME1", **window)), 255 - shown)
    yield Golden(
        "rescale", saved(dicom(RAMP, RescaleSlope=2, RescaleIntercept=-10, **window)), windowed(RAMP * 2.0 - 10, 20, 21)
    )
    yield Golden("two windows", saved(dicom(RAMP, WindowCenter=[20, 5], WindowWidth=[21, 3])), shown)
    sigmoid = 255 / (1 + np.exp(-4 * (RAMP.astype(float) - 20) / 21))
    yield Golden("SIGMOID window", saved(dicom(RAMP, VOILUTFunction="SIGMOID", **window)), sigmoid)
    exact = np.clip(((RAMP - 20.0) / 21 + 0.5) * 255, 0, 255)
    yield Golden("LINEAR_EXACT window", saved(dicom(RAMP, VOILUTFunction="LINEAR_EXACT", **window)), exact)
    yield Golden("own window", saved(dicom(RAMP, **window)), stretched(RAMP, 10, 30), rules={"dicom_window": [20, 20]})
    empty: dict[str, Any] = dict.fromkeys(
        ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction")
    )
    sequences = {"VOILUTSequence": DicomSequence(), "ModalityLUTSequence": DicomSequence(), "NumberOfFrames": None}
    yield Golden("attributes present and empty", saved(dicom(RAMP, **empty, **sequences)), by_percentiles(RAMP))
    yield Golden("a window of no width", saved(dicom(RAMP, WindowCenter=0, WindowWidth=0)), by_percentiles(RAMP))
    padded = RAMP + 100
    padded[:3] = 0
    yield Golden("PixelPaddingValue", saved(dicom(padded, PixelPaddingValue=0)), by_percentiles(padded, padded[3:]))
    ranged = RAMP + 100
    ranged[0], ranged[1] = 3, 7
    yield Golden(
        "range of padding",
        saved(dicom(ranged, PixelPaddingValue=3, PixelPaddingRangeLimit=7)),
        by_percentiles(ranged, ranged[2:]),
    )
    falling = table(16, [65535 - n * 1000 for n in range(48)])
    yield Golden("VOI LUT", saved(dicom(RAMP, VOILUTSequence=falling)), 255 - RAMP * (255000 / 65535))
    wide = table(8, [n // 4 for n in range(1000)])
    yield Golden("VOI LUT of 8 bits and 1000 entries", saved(dicom(RAMP * 20, VOILUTSequence=wide)), (RAMP * 20) // 4)
    modality = table(16, [n * n for n in range(48)])
    squares = dicom(RAMP, ModalityLUTSequence=modality, WindowCenter=1000, WindowWidth=2001)
    yield Golden("modality LUT", saved(squares), windowed(RAMP.astype(float) ** 2, 1000, 2001))
    signed = dicom(RAMP, PixelRepresentation=1, **window)
    signed.PixelData = (RAMP.astype("<i2") - 10).tobytes()
    yield Golden("signed DICOM", saved(signed), windowed(RAMP.astype(float) - 10, 20, 21))
    yield Golden("8-bit DICOM with a window", saved(dicom(BYTES, bits=8, **window)), windowed(BYTES, 20, 21))


def other_dicom() -> Iterator[Golden]:
    yield Golden("RGB DICOM", saved(dicom(COLOUR, bits=8)), COLOUR)
    planar = dicom(COLOUR, bits=8, PlanarConfiguration=1)
    planar.PixelData = COLOUR.transpose(2, 0, 1).tobytes()
    yield Golden("planar RGB DICOM", saved(planar), COLOUR)
    yield Golden("16-bit RGB DICOM", saved(dicom(COLOUR.astype(np.uint16) * 257)), COLOUR)
    grey = np.stack([BYTES, np.full_like(BYTES, 128), np.full_like(BYTES, 128)], axis=-1)
    yield Golden(
        "YBR_FULL DICOM",
        saved(dicom(grey, bits=8, PhotometricInterpretation="YBR_FULL")),
        np.stack([BYTES] * 3, axis=-1),
        tolerance=1.01,
    )
    palette = np.arange(48, dtype=np.uint8)
    for bits, scale in ((8, 1), (16, 257)):
        fields: dict[str, Any] = {}
        for colour, entries in (("Red", palette * 5), ("Green", 255 - palette * 5), ("Blue", palette * 0 + 40)):
            fields[f"{colour}PaletteColorLookupTableDescriptor"] = [48, 0, bits]
            fields[f"{colour}PaletteColorLookupTableData"] = (entries.astype(f"<u{bits // 8}") * scale).tobytes()
        coloured = dicom(RAMP.astype(np.uint8), bits=8, PhotometricInterpretation="PALETTE COLOR", **fields)
        yield Golden(f"PALETTE COLOR of {bits} bits", saved(coloured), COLOUR)
    yield Golden("DICOM of three frames", saved(dicom(FRAMES)), None, "several_frames")
    yield Golden(
        "DICOM of three frames, middle", saved(dicom(FRAMES)), by_percentiles(FRAMES[1]), rules={"frames": "middle"}
    )
    yield Golden("DICOM without pixels", _without_pixels(), None, "corrupt_image")
    yield Golden("truncated DICOM", saved(dicom(RAMP))[:-20], None, "corrupt_image")
    supplemental = dicom(RAMP, PixelPresentation="COLOR")
    yield Golden("supplemental palette", saved(supplemental), None, "unsupported_image")
    yield Golden(
        "pixels of HSV", saved(dicom(COLOUR, bits=8, PhotometricInterpretation="HSV")), None, "unsupported_image"
    )
    video = dicom(RAMP)
    video.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"  # MPEG-4
    from pydicom.encaps import encapsulate

    video.PixelData = encapsulate([b"\0\0\0\x20ftypisom" * 4])
    video["PixelData"].is_undefined_length = True
    yield Golden("DICOM video", saved(video), None, "unsupported_image")


def enhanced() -> Iterator[Golden]:
    """Rescale and window of the chosen frame: shared for all, or each its own."""
    shared = item(PixelValueTransformationSequence=DicomSequence([item(RescaleSlope=2, RescaleIntercept=1)]))
    own = [item(FrameVOILUTSequence=DicomSequence([item(WindowCenter=100 * n, WindowWidth=101)])) for n in (1, 2, 3)]
    both = dicom(
        FRAMES,
        SOPClassUID=EnhancedMRImageStorage,
        SharedFunctionalGroupsSequence=DicomSequence([shared]),
        PerFrameFunctionalGroupsSequence=DicomSequence(own),
    )
    for rule, number in (("first", 0), ("middle", 1)):
        right = windowed(FRAMES[number] * 2.0 + 1, 100 * (number + 1), 101)
        yield Golden(f"enhanced MR, {rule} frame", saved(both), right, rules={"frames": rule})
    one = dicom(
        FRAMES[:1],
        SharedFunctionalGroupsSequence=DicomSequence([shared]),
        PerFrameFunctionalGroupsSequence=DicomSequence(own[:1]),
    )
    yield Golden("enhanced MR of one frame", saved(one), windowed(FRAMES[0] * 2.0 + 1, 100, 101))
    short = dicom(FRAMES, PerFrameFunctionalGroupsSequence=DicomSequence(own[:1]))
    yield Golden(
        "enhanced MR without the frame's group", saved(short), None, "corrupt_image", rules={"frames": "middle"}
    )


def _without_pixels() -> bytes:
    dataset = dicom(RAMP)
    del dataset.PixelData
    return saved(dataset)


def cases() -> Iterator[Golden]:
    """All cases, made anew."""
    for make in (photographs, deep, turned, several, damaged, grey_dicom, other_dicom, enhanced):
        yield from make()


def main() -> None:
    """Write the file; the bytes of cases that it has already stay, because encoders change."""
    old = {case.name: case.content for case in read()} if PATH.is_file() else {}
    made = [
        {
            "name": case.name,
            "refused": case.refused,
            "rules": case.rules,
            "tolerance": case.tolerance,
            "pixels": None if case.pixels is None else np.round(case.pixels.astype(float), 2).tolist(),
            "file": base64.b64encode(old.get(case.name, case.content)).decode(),
        }
        for case in cases()
    ]
    PATH.write_text("[\n" + ",\n".join(json.dumps(case) for case in made) + "\n]\n", encoding="utf-8")


if __name__ == "__main__" and "--write" in sys.argv:
    main()
