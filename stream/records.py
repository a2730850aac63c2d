"""`vigil records`: which public sets there are and which are here, and how they come from PhysioNet.

Files are fetched by wfdb's own downloader, at most two at once as it does, into a folder beside the set's, checked
against the sha256 that the server lists, and only then moved to their place: what lies in a set's folder is whole.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout, suppress
from multiprocessing.pool import ThreadPool
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from stream.record_sets import PHYSIONET, PHYSIONET_CITATION, SETS, RecordSet

LIST = "SHA256SUMS.txt"
PART = ".part"
AT_ONCE = 2
TRIES = 3
PAUSE_S = 2.0
TOLD_EVERY_S = 1.0

Say = Callable[[str], None]


class Wanted(NamedTuple):
    """A file: its path on the server under the set's project, its path here under the set's folder, and its hash."""

    remote: str
    local: str
    sha256: str


class Got(NamedTuple):
    """What `get` did with one set: files that it has now, how many of those came just now, and their bytes."""

    folder: Path
    files: int
    fetched: int
    n_bytes: int


def table(records: Path | None) -> str:
    """Return the sets, one after the other, with how many records of each are in a folder."""
    lines = []
    for one in SETS.values():
        here = f"{count(one, records):,} of {one.records:,} records here" if records else f"{one.records:,} records"
        lines += [
            f"{one.name:9} {one.title}",
            f"{'':9} {here}; about {one.size_mb:,} MB; {one.licence}; {one.citation}",
        ]
    where = f"Here is {records}." if records else "VIGIL_RECORDS names no folder."
    return "\n".join([*lines, f"With each of them: {PHYSIONET_CITATION}.", where])


def count(one: RecordSet, records: Path) -> int:
    """Return how many of a set's records lie in a folder of sets, by their headers."""
    return sum(1 for _ in (records / one.name).rglob("*.hea"))


def missing(name: str) -> str:
    """Say in one line that a set is not there, and which command brings it."""
    return f"{name} is not there: `vigil records get {name} --to DIR` brings it from PhysioNet into DIR/{name}"


def check_folder(folder: Path) -> None:
    """Raise FileNotFoundError, which names the command that brings the set, where a folder holds no records."""
    name = folder.absolute().name
    if name in SETS and not count(SETS[name], folder.absolute().parent):
        raise FileNotFoundError(f"no record in {folder}: {missing(name)}")
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder: `vigil records list` names the sets, `get` brings them")


def get(sets: Mapping[str, Collection[str] | None], to: Path, say: Say, base: str = PHYSIONET) -> list[Got]:
    """Bring sets from PhysioNet; what is here already and whole is not fetched again.

    Parameters
    ----------
    sets : mapping of str to collection of str, or None
        Sets of `stream.record_sets.SETS`, each with the records that are wanted, as their path in the set's folder
        without extension; None is all of it.
    to : Path
        Folder of sets; each lies in a folder of its own under it.
    say : callable
        Takes lines of progress, about one a second.
    base : str
        Address under which the server keeps the projects.

    Raises
    ------
    ValueError
        There is no such set, or `to` cannot be written.
    ConnectionError
        The server cannot be reached, lacks the set or a file of it, or gives another file than it lists. Files that
        came whole stay, and the next call goes on with the others.
    """
    if unknown := set(sets) - set(SETS):
        raise ValueError(f"set must be demo or one of {', '.join(SETS)}, got {min(unknown)!r}")
    return [_get(SETS[name], names, to, say, base) for name, names in sets.items()]


def _get(one: RecordSet, names: Collection[str] | None, to: Path, say: Say, base: str) -> Got:
    folder, part = to / one.name, to / PART / one.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"to must be a folder that can be written, got {to}: {error.strerror}") from error
    with _wfdb(base) as download:
        server = _Server(download, one, part)
        server.fetch(LIST, overwrite=True)
        files = wanted(one, (part / LIST).read_text(), names)
        lacking = [file for file in files if not _is_whole(folder / file.local, file.sha256)]
        n_bytes = _bring(server, lacking, folder, say)
    shutil.rmtree(part)
    with suppress(OSError):  # another set's part is still there
        part.parent.rmdir()
    if one.name == "cinc2011" and names is None:
        _write_reference(folder)
    return Got(folder, len(files), len(lacking), n_bytes)


