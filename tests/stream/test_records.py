"""Sets of records, brought from a server on loopback that lays them out as PhysioNet does."""

from __future__ import annotations

import hashlib
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ecg import record
from simulators.story import PLOTS
from stream import records
from stream.cli import app, main
from stream.demo_records import demo_folder, demo_records
from stream.record_sets import SETS
from stream.records import check_folder, count, get, missing, table, wanted

ATR = b"\x00\x70\x00\x00"  # an N at sample 0, and the end


def packed_212(counts: np.ndarray) -> bytes:
    """Two counts of 12 bits in three bytes, as WFDB's format 212 has them."""
    first, second = (counts.astype(np.int64).reshape(-1, 2).T) & 0xFFF
    return np.stack([first & 0xFF, first >> 8 | (second >> 8) << 4, second & 0xFF], 1).astype(np.uint8).tobytes()


def matlab_4(counts: np.ndarray) -> bytes:
    """A matrix `val` of 16-bit integers, shape (n_leads, n_samples), in a MATLAB file of version 4."""
    return np.array([30, *counts.shape, 0, 4], "<i4").tobytes() + b"val\0" + counts.T.astype("<i2").tobytes()


COUNTS = np.arange(2 * 500, dtype=np.int64).reshape(2, 500) - 500


def header(name: str, file: str, storage: str, leads: int = 2, comment: str = "") -> bytes:
    lines = [f"{name} {leads} 250 500", *(f"{file} {storage} 200/mV 12 0 0 0 0 L{lead}" for lead in range(leads))]
    return "\n".join([*lines, *([f"# {comment}"] if comment else []), ""]).encode()


def mit(*names: str) -> dict[str, bytes]:
    """Records in format 212, as those of the MIT-BIH sets are."""
    files = {}
    for name in names:
        files |= {
            f"{name}.hea": header(name, f"{name}.dat", "212"),
            f"{name}.dat": packed_212(COUNTS.T),
            f"{name}.atr": ATR,
        }
    return files


def mat(folder: str, name: str, comment: str = "") -> dict[str, bytes]:
    """A record of a challenge: its signals in a MATLAB file behind its header of 24 bytes."""
    return {
        f"{folder}{name}.hea": header(name, f"{name}.mat", "16+24", comment=comment),
        f"{folder}{name}.mat": matlab_4(COUNTS),
    }


def plain(folder: str, name: str) -> dict[str, bytes]:
    return {
        f"{folder}{name}.hea": header(name, f"{name}.dat", "16"),
        f"{folder}{name}.dat": COUNTS.T.astype("<i2").tobytes(),
    }


