"""The keys that the sandbox signs its webhooks with, and that a receiver beside it checks them with.

They lie in one file under `LIFECYCLE_HOME`, made by whoever asks first and readable by its owner only. The real
providers' keys are none of them.
"""

from __future__ import annotations

import base64
import functools
import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from lifecycle import settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

FILE_NAME = "sandbox_keys.json"


def sendgrid_private_key() -> EllipticCurvePrivateKey:
    """What the sandbox signs SendGrid's events with."""
    return _private_key(_keys()["sendgrid_private_key_pem"])


def sendgrid_public_key() -> str:
    """The same key's public half, as SendGrid's settings page shows it: base64 of its DER form."""
    return _keys()["sendgrid_public_key"]


def twilio_auth_token() -> str:
    """What the sandbox signs Twilio's callbacks with.

    The sandbox takes any token from a client, but a receiver must not: this one is nobody's guess.
    """
    return _keys()["twilio_auth_token"]


def _keys() -> dict[str, str]:
    path = settings.home() / FILE_NAME
    if not path.exists():
        _create(path)
    return _read(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _read(path: Path, _changed_at: int) -> dict[str, str]:
    return json.loads(path.read_text(encoding="utf-8"))


def _create(path: Path) -> None:
    """Write new keys beside the place and link them into it: of two that try at once, one wins and both use its keys."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(_new_keys(), file, indent=2)
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _new_keys() -> dict[str, str]:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {
        "sendgrid_private_key_pem": private.decode("ascii"),
        "sendgrid_public_key": base64.b64encode(public).decode("ascii"),
        "twilio_auth_token": secrets.token_hex(16),
    }


@functools.lru_cache(maxsize=8)
def _private_key(pem: str) -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    key = load_pem_private_key(pem.encode("ascii"), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key
