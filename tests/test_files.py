"""Reading JSON objects: what is none is named, with what to do about it."""

from pathlib import Path

import pytest

from mate.errors import MateError
from mate.files import read_object


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "cannot read .*facts.json: No such file"),
        ("{", "facts.json is not JSON"),
        ("\xff", "facts.json is not JSON"),
        ("[1]", "got a JSON list, expected an object"),
    ],
)
def test_what_is_no_object_is_refused(content: str | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    if content is not None:
        path.write_bytes(content.encode("latin-1"))
    with pytest.raises(MateError, match=f"{says}.*; make it again$"):
        read_object(path, "make it again")


def test_an_object_is_read(tmp_path: Path) -> None:
    (tmp_path / "facts.json").write_text('{"über": 1}', encoding="utf-8")
    assert read_object(tmp_path / "facts.json", "") == {"über": 1}