LAYOUT: dict[str, dict[str, bytes]] = {
    "mitdb/1.0.0": mit("100", "201")
    | {"RECORDS": b"100\n201\n", "x_mitdb/x_108.hea": b"x", "mitdbdir/intro.htm": b"x"},
    "svdb/1.0.0": mit("800"),
    "vfdb/1.0.0": mit("418"),
    "cudb/1.0.0": mit("cu01"),
    "nstdb/1.0.0": mit("bw", "em", "ma", "118e06", "118e_6") | {"old/118e06.hea": b"x", "nstdbgen-": b"x"},
    "qtdb/1.0.0": mit("sel100", "sele0104") | {"sel100.q1c": ATR, "sel100.pu0": ATR, "sel100.xws": b"x"},
    "ltafdb/1.0.0": mit("00", "101") | {"00.qrs": ATR},
    "ludb/1.0.1": plain("data/", "1")
    | {"data/1.avf": ATR, "data/1.v6": ATR, "ludb.csv": b"ID\n1\n", "data/1.png": b"x"},
    "ptb-xl/1.0.3": plain("records500/00000/", "00001_hr")
    | plain("records100/00000/", "00001_lr")
    | {"ptbxl_database.csv": b"ecg_id\n1\n", "scp_statements.csv": b"x\n"},
    "challenge-2011/1.0.0": plain("set-a/", "1002603")
    | plain("set-a/", "1002867")
    | plain("set-b/", "1100016")
    | {"set-a/RECORDS-acceptable": b"1002867\n", "set-a/RECORDS-unacceptable": b"1002603\n", "set-a/RECORDS": b"x"},
    "challenge-2015/1.0.0": mat("training/", "a103l", "False alarm")
    | mat("training/", "v102s")
    | {"training/ALARMS": b"a103l,Asystole,0\nv102s,Ventricular_Tachycardia,0\n", "training.zip": b"x"},
    "challenge-2017/1.0.0": mat("training/A00/", "A00001")
    | mat("validation/", "A00001", "not the one of the training set")
    | {"REFERENCE-v3.csv": b"A00001,N\n", "REFERENCE-v2.csv": b"A00001,O\n", "training2017.zip": b"x"},
}
HERE = {
    "mitdb": {"100.hea", "100.dat", "100.atr", "201.hea", "201.dat", "201.atr"},
    "svdb": {"800.hea", "800.dat", "800.atr"},
    "vfdb": {"418.hea", "418.dat", "418.atr"},
    "cudb": {"cu01.hea", "cu01.dat", "cu01.atr"},
    "nstdb": {f"{name}.{end}" for name in ("bw", "em", "ma", "118e06", "118e_6") for end in ("hea", "dat", "atr")},
    "qtdb": {f"{name}.{end}" for name in ("sel100", "sele0104") for end in ("hea", "dat", "atr")}
    | {"sel100.q1c", "sel100.pu0"},
    "ltafdb": {"00.hea", "00.atr", "101.hea", "101.atr"},
    "ludb": {"data/1.hea", "data/1.dat", "data/1.avf", "data/1.v6", "ludb.csv"},
    "ptbxl": {
        "records500/00000/00001_hr.hea",
        "records500/00000/00001_hr.dat",
        "ptbxl_database.csv",
        "scp_statements.csv",
    },
    "cinc2011": {
        *(f"{name}.{end}" for name in ("1002603", "1002867") for end in ("hea", "dat")),
        "RECORDS-acceptable",
        "RECORDS-unacceptable",
        "REFERENCE.csv",
    },
    "cinc2015": {"a103l.hea", "a103l.mat", "v102s.hea", "v102s.mat", "ALARMS"},
    "cinc2017": {"A00001.hea", "A00001.mat", "REFERENCE.csv"},
}


@dataclass
class Server:
    """A server, what it was asked for, and which answers it is to break off in the middle, how many times."""

    folder: Path
    base: str = ""
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    broken: Counter[str] = field(default_factory=Counter)

    def put(self, project: str, files: dict[str, bytes]) -> None:
        for name, content in files.items():
            path = self.folder / project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        sums = [f"{hashlib.sha256(content).hexdigest()} {name}\n" for name, content in sorted(files.items())]
        (self.folder / project / records.LIST).write_text("".join(sums))

    def gets(self) -> list[str]:
        """Names of the files whose content was asked for, but for the lists."""
        return [path for method, path, _ in self.asked if method == "GET" and not path.endswith(records.LIST)]


class Handler(SimpleHTTPRequestHandler):
    """PhysioNet's server as far as it matters: files, their sizes, and ranges of them."""

    protocol_version = "HTTP/1.1"

    def __init__(self, server: Server, *arguments: object) -> None:
        self.told = server
        super().__init__(*arguments, directory=str(server.folder))  # pyright: ignore[reportArgumentType]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        span = self.headers.get("Range")
        name = self.path.rpartition("/")[2]
        self.told.asked.append(("GET", self.path.lstrip("/"), span))
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        first = int(re.fullmatch(r"bytes=(\d+)-", span)[1]) if span else 0  # pyright: ignore[reportOptionalSubscript]
        self.send_response(206 if span else 200)
        if span:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        if self.told.broken[name]:
            self.told.broken[name] -= 1
            self.wfile.write(content[first : first + (len(content) - first) // 2])
            self.close_connection = True
        else:
            self.wfile.write(content[first:])


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(records, "PAUSE_S", 0.0)
    (tmp_path / "files").mkdir()
    told = Server(tmp_path / "files")
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, told))
    http.daemon_threads = True
    told.base = f"http://127.0.0.1:{http.server_port}/"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    for project, files in LAYOUT.items():
        told.put(project, files)
    yield told
    http.shutdown()
    thread.join()
    http.server_close()


