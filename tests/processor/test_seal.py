"""Seals: what RocksDB itself does not notice, a manifest that ends early or a log that is gone, is noticed."""

import shutil
from pathlib import Path

import pytest
from rocksdict import Options, Rdict

from streams.kernel.processing import Known
from streams.processor.local_state import LocalState
from streams.processor.seal import Files, Seal, Sealer, files_of, holds

STAMP = {"fingerprint": "1", "events": "e", "outcomes": "o"}
AT_1, AT_2 = {("t", 0): 1}, {("t", 0): 2}
SEAL = Seal("MANIFEST-000005", 4, 0xED82CD11, {"000004.log": 10, "000008.log": 1})  # of b"abcd"


@pytest.mark.parametrize(
    ("files", "is_whole"),
    [
        (Files("MANIFEST-000005", b"abcd", {"000004.log": 10, "000008.log": 1}), True),
        (Files("MANIFEST-000005", b"abcdef", {"000004.log": 10, "000008.log": 2, "000012.log": 0}), True),
        (Files("MANIFEST-000005", b"abcdef", {"000012.log": 0}), True),  # it was closed
        (Files("MANIFEST-000010", b"", {}), True),  # it was opened again, and nothing was written
        (Files("MANIFEST-000005", b"abc", {"000004.log": 10, "000008.log": 1}), False),
        (Files("MANIFEST-000005", b"abxd", {"000004.log": 10, "000008.log": 1}), False),
        (Files("MANIFEST-000005", b"abcd", {"000008.log": 1}), False),
        (Files("MANIFEST-000005", b"abcd", {"000004.log": 9, "000008.log": 1}), False),
    ],
)
def test_a_seal_holds_of_files_that_have_grown_and_of_no_others(files: Files, is_whole: bool) -> None:
    assert holds(SEAL, files) == is_whole


@pytest.fixture
def cut_manifest(tmp_path: Path) -> Path:
    """A state whose first write is in a table, and whose manifest has lost the edit that says so."""
    path = tmp_path / "state"
    LocalState(path, STAMP).close()
    state = LocalState(path, STAMP)
    state.write({"a": Known("state", 1)}, {}, AT_1)
    [manifest] = path.glob("MANIFEST-*")
    before = manifest.stat().st_size
    state._db.flush()
    state.write({"b": Known("state", 1)}, {}, AT_2)
    killed = shutil.copytree(path, tmp_path / "killed")
    state.close()
    with (killed / manifest.name).open("r+b") as file:
        file.truncate(before)
    return killed


def test_rocksdb_opens_a_manifest_that_ends_early_and_newer_writes_follow_upon_a_gap(cut_manifest: Path) -> None:
    """Why there are seals. When this fails, RocksDB has learned to notice, and they can go."""
    database = Rdict(str(cut_manifest), Options(raw_mode=True))
    assert database.get(b"sa") is None
    assert database.get(b"sb") is not None
    database.close()


def test_a_state_whose_manifest_ends_early_is_thrown_away(cut_manifest: Path) -> None:
    state = LocalState(cut_manifest, STAMP)
    assert state.position == {}
    assert state.known("b") is None
    state.close()


def test_a_state_goes_on_after_flushes_and_openings(tmp_path: Path) -> None:
    for opening in range(4):
        state = LocalState(tmp_path / "state", STAMP)
        assert state.position == ({("t", 0): 10 * opening} if opening else {})
        for write in range(1, 11):
            state.write({f"{opening}-{write}": Known("state", 1)}, {}, {("t", 0): 10 * opening + write})
            if write == 5:
                state._db.flush()
        if opening % 2:
            state.close()
        else:  # as a kill leaves it
            shutil.copytree(tmp_path / "state", tmp_path / "killed")
            state.close()
            shutil.rmtree(tmp_path / "state")
            (tmp_path / "killed").rename(tmp_path / "state")


def test_a_sealer_reads_on_where_it_was(tmp_path: Path) -> None:
    state = LocalState(tmp_path / "state", STAMP)
    sealer = Sealer(tmp_path / "state")
    for number in range(3):
        state.write({f"a{number}": Known("state", 1)}, {}, {("t", 0): number})
        state._db.flush()
        assert sealer.seal() == Sealer(tmp_path / "state").seal()
    files = files_of(tmp_path / "state")
    assert files is not None
    assert holds(sealer.seal(), files)
    state.close()


@pytest.mark.parametrize("rubbish", [b"", b"MANIFEST-000099\n", b"\xff\xfe", b"..\n", b"a\0b"])
def test_what_is_no_database_has_no_files(rubbish: bytes, tmp_path: Path) -> None:
    assert files_of(tmp_path / "nowhere") is None
    (tmp_path / "CURRENT").write_bytes(rubbish)
    assert files_of(tmp_path) is None
