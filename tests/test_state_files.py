"""Private files are replaced whole, leave nothing behind, and are locked between processes."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatmock.settings import SettingError
from chatmock.state_files import (
    FileLock,
    expanded,
    linked_file,
    read_bounded,
    remove_leftovers,
    state_folder,
    write_private,
)
from tests.test_starting import ROOT

TAG = "0123456789abcdef"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- writing


def test_a_file_and_its_folder_are_the_owner_s_alone(place: Path, umask: None) -> None:
    path = place / "a" / "state" / "auth.json"
    write_private(path, b"one")
    assert (path.read_bytes(), mode(path), mode(path.parent)) == (b"one", 0o600, 0o700)
    path.chmod(0o666)
    write_private(path, b"two")
    assert (path.read_bytes(), mode(path)) == (b"two", 0o600)
    assert names(path.parent) == ["auth.json"]


def test_a_folder_that_is_there_stays_as_it_is(place: Path) -> None:
    place.chmod(0o755)
    write_private(place / "f", b"")
    assert mode(place) == 0o755


def test_who_reads_sees_the_old_content_or_the_new(place: Path) -> None:
    path = place / "f"
    size, writing = 200_000, True

    def write(letter: bytes) -> None:
        for _ in range(25):
            write_private(path, letter * size)

    write_private(path, b"a" * size)
    threads = [threading.Thread(target=write, args=(letter,)) for letter in (b"b", b"c")]
    for thread in threads:
        thread.start()
    seen = set()
    while writing:
        writing = any(thread.is_alive() for thread in threads)
        content = path.read_bytes()
        assert len(content) == size
        assert len(set(content)) == 1
        seen.add(content[:1])
    assert seen & {b"b", b"c"}
    assert names(place) == ["f"]


FULL = """
import resource, sys
from pathlib import Path
from chatmock.state_files import write_private
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_private(Path(sys.argv[1]), b"x" * 5000)
except OSError as error:
    sys.exit(error.errno)
