"""The jars of Kafka: fetched once through jgo, checked against the committed hashes every time, kept in the cache.

`jars.sha256` holds one line a jar, as `sha256sum` writes it, under the jar's place in a Maven repository;
`python -m stream.jars` prints the list anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

KAFKA_VERSION = "4.3.1"
NEEDED = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:1.7.36"
LIST = Path(__file__).with_name("jars.sha256")
AT_ONCE = 4
TOLD_EVERY = 10


class JarError(RuntimeError):
    """A jar could not be had, or is not the one that was listed: one line."""


def listed() -> dict[str, str]:
    """Give the sha256 of each jar that Kafka needs, by its path in a Maven repository."""
    lines = (line.split() for line in LIST.read_text().splitlines())
    return {path: digest for digest, path in lines}


def class_path(cache: Path, say: Callable[[str], None]) -> list[Path]:
    """Give the checked jars of Kafka, and fetch those that are missing or damaged.

    Parameters
    ----------
    cache : Path
        Folder of the cache; the jars lie in `m2` under it. Several processes may ask at once.
    say : callable
        Takes the lines of progress of a download.

    Raises
    ------
    JarError
        A jar cannot be fetched, or what was fetched has another hash.
    """
    folder = cache / "m2"
    folder.mkdir(parents=True, exist_ok=True)
    jars = listed()
    with _alone(folder):
        wanting = [path for path, digest in jars.items() if not _is_good(folder / path, digest)]
        if wanting:
            _fetch(folder, {path: jars[path] for path in wanting}, say)
    return [folder / path for path in jars]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _is_good(jar: Path, digest: str) -> bool:
    """Check a jar's hash; one that is damaged is deleted, for jgo would use it again without a word."""
    if not jar.is_file():
        return False
    good = hashlib.sha256(jar.read_bytes()).hexdigest() == digest
    if not good:
        jar.unlink()
    return good


def _fetch(folder: Path, wanting: dict[str, str], say: Callable[[str], None]) -> None:
    """Fetch jars beside their place and move each there once its hash is right."""
    say(f"fetching Kafka {KAFKA_VERSION}, this once: {len(wanting)} files")
    size = 0
    with tempfile.TemporaryDirectory(dir=folder, prefix=".part-") as part, ThreadPoolExecutor(AT_ONCE) as pool:
        work = [pool.submit(_fetch_one, folder, Path(part), path, digest) for path, digest in wanting.items()]
        try:
            for done, one in enumerate(as_completed(work), 1):
                size += one.result()
                if done % TOLD_EVERY == 0 or done == len(work):
                    say(f"fetching Kafka {KAFKA_VERSION}: {done} of {len(work)} files, {size / 1e6:.1f} MB")
        finally:
            pool.shutdown(cancel_futures=True)


def _fetch_one(folder: Path, part: Path, path: str, digest: str) -> int:
    try:
        jar = _download(part, path)
    except Exception as error:
        raise JarError(f"{Path(path).name} cannot be fetched: {_first_line(error)}") from error
    if not _is_good(jar, digest):
        raise JarError(f"{Path(path).name} was fetched and has not the sha256 that Vigil lists")
    size = jar.stat().st_size
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    shutil.move(jar, folder / path)
    return size


def _download(part: Path, path: str) -> Path:
    from jgo.config import GlobalSettings
    from jgo.constants import MAVEN_CENTRAL_URL
    from jgo.maven import MavenContext

    group, artifact, version = Path(path).parts[:-3], *Path(path).parts[-3:-1]
    repositories = {"central": MAVEN_CENTRAL_URL} | GlobalSettings.load().repositories
    context = MavenContext(repo_cache=part, local_repos=[], remote_repos=repositories, timeout=30)
    return context.project(".".join(group), artifact).at_version(version).artifact().resolve()


def _first_line(error: Exception) -> str:
    text = str(error).strip().split("\n")[0]
    return f"{type(error).__name__}: {text}"[:200]


def resolved(folder: Path) -> list[str]:
    """Resolve what Kafka needs, fetch it all into a Maven folder, and give the lines of the list."""
    os.environ["M2_REPO"] = str(folder)
    import jgo

    jars = sorted(artifact.resolve() for artifact in jgo.resolve(NEEDED))
    return [f"{hashlib.sha256(jar.read_bytes()).hexdigest()}  {jar.relative_to(folder).as_posix()}" for jar in jars]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as repository:
        print("\n".join(resolved(Path(repository))))
