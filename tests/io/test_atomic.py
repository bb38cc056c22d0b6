from __future__ import annotations

from pathlib import Path

from rawpipe.io.atomic import replacing


def test_a_rewritten_file_keeps_its_mode(tmp_path: Path):
    path = tmp_path / "x"
    path.write_text("old")
    path.chmod(0o640)
    with replacing(path) as temporary:
        temporary.write_text("new")
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o640)


def test_a_link_stays_a_link_to_the_new_file(tmp_path: Path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there" / "x")
    for text in ("one", "two"):
        with replacing(tmp_path / "link") as temporary:
            temporary.write_text(text)
        assert (tmp_path / "link").is_symlink() and (tmp_path / "there" / "x").read_text() == text
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["x"]
