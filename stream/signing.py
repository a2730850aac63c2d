"""Signatures: who may tick, command, set up and seal; Ed25519, over the very bytes that are in the log.

Trust is in the log as well: the setup in force names the public keys and what each may sign. The first setup of a log
is taken on its own word, unsigned or signed by a key that it names itself; whoever can write the first record of a
topic owns it.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from ecg.frame import SIGNED_AS, Command, FrameError, PublicKey, Setup, Signed, Tick, decode, encode

SEALED_AS = b"vigil.seal.v1\0"
"""Stands before a seal's body in what is signed."""
_ROLES = {Tick: "tick", Command: "command", Setup: "setup"}


def key_id(public: bytes) -> str:
    """Return the id of a public key, given as its 32 bytes."""
    return hashlib.sha256(public).hexdigest()[:16]


class Signer:
    """A private key and what it does.

    Parameters
    ----------
    private : Ed25519PrivateKey
        Whoever holds it can speak in its name.

    Attributes
    ----------
    public : bytes
        The 32 bytes of the public key.
    key_id : str
        Its id, as setups name it.
    """

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = private.public_key().public_bytes_raw()
        self.key_id = key_id(self.public)

    @classmethod
    def load(cls, path: Path) -> Signer:
        """Read a private key from a PEM file (PKCS #8, without a password).

        Raises
        ------
        ValueError
            If the file is not there, or holds no such key; its content is not repeated.
        """
        try:
            private = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise ValueError(f"VIGIL_KEY must name a PEM file with an Ed25519 key, got {path}") from error
        if not isinstance(private, Ed25519PrivateKey):
            raise ValueError(f"VIGIL_KEY must name an Ed25519 key, got another kind in {path}")
        return cls(private)

    def sign(self, entry: Tick | Command | Setup) -> bytes:
        """Return a record of the input topic, encoded and signed."""
        body = encode(entry)
        return encode(Signed(self.key_id, body, self._private.sign(SIGNED_AS + body)))

    def seal(self, body: bytes) -> bytes:
        """Return a seal's body, signed, as it lies in its topic."""
        return encode(Signed(self.key_id, body, self._private.sign(SEALED_AS + body)))


def encode_as(entry: Tick | Command | Setup, signer: Signer | None) -> bytes:
    """Encode a record of the input topic, signed where there is somebody to sign it."""
    return encode(entry) if signer is None else signer.sign(entry)


def signer_of(path: Path | None) -> Signer | None:
    """Return the signer whose key a setting names, if it names one."""
    return None if path is None else Signer.load(path)


def opened(signed: Signed, setup: Setup, *, first: bool) -> Tick | Command | Setup:
    """Return what was signed, once its signature and the role of its key are known to be good.

    Parameters
    ----------
    signed : Signed
        As it came.
    setup : Setup
        In force, which names the keys.
    first : bool
        No setup was given yet: a setup is taken on the word of a key that it names itself.

    Raises
    ------
    FrameError
        If what was signed is no tick, command or setup; if its key is unknown, may not sign such a record, or did not.
    """
    entry = decode(signed.body)
    if not isinstance(entry, Tick | Command | Setup):
        raise FrameError("body", type(entry).__name__.lower(), "a tick, a command or a setup")
    keys = entry.keys if first and isinstance(entry, Setup) else setup.keys
    key, role = keys.get(signed.key), _ROLES[type(entry)]
    if key is None or role not in key.roles:
        raise FrameError("key", signed.key, f"one that the setup in force lets sign a {role}")
    if not is_good(key, SIGNED_AS + signed.body, signed.signature):
        raise FrameError("signature", signed.signature.hex()[:16], f"that of key {signed.key} over this {role}")
    return entry


@functools.lru_cache(maxsize=1024)
def is_good(key: PublicKey, message: bytes, signature: bytes) -> bool:
    """Say whether a signature is a key's over a message; remembered, since one tick goes to every partition."""
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.public)).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
