from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from ecg.clinical import Settings as Clinical
from ecg.frame import PublicKey, Setup, check_input
from stream import tls
from stream.kafka import kafka_of
from stream.security.place import Kafka, Where, make, rights
from stream.security.roles import FIXED, roles
from stream.settings import Settings
from stream.signing import Signer
from stream.topics import ALERTS, INPUT


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("security") / "place"
    make(folder, ("icu", "east"), Where(("kafka.ward", "10.0.0.7")))
    return folder


def environment(place: Path, role: str) -> dict[str, str]:
    return dict(word.split("=", 1) for word in shlex.split((place / role / "env").read_text()))


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_its_owner_alone_may_read_anything(place: Path) -> None:
    for path in [place, *place.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_folder_that_is_there_is_left_alone(place: Path) -> None:
    before = (place / "ca.pem").read_bytes()
    with pytest.raises(ValueError, match="is there already: credentials are not overwritten"):
        make(place)
    assert (place / "ca.pem").read_bytes() == before


def test_every_role_has_what_it_needs_and_no_more(place: Path) -> None:
    for role in roles(("icu", "east")):
        said = environment(place, role.name)
        assert ("VIGIL_KAFKA" in said) == (role.kafka or role.all_of_kafka), role.name
        assert ("VIGIL_REDIS" in said) == (role.redis is not None), role.name
        assert ("VIGIL_KEY" in said) == bool(role.signs), role.name
        assert all(Path(said[f"VIGIL_{name}"]).is_file() for name in ("CA", "CERT", "CERT_KEY"))


def test_what_goes_to_the_servers_holds_no_password(place: Path) -> None:
    told = "".join((place / name).read_text() for name in ("kafka.json", "keys.json", "redis/users.acl"))
    passwords = [environment(place, role.name).get("VIGIL_KAFKA_PASSWORD") for role in roles(("icu", "east"))]
    urls = [environment(place, role.name).get("VIGIL_REDIS") for role in roles(("icu", "east"))]
    secret = [each for each in passwords if each] + [url.split(":")[2].split("@")[0] for url in urls if url]
    assert len(set(secret)) == len(secret) == 12
    assert not any(each in told for each in secret)


def test_public_keys_are_those_of_the_roles_and_a_setup_takes_them(place: Path) -> None:
    keys = msgspec.json.decode((place / "keys.json").read_bytes(), type=dict[str, PublicKey])
    check_input(Setup("a", "b", 1, Clinical(), keys=keys))
    signing = {role.name: role.signs for role in FIXED if role.signs}
    assert {keys[Signer.load(place / name / "signing.pem").key_id].roles for name in signing} == set(signing.values())
    assert len(keys) == len(signing)


def test_servers_are_known_by_their_names_and_roles_are_no_servers(place: Path) -> None:
    names = certificate(place / "broker" / "cert.pem").extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert [str(name.value) for name in names.value] == ["kafka.ward", "10.0.0.7"]
    role = certificate(place / "worker" / "cert.pem")
    uses = role.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(uses) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert role.subject.rfc4514_string() == "CN=worker"
    role.verify_directly_issued_by(certificate(place / "ca.pem"))


def test_a_renewed_place_has_the_same_authority_and_nothing_else_of_the_old_one(place: Path, tmp_path: Path) -> None:
    make(tmp_path / "new", ("icu", "east"), renews=place)
    same = {
        str(path.relative_to(place))
        for path in place.rglob("*.*")
        if path.is_file() and path.read_bytes() == (tmp_path / "new" / path.relative_to(place)).read_bytes()
    }
    assert same == {"ca.pem", "ca.key"}
    with pytest.raises(ValueError, match=r"the certificate authority to go on with is not there: .*ca\.pem"):
        make(tmp_path / "other", renews=tmp_path)
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("ward", ["", "*", "icu}", "a b", "-x", "a" * 65])
def test_a_wards_name_that_could_mean_something_in_a_list_of_rights_is_refused(ward: str) -> None:
    with pytest.raises(ValueError, match="ward must be of letters, digits, - and _"):
        roles((ward,))


def test_only_the_worker_and_the_publisher_may_write_alerts_and_neither_may_write_input() -> None:
    writers = {topic: {r.name for r in FIXED if topic in r.writes} for topic in (ALERTS, INPUT)}
    assert writers == {ALERTS: {"worker", "publisher"}, INPUT: {"device", "ticker", "staff"}}
    consumer = roles(("icu",))[-1]
    assert rights(consumer) == []
    assert "xadd" not in (consumer.redis or "")
    assert "+@write" not in (consumer.redis or "")


def test_rights_are_written_as_kafka_reads_them(place: Path) -> None:
    kafka = msgspec.json.decode((place / "kafka.json").read_bytes(), type=Kafka)
    assert {user.user for user in kafka.users} == {"device", "ticker", "worker", "publisher", "staff", "auditor"}
    assert {right.user for right in kafka.rights} == {user.user for user in kafka.users}
    assert not any(right.prefix and right.operation == "write" for right in kafka.rights)


@pytest.mark.parametrize(
    ("ca", "cert", "cert_key", "said"),
    [
        ("worker/env", None, None, "VIGIL_CA: must hold certificates in PEM"),
        ("ca.pem", "worker/cert.pem", "ticker/key.pem", "VIGIL_CERT: .* must fit together"),
        ("ca.pem", "worker/env", "worker/key.pem", "VIGIL_CERT: .* must fit together"),
    ],
)
def test_files_that_are_no_certificates_are_named(
    place: Path, ca: str, cert: str | None, cert_key: str | None, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        tls.context(place / ca, place / cert if cert else None, place / cert_key if cert_key else None)


def test_a_password_may_lie_in_a_file_and_the_ca_is_the_only_one(place: Path, tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("from a file\n")
    settings = Settings(
        kafka="h:1", kafka_security="sasl_ssl", kafka_user="worker", kafka_password_file=secret, ca=place / "ca.pem"
    )
    kafka = kafka_of(settings)
    assert (kafka["sasl_plain_username"], kafka["sasl_plain_password"]) == ("worker", "from a file")
    assert (kafka["security_protocol"], kafka["sasl_mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
    assert kafka["ssl_context"].check_hostname
    assert [dict(each["subject"][0])["commonName"] for each in kafka["ssl_context"].get_ca_certs()] == [
        "Vigil private CA"
    ]


def test_servers_listen_on_the_first_name_alone_which_is_loopback_unless_said(tmp_path: Path) -> None:
    make(tmp_path / "place")
    broker = dict(line.split("=", 1) for line in (tmp_path / "place/broker/server.properties").read_text().splitlines())
    assert {each.partition("//")[2].rpartition(":")[0] for each in broker["listeners"].split(",")} == {"127.0.0.1"}
    assert 'bind "127.0.0.1"' in (tmp_path / "place/redis/redis.conf").read_text().splitlines()


def test_vigil_security_init_says_what_it_made_and_makes_nothing_twice(tmp_path: Path) -> None:
    def init() -> subprocess.CompletedProcess[str]:
        command = ["-m", "stream", "security", "init", "--to", str(tmp_path / "new"), "--ward", "icu", "--json"]
        return subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, timeout=60)

    first, second = init(), init()
    made = json.loads(first.stdout)
    assert (first.returncode, made["folder"]) == (0, str(tmp_path / "new"))
    assert all(Path(file).is_file() for files in made["files"].values() for file in files)
    assert (second.returncode, second.stdout, second.stderr.count("\n")) == (2, "", 1)
