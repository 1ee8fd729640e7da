"""Folders that cannot be made, found before anything is written."""

import pytest

from medix_r1.host.folders import FolderFault, existing_part, folder_fault


def test_a_folder_that_can_be_made(tmp_path):
    assert folder_fault(tmp_path / "a" / "b") is None
    assert existing_part(tmp_path / "a" / "b") == tmp_path
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["/proc/x", "/sys/x/y", "/dev/x"])
def test_a_folder_of_the_kernels(name, tmp_path):
    fault = folder_fault(tmp_path.joinpath(name))
    assert fault is not None
    assert fault.code == "no-folder-name"


def test_a_file_in_the_way_and_a_name_that_is_too_long(tmp_path):
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file" / "x", tmp_path / ("n" * 300)):
        fault = existing_part(folder)
        assert isinstance(fault, FolderFault)
        assert fault.code == "no-folder-name"
