"""The scenarios and bad inputs that come with the specification are kept here as they are."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
ORIGINALS = HERE.parents[1] / "shared"


@pytest.mark.parametrize("folder", ["vectors", "bad_inputs"])
def test_what_the_specification_brings_along_is_copied_unchanged(folder: str) -> None:
    if not (ORIGINALS / folder).is_dir():
        return  # a checkout that stands alone has nothing to compare with: the copies are the originals

    originals = {path.name: path.read_bytes() for path in (ORIGINALS / folder).iterdir()}

    assert {path.name: path.read_bytes() for path in (HERE / folder).iterdir()} == originals
