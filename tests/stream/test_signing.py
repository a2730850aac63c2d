"""Only who may, and only what they signed, changes anything."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from ecg.clinical import Settings
from ecg.frame import (
    Admit,
    Command,
    FrameError,
    PublicKey,
    Role,
    Setup,
    Signed,
    Tick,
    check_input,
    decode,
    encode,
)
from stream.batch import Out, Record
from stream.intake import UNCONFIGURED
from stream.pipeline import Pipeline
from stream.signing import Signer, encode_as, opened, signer_of

T0_NS = 1_700_000_000_000_000_000
SECOND_NS = 10**9


def signer(seed: int) -> Signer:
    return Signer(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


TICKER, NURSE, CHIEF, STRANGER = (signer(seed) for seed in (1, 2, 3, 4))
ROLES: dict[Signer, tuple[Role, ...]] = {TICKER: ("tick",), NURSE: ("command",), CHIEF: ("setup", "seal")}
KEYS = {who.key_id: PublicKey(who.public.hex(), roles) for who, roles in ROLES.items()}
SETUP = Setup("chief", "first", T0_NS, Settings(), keys=KEYS)


def admit(nonce: str = "n1", bed: str = "7") -> Command:
    return Command("d", "nurse", "admission", nonce, T0_NS, T0_NS + 60 * SECOND_NS, Admit("icu", bed))


def fed(*values: bytes, key: bytes = b"d") -> tuple[Pipeline, Out]:
    pipeline = Pipeline({})
    return pipeline, pipeline.feed([Record(0, offset, key, value) for offset, value in enumerate(values)])


def reasons(*values: bytes) -> list[tuple[int, str]]:
    return [(record.offset, reason) for record, reason in fed(*values)[1].dead]


FIRST = CHIEF.sign(SETUP)
TICK = TICKER.sign(Tick("a", 0, T0_NS))


def test_what_the_setup_in_force_lets_somebody_sign_is_taken() -> None:
    assert reasons(FIRST, TICK, NURSE.sign(admit())) == []


def test_nothing_unsigned_is_taken_where_the_setup_says_so() -> None:
    later = msgspec.structs.replace(SETUP, issued_ns=T0_NS + 1)
    refused = reasons(FIRST, encode(Tick("a", 0, T0_NS)), encode(admit()), encode(later))
    assert [offset for offset, _ in refused] == [1, 2, 3]
    assert all("takes nothing unsigned" in reason for _, reason in refused)


@pytest.mark.parametrize("who", [TICKER, CHIEF, STRANGER])
def test_a_key_signs_only_what_its_role_says(who: Signer) -> None:
    ((offset, reason),) = reasons(FIRST, TICK, who.sign(admit()))
    assert offset == 2
    assert "key must be one that the setup in force lets sign a command" in reason


@pytest.mark.parametrize("part", ["body", "signature"])
def test_an_altered_command_is_refused_wherever_it_was_altered(part: str) -> None:
    signed = decode(NURSE.sign(admit()))
    assert isinstance(signed, Signed)
    whole = getattr(signed, part)
    for at in range(0, len(whole), 7):
        altered = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        ((offset, _),) = reasons(FIRST, TICK, encode(msgspec.structs.replace(signed, **{part: altered})))
        assert offset == 2


def test_a_command_that_comes_again_is_refused_and_another_is_not() -> None:
    command = NURSE.sign(admit())
    ((offset, reason),) = reasons(FIRST, TICK, command, command, NURSE.sign(admit("n2")))
    assert offset == 3
    assert "nonce must be new" in reason


def test_a_nonce_is_remembered_over_a_restore() -> None:
    command = NURSE.sign(admit())
    _, out = fed(FIRST, TICK, command)
    other = Pipeline({})
    assert other.restore(0, {key: value for _, key, value in out.snapshots if value is not None}) == 3
    assert [reason for _, reason in other.feed([Record(0, 3, b"d", command)]).dead] == [
        "nonce must be new, got 'n1' again"
    ]


def test_a_setup_that_comes_again_or_is_older_than_the_one_in_force_is_refused() -> None:
    newer = CHIEF.sign(msgspec.structs.replace(SETUP, issued_ns=T0_NS + 5))
    older = CHIEF.sign(msgspec.structs.replace(SETUP, issued_ns=T0_NS + 2, why="of yesterday"))
    refused = reasons(FIRST, newer, newer, older)
    assert [offset for offset, _ in refused] == [2, 3]
    assert all("issued_ns must be later than" in reason for _, reason in refused)


def test_a_setup_may_take_a_key_away() -> None:
    without = msgspec.structs.replace(SETUP, issued_ns=T0_NS + 1, keys={CHIEF.key_id: KEYS[CHIEF.key_id]})
    assert [offset for offset, _ in reasons(FIRST, TICK, CHIEF.sign(without), NURSE.sign(admit()))] == [3]


def test_the_first_setup_of_a_log_stands_on_its_own_word_but_not_on_a_strangers() -> None:
    assert reasons(encode(SETUP)) == []
    ((offset, reason),) = reasons(STRANGER.sign(SETUP))
    assert offset == 0
    assert "key must be" in reason


def test_a_signature_for_a_seal_is_none_for_an_input() -> None:
    sealed = decode(CHIEF.seal(encode(msgspec.structs.replace(SETUP, issued_ns=T0_NS + 9))))
    assert isinstance(sealed, Signed)
    with pytest.raises(FrameError, match="signature must be that of key"):
        opened(sealed, SETUP, first=False)


def test_a_frame_or_a_signed_record_cannot_be_signed() -> None:
    inner = decode(NURSE.sign(admit()))
    assert isinstance(inner, Signed)
    nested = Signed(NURSE.key_id, encode(inner), bytes(64))
    with pytest.raises(FrameError, match="body must be a tick, a command or a setup, got 'signed'"):
        opened(nested, UNCONFIGURED, first=True)


@pytest.mark.parametrize(
    ("change", "field"),
    [({"key": "x" * 16}, "key"), ({"signature": bytes(63)}, "signature")],
)
def test_an_envelope_outside_its_limits_names_the_field(change: dict[str, object], field: str) -> None:
    signed = Signed(NURSE.key_id, encode(admit()), bytes(64))
    with pytest.raises(FrameError) as refused:
        check_input(msgspec.structs.replace(signed, **change))
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("keys", "field"),
    [
        ({"0" * 16: PublicKey(NURSE.public.hex(), ("command",))}, "keys"),
        ({NURSE.key_id: PublicKey(NURSE.public.hex()[:-2], ("command",))}, "public"),
    ],
)
def test_a_setup_with_a_wrong_key_names_the_field(keys: dict[str, PublicKey], field: str) -> None:
    with pytest.raises(FrameError) as refused:
        check_input(msgspec.structs.replace(SETUP, keys=keys))
    assert refused.value.field == field


def test_a_signer_is_read_from_a_pem_file_and_other_files_are_named(tmp_path: Path) -> None:
    pem = (Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    good, other, none = tmp_path / "good.pem", tmp_path / "other.pem", tmp_path / "none.pem"
    good.write_bytes(Ed25519PrivateKey.from_private_bytes(bytes([2]) * 32).private_bytes(*pem))
    other.write_bytes(X25519PrivateKey.generate().private_bytes(*pem))
    assert Signer.load(good).key_id == NURSE.key_id
    with pytest.raises(ValueError, match="an Ed25519 key, got another kind"):
        Signer.load(other)
    with pytest.raises(ValueError, match="must name a PEM file"):
        Signer.load(none)
    assert signer_of(None) is None


def test_without_a_signer_an_entry_goes_as_it_is() -> None:
    assert encode_as(admit(), None) == encode(admit())
    assert encode_as(admit(), NURSE) == NURSE.sign(admit())
