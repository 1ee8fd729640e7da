import pytest

from tests.unit.data.support import make_backbone


@pytest.fixture(scope="session")
def backbone(tmp_path_factory):
    return make_backbone(tmp_path_factory.mktemp("backbone"))