def lying(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def no_one(_: str) -> None:
    pass


def test_every_set_has_a_layout_to_be_tried_on() -> None:
    assert set(HERE) == set(SETS)
    assert {one.project for one in SETS.values()} == set(LAYOUT)


@pytest.mark.parametrize("name", SETS)
def test_a_set_comes_whole_and_lies_as_scorers_and_simulators_expect(server: Server, tmp_path: Path, name: str) -> None:
    said: list[str] = []
    (got,) = get({name: None}, tmp_path / "to", said.append, server.base)
    assert lying(tmp_path / "to") == {f"{name}/{file}" for file in HERE[name]}
    assert not list((tmp_path / "to").glob(".*"))
    derived = {"REFERENCE.csv"} if name == "cinc2011" else set()
    assert (got.folder, got.files, got.fetched) == (tmp_path / "to" / name, *[len(HERE[name] - derived)] * 2)
    assert said == [f"{name}: {got.files} of {got.files} files, {got.n_bytes / 1e6:.1f} MB"]


@pytest.mark.parametrize("name", [name for name in SETS if name != "ltafdb"])
def test_records_in_the_formats_of_physionet_are_read(server: Server, tmp_path: Path, name: str) -> None:
    get({name: None}, tmp_path, no_one, server.base)
    headers = sorted((tmp_path / name).rglob("*.hea"))
    assert headers
    for path in headers:
        assert np.array_equal(record.read(path).counts, COUNTS)


def test_the_least_count_of_format_212_is_a_missing_sample(tmp_path: Path) -> None:
    counts = np.array([[-2048, 2047], [-1, 0]])
    (tmp_path / "r.hea").write_text("r 2 360 2\nr.dat 212 200 11 1024 995 0 0 MLII\nr.dat 212 200 11 1024 995 0 0 V5\n")
    (tmp_path / "r.dat").write_bytes(packed_212(counts.T))
    found = record.read(tmp_path / "r")
    assert found.counts.tolist() == [[-32768, 2047], [-1, 0]]
    assert [(lead.baseline, lead.unit) for lead in found.leads] == [(1024, "mV")] * 2


def test_the_training_set_of_2017_is_not_taken_from_the_validation_set(server: Server, tmp_path: Path) -> None:
    get({"cinc2017": None}, tmp_path, no_one, server.base)
    assert record.read(tmp_path / "cinc2017/A00001").comments == ()
    assert (tmp_path / "cinc2017/REFERENCE.csv").read_text() == "A00001,N\n"


def test_the_classes_of_2011_become_one_table(server: Server, tmp_path: Path) -> None:
    get({"cinc2011": None}, tmp_path, no_one, server.base)
    assert (tmp_path / "cinc2011/REFERENCE.csv").read_text() == "1002603,unacceptable\n1002867,acceptable\n"


def test_what_is_whole_is_not_fetched_again(server: Server, tmp_path: Path) -> None:
    get({"mitdb": None}, tmp_path, no_one, server.base)
    server.asked.clear()
    (got,) = get({"mitdb": None}, tmp_path, no_one, server.base)
    assert (got.files, got.fetched, got.n_bytes, server.gets()) == (6, 0, 0, [])


@pytest.mark.parametrize("damage", [b"", b"half", b"\xff" * len(LAYOUT["mitdb/1.0.0"]["100.dat"])])
def test_a_file_that_is_broken_here_is_fetched_again_and_no_other(
    server: Server, tmp_path: Path, damage: bytes
) -> None:
    get({"mitdb": None}, tmp_path, no_one, server.base)
    (tmp_path / "mitdb/100.dat").write_bytes(damage)
    server.asked.clear()
    assert get({"mitdb": None}, tmp_path, no_one, server.base)[0].fetched == 1
    assert server.gets() == ["mitdb/1.0.0/100.dat"]
    assert (tmp_path / "mitdb/100.dat").read_bytes() == LAYOUT["mitdb/1.0.0"]["100.dat"]


def test_a_file_that_comes_with_another_hash_is_told_once_the_others_are_here(server: Server, tmp_path: Path) -> None:
    (server.folder / "mitdb/1.0.0/100.dat").write_bytes(b"other")
    with pytest.raises(
        ConnectionError, match=r"^mitdb: 100\.dat came twice with another sha256 than the server lists$"
    ):
        get({"mitdb": None}, tmp_path, no_one, server.base)
    assert lying(tmp_path / "mitdb") == HERE["mitdb"] - {"100.dat"}


def test_a_connection_that_breaks_midway_is_tried_again(server: Server, tmp_path: Path) -> None:
    server.broken["100.dat"] = records.TRIES - 1
    get({"mitdb": None}, tmp_path, no_one, server.base)
    assert lying(tmp_path / "mitdb") == HERE["mitdb"]
    assert server.gets().count("mitdb/1.0.0/100.dat") == records.TRIES


def test_after_a_line_that_stays_broken_the_next_call_fetches_the_rest_alone(server: Server, tmp_path: Path) -> None:
    server.broken["201.dat"] = records.TRIES
    with pytest.raises(ConnectionError, match=r"^mitdb/1\.0\.0/201\.dat cannot be fetched \([^\n]*from there$"):
        get({"mitdb": None}, tmp_path, no_one, server.base)
    before = lying(tmp_path / "mitdb")
    assert "201.dat" not in before
    assert "100.dat" in before
    server.asked.clear()
    get({"mitdb": None}, tmp_path, no_one, server.base)
    assert lying(tmp_path / "mitdb") == HERE["mitdb"]
    assert {Path(path).name for path in server.gets()} == HERE["mitdb"] - before


def test_the_part_of_a_file_that_an_end_midway_left_is_gone_on_with(server: Server, tmp_path: Path) -> None:
    whole = LAYOUT["mitdb/1.0.0"]["100.dat"]
    part = tmp_path / records.PART / "mitdb/100.dat"
    part.parent.mkdir(parents=True)
    part.write_bytes(whole[:100])
    get({"mitdb": None}, tmp_path, no_one, server.base)
    assert ("GET", "mitdb/1.0.0/100.dat", "bytes=100-") in server.asked
    assert (tmp_path / "mitdb/100.dat").read_bytes() == whole
    part.parent.mkdir(parents=True)
    part.write_bytes(b"\xff" * 100)
    (tmp_path / "mitdb/100.dat").unlink()
    get({"mitdb": None}, tmp_path, no_one, server.base)
    assert (tmp_path / "mitdb/100.dat").read_bytes() == whole


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path, server: Server) -> None:
    with pytest.raises(ConnectionError, match=r"^mitdb/1\.0\.0/SHA256SUMS\.txt cannot be fetched \([^\n]*$"):
        get({"mitdb": None}, tmp_path, no_one, "http://127.0.0.1:9/")