"""


def test_what_does_not_fit_leaves_the_old_content(place: Path) -> None:
    path = place / "f"
    write_private(path, b"old")
    result = subprocess.run([sys.executable, "-c", FULL, str(path)], cwd=ROOT, check=False, timeout=30)
    assert result.returncode == errno.EFBIG
    assert path.read_bytes() == b"old"
    assert names(place) == ["f"]


def test_a_folder_in_the_way_is_an_error_that_leaves_nothing(place: Path) -> None:
    (place / "f").mkdir()
    with pytest.raises(IsADirectoryError):
        write_private(place / "f", b"new")
    assert names(place) == ["f"]
    (place / "file").write_bytes(b"")
    with pytest.raises(OSError, match=r"exists|directory"):
        write_private(place / "file" / "f", b"new")


def test_a_link_stays_and_its_target_is_replaced(place: Path) -> None:
    kept, state = place / "kept", place / "state"
    kept.mkdir()
    state.mkdir()
    path = state / "f"
    path.symlink_to("../kept/target")
    for content in (b"one", b"two"):
        write_private(path, content)
        assert path.is_symlink()
        assert (kept / "target").read_bytes() == path.read_bytes() == content
    assert (names(state), names(kept)) == (["f"], ["target"])
    assert mode(kept / "target") == 0o600


def test_links_that_lead_to_no_file(place: Path) -> None:
    circle, folder, pipe = place / "circle", place / "folder", place / "pipe"
    circle.symlink_to(circle)
    folder.symlink_to(place)
    os.mkfifo(place / "fifo")
    pipe.symlink_to("fifo")
    for link in (circle, folder, pipe):
        with pytest.raises(OSError, match=r"link|directory|regular"):
            linked_file(link)
        with pytest.raises(OSError, match=r"link|directory|regular"):
            write_private(link, b"x")
    assert names(place) == ["circle", "fifo", "folder", "pipe"]
    assert linked_file(place / "nothing") == place / "nothing"


# --- what killed writers leave


def test_old_leftovers_go_with_the_next_write(place: Path) -> None:
    old, young = place / f".f.{TAG}", place / f".f.{TAG[::-1]}"
    others = [place / name for name in (f".g.{TAG}", f"f.{TAG}", f".f.{TAG}0", ".f.swp", ".f", f".fx.{TAG}")]
    for path in (old, young, *others):
        path.write_bytes(b"secret")
        os.utime(path, (0, time.time() - (55 if path is young else 65)))
    write_private(place / "f", b"new")
    assert names(place) == sorted(["f", young.name, *(path.name for path in others)])


def test_every_leftover_goes_with_the_lock_that_guards_the_file(place: Path) -> None:
    left = place / f".f.{TAG}"
    ahead = time.time() + 1000  # a clock that was put back
    left.write_bytes(b"secret")
    os.utime(left, (ahead, ahead))
    lock, other = FileLock(place / "f.lock", place / "f"), FileLock(place / "f.lock", place / "f")
    assert lock.try_acquire()
    assert not left.exists()
    left.write_bytes(b"being written")
    assert not other.try_acquire()
    assert left.exists()
    lock.release()
    assert FileLock(place / "g.lock").try_acquire()
    assert left.exists()


def test_leftovers_of_a_link_s_target_and_what_cannot_go(place: Path) -> None:
    kept = place / "kept"
    kept.mkdir()
    (place / "f").symlink_to(kept / "target")
    left, folder = kept / f".target.{TAG}", kept / f".target.{TAG[::-1]}"
    left.write_bytes(b"secret")
    folder.mkdir()
    remove_leftovers(place / "f")
    assert names(kept) == [folder.name]
    remove_leftovers(place / "nowhere" / "f")


# --- the lock


def test_one_holds_the_lock(place: Path) -> None:
    path = place / "state" / "f.lock"
    one, two = FileLock(path), FileLock(path)
    assert one.try_acquire()
    assert not one.try_acquire()
    assert not two.try_acquire()
    one.release()
    one.release()
    assert two.try_acquire()
    two.release()
    assert mode(path) == 0o600
    assert names(path.parent) == ["f.lock"]


def test_a_program_that_is_started_does_not_keep_the_lock(place: Path) -> None:
    lock = FileLock(place / "f.lock")
    assert lock.try_acquire()
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=False) as started:
        lock.release()
        assert FileLock(place / "f.lock").try_acquire()
        started.communicate()


def test_a_lock_that_cannot_be_made(place: Path) -> None:
    (place / "folder").mkdir()
    (place / "link").symlink_to(place / "elsewhere")
    (place / "file").write_bytes(b"")
    for path in (place / "folder", place / "link", place / "file" / "f.lock"):
        with pytest.raises(OSError, match=r"directory|links|exists"):
            FileLock(path).try_acquire()
    assert not (place / "elsewhere").exists()


# --- reading, and where


def test_reading_is_bounded_and_waits_for_nobody(place: Path) -> None:
    (place / "f").write_bytes(b"12345")
    assert read_bounded(place / "f", 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_bounded(place / "f", 4)
    os.mkfifo(place / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        read_bounded(place / "pipe", 5)
    with pytest.raises(IsADirectoryError):
        read_bounded(place, 5)
    with pytest.raises(OSError, match="no regular file"):
        read_bounded(Path("/dev/zero"), 5)
    with pytest.raises(FileNotFoundError):
        read_bounded(place / "nothing", 5)


def test_home_folders(home: Path) -> None:
    assert state_folder(Path("~/.chatgpt-local")) == home / ".chatgpt-local"
    assert state_folder(Path("/x/y")) == expanded(Path("/x/y")) == Path("/x/y")
    assert expanded(Path("~nobody-knows-her/x")) is None
    with pytest.raises(SettingError, match="CHATGPT_LOCAL_HOME"):
        state_folder(Path("~nobody-knows-her/x"))