def wanted(one: RecordSet, listing: str, names: Collection[str] | None = None) -> list[Wanted]:
    """Return the files of a set that are wanted, out of the server's list of checksums.

    Parameters
    ----------
    one : RecordSet
    listing : str
        The text of `SHA256SUMS.txt`: a line a file, its hash and its path.
    names : collection of str, optional
        Records, as their path under the set's folder without extension; all of the set unless given.

    Raises
    ------
    ConnectionError
        The list lacks a kind of file that the set should have, or a record of `names`.
    """
    listed = [line.split(maxsplit=1) for line in listing.splitlines() if len(line.split()) >= 2]
    files: dict[str, Wanted] = {}
    for pattern, local in one.files:
        matched = [(re.fullmatch(pattern, path.strip().lstrip("*")), sha256) for sha256, path in listed]
        found = [Wanted(match.group(), match.expand(local), sha256.lower()) for match, sha256 in matched if match]
        if not found:
            raise ConnectionError(f"{LIST} of {one.project} names no file like {pattern}: the set lies otherwise there")
        files |= {file.local: file for file in found}
    if names is None:
        return list(files.values())
    if absent := sorted(name for name in names if f"{name}.hea" not in files):
        raise ConnectionError(f"{LIST} of {one.project} names no record {absent[0]}")
    return [file for file in files.values() if str(PurePosixPath(file.local).with_suffix("")) in names]


def _bring(server: _Server, lacking: list[Wanted], folder: Path, say: Say) -> int:
    """Fetch files, and return their bytes; those that are not what the server lists are told once the rest is here."""
    n_bytes, told, wrong = 0, time.monotonic(), []
    with ThreadPool(AT_ONCE) as pool:
        sizes = pool.imap(lambda file: _bring_one(server, file, folder / file.local), lacking)
        for done, (file, size) in enumerate(zip(lacking, sizes, strict=True), 1):
            n_bytes += size or 0
            if size is None:
                wrong.append(file.remote)
            if done == len(lacking) or time.monotonic() - told >= TOLD_EVERY_S:
                told = time.monotonic()
                say(f"{folder.name}: {done} of {len(lacking)} files, {n_bytes / 1e6:.1f} MB")
    if wrong:
        others = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise ConnectionError(f"{folder.name}: {wrong[0]}{others} came twice with another sha256 than the server lists")
    return n_bytes


def _bring_one(server: _Server, file: Wanted, place: Path) -> int | None:
    """Fetch one file, move it to its place once its hash is right, and return its size; None if it never was."""
    came = server.part / file.remote
    for overwrite in (False, True):  # first go on with what an earlier call left
        server.fetch(file.remote, overwrite)
        if _is_whole(came, file.sha256):
            size = came.stat().st_size
            place.parent.mkdir(parents=True, exist_ok=True)
            came.replace(place)
            return size
    came.unlink()
    return None


class _Server(NamedTuple):
    """One set on the server, and the folder that takes its files as they come; `download` is wfdb's module."""

    download: Any
    one: RecordSet
    part: Path

    def fetch(self, remote: str, overwrite: bool) -> None:
        """Let wfdb fetch a file; it appends to a part that is there, unless told to overwrite it."""
        path = PurePosixPath(remote)
        subfolder = "" if path.parent == PurePosixPath(".") else str(path.parent)
        (self.part / subfolder).mkdir(parents=True, exist_ok=True)
        for left in reversed(range(TRIES)):
            try:
                self.download.dl_pn_file((path.name, subfolder, self.one.project, str(self.part), True, overwrite))
                return
            except OSError as error:  # requests' errors and wfdb's own are of this kind, too
                if not left or isinstance(error, FileNotFoundError):
                    raise ConnectionError(_why(f"{self.one.project}/{remote}", error)) from error
                time.sleep(PAUSE_S)


def _why(what: str, error: OSError) -> str:
    reason = f"{type(error).__name__}: {str(error).strip()}".splitlines()[0][:200]
    return f"{what} cannot be fetched ({reason}); what came stays, and the same command goes on from there"


@contextmanager
def _wfdb(base: str) -> Iterator[Any]:
    """Give wfdb's downloader for one server, silent: its import warns under pandas 3.1, and it prints what it does."""
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        from wfdb.io import download

        download.set_db_index_url(base)
        try:
            yield download
        finally:
            download.set_db_index_url()


def _is_whole(path: Path, sha256: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _write_reference(folder: Path) -> None:
    """Write the classes of the 2011 challenge as one table; the two records in neither list are left out."""
    rows = []
    for kind in ("acceptable", "unacceptable"):
        path = folder / f"RECORDS-{kind}"
        rows += [f"{name},{kind}\n" for name in path.read_text().split()]
    (folder / "REFERENCE.csv").write_text("".join(sorted(rows)))