def test_a_server_without_the_set_is_asked_once(server: Server, tmp_path: Path) -> None:
    (server.folder / "mitdb/1.0.0" / records.LIST).unlink()
    with pytest.raises(ConnectionError, match="404"):
        get({"mitdb": None}, tmp_path, no_one, server.base)
    assert len(server.asked) == 1


def test_a_list_without_a_kind_of_file_that_the_set_has_is_an_error(server: Server, tmp_path: Path) -> None:
    files = LAYOUT["challenge-2015/1.0.0"]
    server.put("challenge-2015/1.0.0", {name: files[name] for name in files if "ALARMS" not in name})
    with pytest.raises(ConnectionError, match=r"names no file like .*ALARMS"):
        get({"cinc2015": None}, tmp_path, no_one, server.base)


@pytest.mark.parametrize("form", ["{} {}\n", "{}  {}\n", "{} *{}\n"])
def test_a_list_of_checksums_is_read_in_each_form_that_sha256sum_knows(form: str) -> None:
    listing = "".join(form.format("AB" * 32, name) for name in ("cu01.hea", "cu01.dat", "other.txt"))
    assert [file.local for file in wanted(SETS["cudb"], listing)] == ["cu01.hea", "cu01.dat"]
    assert {file.sha256 for file in wanted(SETS["cudb"], listing)} == {"ab" * 32}


def test_a_set_that_does_not_exist_is_a_wrong_use() -> None:
    with pytest.raises(ValueError, match=r"^set must be demo or one of mitdb, .*, got 'mitbd'$"):
        get({"mitbd": None}, Path("none"), no_one)


