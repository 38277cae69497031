"""Signs what the sandbox posts, the way both providers do."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping

from lifecycle.sandbox import keys

SENDGRID_SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
SENDGRID_TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"
TWILIO_SIGNATURE = "X-Twilio-Signature"


def sendgrid_headers(body: bytes, timestamp: int) -> dict[str, str]:
    """SendGrid's: ECDSA over the time and the body, byte for byte."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    signed = keys.sendgrid_private_key().sign(str(timestamp).encode() + body, ec.ECDSA(hashes.SHA256()))
    return {SENDGRID_SIGNATURE: base64.b64encode(signed).decode(), SENDGRID_TIMESTAMP: str(timestamp)}


def twilio_headers(url: str, form: Mapping[str, str]) -> dict[str, str]:
    """Twilio's: HMAC over the public address, query included, and the form's fields in order."""
    signed = url + "".join(name + form[name] for name in sorted(form))
    digest = hmac.new(keys.twilio_auth_token().encode(), signed.encode(), hashlib.sha1).digest()
    return {TWILIO_SIGNATURE: base64.b64encode(digest).decode()}
