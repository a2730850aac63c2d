from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from stream import jars
from stream.jars import JarError, class_path, listed

SMALL = "org/example/small/1.0/small-1.0.jar"
GOOD = b"the jar that was listed"


@pytest.fixture
def one_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a cache for which one small jar alone is listed; nothing is in it yet."""
    monkeypatch.setattr(jars, "LIST", tmp_path / "jars.sha256")
    jars.LIST.write_text(f"{hashlib.sha256(GOOD).hexdigest()}  {SMALL}\n")
    return tmp_path / "cache"


def _serve(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    def download(part: Path, path: str) -> Path:
        (part / path).parent.mkdir(parents=True)
        (part / path).write_bytes(content)
        return part / path

    monkeypatch.setattr(jars, "_download", download)


def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")


def test_the_list_names_kafka_and_its_logging_once_each_with_a_sha256() -> None:
    names = [Path(path).name for path in listed()]
    assert {f"kafka_2.13-{jars.KAFKA_VERSION}.jar", "slf4j-simple-1.7.36.jar"} <= set(names)
    assert len(names) == len(jars.LIST.read_text().splitlines()) == 46
    assert {len(bytes.fromhex(digest)) for digest in listed().values()} == {32}


def test_a_missing_jar_is_fetched_with_progress_and_not_again(
    one_listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _serve(monkeypatch, GOOD)
    said: list[str] = []
    assert class_path(one_listed, said.append) == [one_listed / "m2" / SMALL]
    assert said == [
        f"fetching Kafka {jars.KAFKA_VERSION}, this once: 1 files",
        f"fetching Kafka {jars.KAFKA_VERSION}: 1 of 1 files, 0.0 MB",
    ]
    monkeypatch.setattr(jars, "_download", None)
    class_path(one_listed, said.append)
    assert len(said) == 2


@pytest.mark.parametrize("damage", [GOOD[:5], b"", GOOD + b" "])
def test_a_damaged_jar_is_deleted_and_fetched_again(
    one_listed: Path, monkeypatch: pytest.MonkeyPatch, damage: bytes
) -> None:
    jar = one_listed / "m2" / SMALL
    jar.parent.mkdir(parents=True)
    jar.write_bytes(damage)
    _serve(monkeypatch, GOOD)
    class_path(one_listed, lambda _: None)
    assert jar.read_bytes() == GOOD


def test_a_damaged_jar_without_a_network_is_one_line_and_is_not_used(
    one_listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jar = one_listed / "m2" / SMALL
    jar.parent.mkdir(parents=True)
    jar.write_bytes(GOOD[:5])
    _no_network(monkeypatch)
    with pytest.raises(JarError, match=r"^small-1\.0\.jar cannot be fetched: ProxyError: [^\n]*$"):
        class_path(one_listed, lambda _: None)
    assert not jar.exists()


def test_a_fetched_jar_with_another_hash_is_refused_and_not_kept(
    one_listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _serve(monkeypatch, b"another jar")
    with pytest.raises(JarError, match=r"^small-1\.0\.jar was fetched and has not the sha256 that Vigil lists$"):
        class_path(one_listed, lambda _: None)
    assert [path for path in (one_listed / "m2").rglob("*") if path.is_file()] == [one_listed / "m2" / ".lock"]


def test_a_download_that_breaks_off_leaves_nothing_that_is_used_again(
    one_listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks_off(part: Path, path: str) -> Path:
        (part / path).parent.mkdir(parents=True)
        (part / path).write_bytes(GOOD[:5])
        raise ConnectionResetError("the line went dead")

    monkeypatch.setattr(jars, "_download", breaks_off)
    with pytest.raises(JarError, match="ConnectionResetError: the line went dead"):
        class_path(one_listed, lambda _: None)
    assert not (one_listed / "m2" / SMALL).exists()
    assert not list((one_listed / "m2").glob(".part-*"))


def test_a_cache_that_cannot_be_written_raises_an_os_error(one_listed: Path) -> None:
    one_listed.write_text("a file where the folder should be")
    with pytest.raises(OSError, match="cache"):
        class_path(one_listed, lambda _: None)


def test_jars_fetched_in_one_place_serve_in_another(
    one_listed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _serve(monkeypatch, GOOD)
    class_path(one_listed, lambda _: None)
    shutil.copytree(one_listed, tmp_path / "moved")
    monkeypatch.setattr(jars, "_download", None)
    assert class_path(tmp_path / "moved", lambda _: None) == [tmp_path / "moved" / "m2" / SMALL]