def test_a_folder_that_cannot_be_made_is_a_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "to").write_text("a file")
    with pytest.raises(ValueError, match="to must be a folder that can be written"):
        get({"mitdb": None}, tmp_path / "to", no_one)


def test_the_demo_brings_every_record_of_its_stories_and_no_other(server: Server, tmp_path: Path) -> None:
    cuts = {cut.record for plot in PLOTS for cut in plot.cuts}
    for name, one in SETS.items():
        files: dict[str, bytes] = {}
        for path in (cut.removeprefix(f"{name}/") for cut in cuts if cut.startswith(f"{name}/")):
            if name in {"mitdb", "vfdb"}:
                files |= mit(path)
            elif name == "ptbxl":
                files |= plain(path.rpartition("/")[0] + "/", path.rpartition("/")[2])
            else:
                files |= mat("training/" + (f"{path[:3]}/" if name == "cinc2017" else ""), path)
        if files:
            server.put(one.project, LAYOUT[one.project] | files)
    got = get(demo_records(), tmp_path / "to", no_one, server.base)
    headers = {path.removesuffix(".hea") for path in lying(tmp_path / "to") if path.endswith(".hea")}
    assert headers == cuts
    assert {one.folder.name for one in got} == {cut.partition("/")[0] for cut in cuts}
    assert not list((tmp_path / "to").rglob("*.csv"))


def test_the_table_names_each_set_with_licence_citation_and_what_is_here(tmp_path: Path) -> None:
    (tmp_path / "ptbxl/records500/00000").mkdir(parents=True)
    (tmp_path / "ptbxl/records500/00000/00001_hr.hea").touch()
    assert count(SETS["ptbxl"], tmp_path) == 1
    text = table(tmp_path)
    for one in SETS.values():
        assert f"{one.name:9} {one.title}\n" in text
        assert f" records here; about {one.size_mb:,} MB; {one.licence}; {one.citation}\n" in text
    assert "1 of 21,799 records here" in text
    assert "0 of 48 records here" in text
    assert "VIGIL_RECORDS names no folder" in table(None)


def test_the_command_brings_a_set_to_the_folder_that_it_is_told(server: Server, tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["records", "get", "cudb", "--to", str(tmp_path), "--from", server.base])
    assert said.exit_code == 0
    assert said.stdout == f"{tmp_path}/cudb: 3 files, each with the sha256 of the server's list; 3 came now\n"
    assert "cudb: 3 of 3 files" in said.stderr


def test_without_a_folder_a_set_goes_to_the_cache(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VIGIL_RECORDS", raising=False)
    monkeypatch.setenv("VIGIL_CACHE", str(tmp_path))
    assert CliRunner().invoke(app, ["records", "get", "cudb", "--from", server.base]).exit_code == 0
    assert demo_folder(tmp_path) == tmp_path / "records"


@pytest.mark.parametrize("name", ["cudb", "other"])
def test_the_error_for_a_set_that_is_missing_names_the_command_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert "`vigil records get cudb --to DIR`" in missing("cudb")
    monkeypatch.setattr(sys, "argv", ["vigil", "evaluate", "ec57", "--data", str(tmp_path / name)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"`vigil records {'get cudb --to DIR' if name == 'cudb' else 'list'}`" in said


def test_a_folder_that_holds_no_record_of_its_set_is_a_missing_set(tmp_path: Path) -> None:
    (tmp_path / "cudb").mkdir()
    with pytest.raises(FileNotFoundError, match="vigil records get cudb"):
        check_folder(tmp_path / "cudb")
    (tmp_path / "cudb/cu01.hea").touch()
    check_folder(tmp_path / "cudb")
    check_folder(tmp_path)


@pytest.mark.records
@pytest.mark.parametrize("name", SETS)
def test_headers_and_tables_lie_where_those_of_the_development_copies_lie(records: Path, name: str) -> None:
    assert {Path(file).parent for file in HERE[name] if file.endswith(".hea")} == {
        path.relative_to(records / name).parent for path in (records / name).rglob("*.hea")
    }
    assert all(
        (records / name / file).is_file()
        for file in HERE[name]
        if Path(file).suffix in {".csv", ""} and "-" not in file
    )
