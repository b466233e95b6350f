"""The owner's secret: a key file, and the pseudo-random bytes that follow from a key."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recsec.errors import ConfigError

__all__ = [
    "KEY_BYTES",
    "derive",
    "fingerprint",
    "read_key",
    "seed_of",
    "seed_of_weights",
    "write_key",
]

KEY_BYTES = 32
TEXT = 2 * KEY_BYTES + 1


def write_key(path: Path) -> bytes:
    """Draw a key and write it as one line of hexadecimal digits, for its owner's eyes only.

    The file appears whole, with mode 0600, or not at all; an existing one is never replaced,
    because a lost key is a lost proof.

    Raises:
        ConfigError: the file exists, or the folder cannot be written.
    """
    key = secrets.token_bytes(KEY_BYTES)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(handle, "w") as file:
                file.write(key.hex() + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.link(unfinished, path)  # unlike rename, refuses to replace
        finally:
            unfinished.unlink(missing_ok=True)
    except FileExistsError as error:
        raise ConfigError(
            f"{path} exists already; a key is never overwritten",
            hint="give --out another name, or move the old key to a safe place",
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
    return key


def read_key(path: Path) -> bytes:
    """The key in a file that ``write_key`` made.

    Raises:
        ConfigError: it is missing, others may read it, or it is no key.
    """
    hint = "recsec verify keygen --out KEY makes a key"
    try:
        found = path.stat()
        text = path.read_text(encoding="ascii") if found.st_size <= TEXT else ""
    except OSError as error:
        raise ConfigError(f"cannot read the key {path}: {error.strerror}", hint=hint) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is no key: it is not text", hint=hint) from error
    if os.name == "posix" and stat.S_IMODE(found.st_mode) & 0o077:
        raise ConfigError(
            f"{path} has mode {stat.S_IMODE(found.st_mode):04o}: others may read this key",
            hint=f"chmod 600 {path}, and draw a new key if somebody did",
        )
    digits = text.removesuffix("\n")
    if len(digits) != 2 * KEY_BYTES or set(digits) - set("0123456789abcdef"):
        raise ConfigError(
            f"{path} is no key: expected {2 * KEY_BYTES} hexadecimal digits in one line, found a "
            f"file of {found.st_size} bytes",
            hint=hint,
        )
    return bytes.fromhex(digits)


def fingerprint(key: bytes) -> str:
    """A name for a key that does not reveal it: 16 hexadecimal digits.

    Deposited when the key is put to use, it shows later that the key was not made to fit.
    """
    return hashlib.shake_256(b"recsec fingerprint\0" + key).hexdigest(8)


def derive(keys: Sequence[bytes], label: str, count: int) -> npt.NDArray[np.uint8]:
    """Pseudo-random bytes ``(R, count)``, one row per key; another label gives unrelated bytes.

    SHAKE-256 of label and key: a sponge is a pseudo-random function when its key comes in front
    of everything else, and all inputs of one label have one length here.
    """
    head = b"recsec " + label.encode() + b"\0"
    rows = b"".join(hashlib.shake_256(head + key).digest(count) for key in keys)
    return np.frombuffer(rows, dtype=np.uint8).reshape(len(keys), count)


def seed_of(path: Path | None, label: str) -> int:
    """A seed that follows from the key in a file; 0 without a file.

    Raises:
        ConfigError: the file holds no key.
    """
    if path is None:
        return 0
    return int.from_bytes(derive([read_key(path.expanduser())], label, 7).tobytes(), "big")


def seed_of_weights(state: Mapping[str, Tensor], label: str) -> int:
    """A seed that follows from what a model has learned, which only its owner knows."""
    told = hashlib.shake_256(b"recsec " + label.encode() + b"\0")
    for name in sorted(state):
        told.update(name.encode() + b"\0")
        flat = state[name].detach().cpu().contiguous().flatten()
        told.update(flat.view(torch.uint8).numpy().tobytes())
    return int.from_bytes(told.digest(7), "big")
