"""A backup's files: what is written is read as it was, and damage is named, whatever it is."""

import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.position import Place
from streams.backup.errors import DamagedBackup, WrongFolder
from streams.backup.folder import Folder
from streams.backup.manifest import BackedUp, Manifest, Partition, content_sha256
from streams.backup.ranks import Ranks
from streams.backup.records import Stored, decode, encode, placed

PLACE: Place = ("shop.user.events", 0)
DATA = st.none() | st.binary(max_size=40)
RECORDS = st.builds(
    Stored,
    offset=st.integers(0, 2**62),
    time_ms=st.integers(-1, 2**60),
    key=DATA,
    value=DATA,
    headers=st.lists(st.tuples(st.text(max_size=8), DATA), max_size=3).map(tuple),
)


@given(st.lists(RECORDS, max_size=5))
def test_records_are_decoded_as_they_were(records: list[Stored]) -> None:
    assert list(decode(b"".join(map(encode, records)))) == records


@given(RECORDS, st.integers(1, 30))
def test_bytes_that_end_within_a_record_are_refused(record: Stored, missing: int) -> None:
    data = encode(record)
    with pytest.raises(DamagedBackup, match="no record at byte"):
        list(decode(data[: max(1, len(data) - missing)]))


@given(st.sets(st.integers(0, 60)))
def test_a_rank_is_the_number_of_events_before(offsets: set[int]) -> None:
    inorder = sorted(offsets)
    ranks = Ranks(inorder)
    assert ranks.count == len(inorder)
    assert [ranks.of(each) for each in range(65)] == [
        inorder.index(each) if each in offsets else None for each in range(65)
    ]
    assert ranks.is_beyond([61, 62])
    assert not ranks.is_beyond([max(offsets), 61]) if offsets else ranks.is_beyond([0])


def folder_with(path: Path, *batches: list[Stored]) -> Folder:
    """A whole backup of one partition."""
    folder = Folder(path)
    plan = Manifest(
        application="shop", made_ms=1, topics=[BackedUp(name=PLACE[0], kind="events", partitions=[Partition(end=9)])]
    )
    folder.begin(plan)
    segments, rank = [], 0
    for number, batch in enumerate(batches):
        contents = b"".join(map(encode, batch))
        checksum = content_sha256(placed(batch, rank))
        segments.append(folder.write(PLACE, number, contents, len(batch), batch[-1].offset, checksum))
        rank += len(batch)
    partition = Partition(end=9, segments=segments)
    folder.finish(plan.model_copy(update={"topics": [BackedUp(name=PLACE[0], kind="events", partitions=[partition])]}))
    return folder


FIRST, SECOND = [Stored(0, 1, b"a", b"x"), Stored(2, 1, b"b", None)], [Stored(5, 2, None, b"z", (("h", None),))]


def test_a_folder_gives_back_what_was_written(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "b", FIRST, SECOND)
    manifest = Folder(tmp_path / "b").manifest()
    [(place, topic, partition)] = manifest.places()
    assert (place, topic.keeps_offsets, partition.records, manifest.records, manifest.partitions) == (
        PLACE,
        False,
        3,
        3,
        1,
    )
    read = [list(folder.read(place, n, segment)) for n, segment in enumerate(partition.segments)]
    assert read == [FIRST, SECOND]
    assert partition.segments[1].content_sha256 == content_sha256([SECOND[0]._replace(offset=2)])
    assert {each.name for each in (tmp_path / "b").iterdir()} == {"manifest", PLACE[0]}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data[:-1], "its checksum is another one"),
        (lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:], "its checksum is another one"),
        (lambda data: b"", "its checksum is another one"),
        (lambda data: gzip.compress(gzip.decompress(data) + b"!"), "its checksum is another one"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_damaged_segment_is_named(tmp_path: Path, damage: object, said: str) -> None:
    folder = folder_with(tmp_path, FIRST, SECOND)
    path = folder.segment(PLACE, 1)
    if callable(damage):
        path.write_bytes(damage(path.read_bytes()))
    else:
        path.unlink()
    [(_, _, partition)] = folder.manifest().places()
    assert list(folder.read(PLACE, 0, partition.segments[0])) == FIRST
    with pytest.raises(DamagedBackup, match=f"{path} .*{said}"):
        list(folder.read(PLACE, 1, partition.segments[1]))


@pytest.mark.parametrize("text", ["", "{}", "rubbish\n{}", "\0", "\udcff"])
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    folder = folder_with(tmp_path, FIRST)
    (tmp_path / "manifest").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(DamagedBackup, match=f"{tmp_path}/manifest is not as it was written"):
        folder.manifest()


def test_a_manifest_of_another_format_is_refused_though_its_checksum_is_right(tmp_path: Path) -> None:
    text = Manifest(application="shop", made_ms=1, topics=[]).model_copy(update={"format": 2}).to_text()
    with pytest.raises(DamagedBackup, match="format: Input should be 1"):
        Manifest.from_text(text)
    escaping = BackedUp.model_construct(name="../../etc", kind="events", partitions=[])
    with pytest.raises(DamagedBackup, match="name: String should match pattern"):
        Manifest.from_text(Manifest.model_construct(application="shop", made_ms=1, topics=[escaping]).to_text())


def test_what_is_no_backup_and_no_place_for_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WrongFolder, match="is no backup"):
        Folder(tmp_path / "nowhere").manifest()
    assert Folder(tmp_path / "nowhere").plan() is None
    folder_with(tmp_path / "whole", FIRST)
    with pytest.raises(WrongFolder, match="is a whole backup already"):
        Folder(tmp_path / "whole").plan()
    (tmp_path / "file").write_text("hello")
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(WrongFolder, match="is not empty"):
            Folder(path).plan()
    Folder(tmp_path / "begun").begin(Manifest(application="shop", made_ms=1, topics=[]))
    with pytest.raises(WrongFolder, match="unfinished backup: run `kafold backup"):
        Folder(tmp_path / "begun").manifest()


def test_a_line_that_was_cut_off_is_written_again(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.begin(Manifest(application="shop", made_ms=1, topics=[]))
    for number in range(3):
        folder.write(PLACE, number, b"", 1, number, "c")
    lines = (tmp_path / "written").read_text()
    (tmp_path / "written").write_text(lines[:-9])
    assert [each.last for each in folder.written()[PLACE]] == [0, 1]
    folder.write(PLACE, 2, b"", 1, 7, "c")
    assert [each.last for each in folder.written()[PLACE]] == [0, 1, 7]
