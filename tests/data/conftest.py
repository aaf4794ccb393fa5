"""Small sets for the tests of data."""

import numpy as np
import pytest
from tests.motions import gliding

from mate.data.build import build_dataset
from mate.data.mocap_folder import mocap_source


@pytest.fixture
def captioned(tmp_path):
    """A folder of twelve motion files with a captions table: (folder, table)."""
    motions = tmp_path / "motions"
    motions.mkdir()
    rows = ["file,caption,start,end,split"]
    for number in range(12):
        turn = 1.6 * (-1) ** number
        np.save(motions / f"{number:03d}.npy", gliding(60 + 2 * number, turn=turn))
        split = ("train", "train", "train", "train", "val", "test")[number % 6]
        rows.append(f"{number:03d}.npy,a person turns {'left' if turn > 0 else 'right'},,,{split}")
    table = tmp_path / "captions.csv"
    table.write_text("\n".join(rows) + "\n")
    return motions, table


@pytest.fixture
def prepared(captioned, tmp_path):
    """The set that `captioned` becomes, with mirror images."""
    folder = tmp_path / "set"
    source = mocap_source(*captioned, license="CC0")
    build_dataset(source, folder, name="small", license="CC0", mirror=True)
    return folder
