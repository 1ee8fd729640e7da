"""Every DICOM file of pydicom and pydicom-data: shown as pydicom's own pipeline does, or refused."""

import pytest

from tests.support.dicom_reference import TOLERANCE, Compared, dicom_files, results


@pytest.fixture(scope="module")
def compared() -> list[Compared]:
    return list(results())


def test_all_files_with_pixels_are_right_or_refused(compared):
    wrong = [each for each in compared if not each.is_right and not each.reference_refused]

    assert not wrong
    assert len(compared) == len(dicom_files()) >= 160
    assert sum(each.difference is not None and each.difference <= TOLERANCE for each in compared) >= 150


def test_what_is_refused_says_why(compared):
    refused = {each.name: each.refused for each in compared if each.refused}

    assert {name: reason.partition(":")[0] for name, reason in refused.items()} == {
        "eCT_Supplemental.dcm": "unsupported_image",
        "JPEG2000-embedded-sequence-delimiter.dcm": "unsupported_image",
        "MR_truncated.dcm": "corrupt_image",
        "badVR.dcm": "corrupt_image",
        "meta_missing_tsyntax.dcm": "corrupt_image",
        "nested_priv_SQ.dcm": "corrupt_image",
    }
    assert all(len(reason.partition(": ")[2]) > 10 for reason in refused.values())


def test_twelve_bits_of_jpeg_are_read_though_pydicom_refuses_them(compared):
    beyond = {each.name for each in compared if each.reference_refused and not each.refused}

    assert beyond >= {"JPEG-lossy.dcm", "JPGExtended.dcm"}
