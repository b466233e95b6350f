"""Archives that lie: every one is refused with a reason, and none is unpacked to disk."""

from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest
from small_archives import dat_members, pack

from recsec.data.sources import archive as archive_module
from recsec.data.sources.archive import open_archive
from recsec.errors import DataError


def test_members_are_found_in_whatever_folder(tmp_path: Path) -> None:
    path = pack(tmp_path / "a.zip", {"x/y/ratings.dat": b"deep", "ratings.dat": b"top"})
    with open_archive(path) as archive:
        assert archive.read("ratings.dat") == b"top"
        assert archive.find("movies.dat") is None
        with pytest.raises(DataError, match=r"no member movies.dat; it holds ratings.dat"):
            archive.read("movies.dat")


@pytest.mark.parametrize(
    "name", ["../evil.dat", "a/../../evil.dat", "/etc/evil.dat", "C:/evil.dat", "..\\evil.dat"]
)
def test_a_path_that_leads_out_is_refused(tmp_path: Path, name: str) -> None:
    path = pack(tmp_path / "a.zip", {**dat_members(), name: b"x"})
    with pytest.raises(DataError, match="leads out of the archive"), open_archive(path):
        pass


def test_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("ml-1m/ratings.dat")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with (
        pytest.raises(DataError, match="leads out of the archive"),
        open_archive(tmp_path / "a.zip"),
    ):
        pass


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_truncated_archive_is_recognized(tmp_path: Path, share: float) -> None:
    whole = pack(tmp_path / "a.zip", dat_members()).read_bytes()
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataError, match="not a whole zip archive") as caught, open_archive(cut):
        pass
    assert "--from" in str(caught.value.hint)


def test_a_flipped_byte_inside_a_member_is_recognized(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("ratings.dat", b"1::2::3::4\n" * 50)
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with open_archive(path) as archive, pytest.raises(DataError, match="is damaged"):
        archive.read("ratings.dat")


def test_a_decompression_bomb_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    path = pack(tmp_path / "bomb.zip", {"ratings.dat": bytes(2**22)})
    with open_archive(path) as archive, pytest.raises(DataError, match="decompression bomb"):
        archive.read("ratings.dat")


def test_a_member_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "LARGEST_MEMBER", 10)
    path = pack(tmp_path / "a.zip", {"ratings.dat": b"eleven byte"})
    with open_archive(path) as archive, pytest.raises(DataError, match="11 bytes"):
        archive.read("ratings.dat")


def test_a_missing_archive(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no file"), open_archive(tmp_path / "no.zip"):
        pass
    with pytest.raises(DataError, match="cannot read"), open_archive(tmp_path):
        pass
