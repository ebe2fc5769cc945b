"""Whether this user wrote a checkpoint: its pickles run code when they are opened.

A key in the user's configuration folder signs the pickles of every checkpoint that is saved. Who
does not have the key cannot write or change a checkpoint that passes for the user's own.

No Ray, no torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path

VARIABLE = "RLLIB_MMSA_KEY"
_KEY_BYTES = 32
_CHUNK_BYTES = 2**20


def key_file() -> Path:
    """Where the user's key is; ``RLLIB_MMSA_KEY`` says another place, such as a mounted one."""
    if said := os.environ.get(VARIABLE):
        return Path(said).expanduser()
    config = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(config).expanduser() / "rllib-mmsa" / "key"


def of(checkpoint: Path) -> str | None:
    """The seal of a checkpoint's pickles as they are.

    Args:
        checkpoint: Its folder, on this machine.

    Returns:
        Hexadecimal digits; None where there is no key and none can be made.
    """
    key = _key()
    if key is None:
        return None
    signed = hmac.new(key, digestmod=hashlib.sha256)
    for path in sorted(checkpoint.rglob("*.pkl")):
        digest = hashlib.blake2b()
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
        signed.update(path.relative_to(checkpoint).as_posix().encode() + b"\0" + digest.digest())
    return signed.hexdigest()


def of_content(name: str, content: bytes) -> str | None:
    """The seal of one file, which is not that of a file of another name.

    Returns:
        Hexadecimal digits; None where there is no key and none can be made.
    """
    key = _key()
    if key is None:
        return None
    return hmac.new(key, b"file\0" + name.encode() + b"\0" + content, hashlib.sha256).hexdigest()


def fits(checkpoint: Path, seal: object) -> bool:
    """Whether a seal is that of a checkpoint's pickles as they are."""
    found = of(checkpoint) if isinstance(seal, str) else None
    return found is not None and hmac.compare_digest(found.encode(), str(seal).encode())


def _key() -> bytes | None:
    """The user's key, made where there is none; None where that cannot be."""
    path = key_file()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        _make(path)
        key = path.read_bytes()
        return key if len(key) == _KEY_BYTES else None
    return None


def _make(path: Path) -> None:
    """A key that no other process sees half written, and no other user reads."""
    if path.exists():
        return
    aside = path.with_name(f".key.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secrets.token_bytes(_KEY_BYTES))
    try:
        with contextlib.suppress(FileExistsError):  # another process was first
            os.link(aside, path)
    finally:
        aside.unlink()
