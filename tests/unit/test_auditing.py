"""An exported audit trail takes the former one's place when it is whole, and not before."""

from __future__ import annotations

from pathlib import Path

import pytest
from copypro_standalone.auditing import anew


def half_written(file: Path) -> None:
    with anew(file) as out:
        out.write("half of the th")
        raise OSError("disk full")


def test_a_trail_that_could_not_be_written_leaves_the_former_one(tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    with anew(file) as out:
        out.write("the first")
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o640)
    with anew(file) as out:
        out.write("the second")
        assert file.read_text() == "the first"
    assert file.read_text() == "the second"
    assert file.stat().st_mode & 0o777 == 0o640
    with pytest.raises(OSError, match="disk full"):
        half_written(file)
    assert file.read_text() == "the second"
    assert list(tmp_path.iterdir()) == [file]


def test_what_a_name_stands_for_is_written_and_no_device_replaced(tmp_path: Path) -> None:
    file, name = tmp_path / "audit.jsonl", tmp_path / "latest"
    name.symlink_to(file)
    with anew(name) as out:
        out.write("one")
    assert (name.is_symlink(), file.read_text()) == (True, "one")
    with anew(Path("/dev/null")) as out:
        out.write("nowhere")
    assert Path("/dev/null").is_char_device()
