"""The two providers as the receiver meets them: what they post, signed with keys of the test's own."""

from __future__ import annotations

import base64
import json
import time
from typing import Any
from urllib.parse import urlencode

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from httpx2 import Response
from starlette.testclient import TestClient
from twilio.request_validator import RequestValidator

from lifecycle.webhook_signatures import SENDGRID_SIGNATURE, SENDGRID_TIMESTAMP, TWILIO_SETTINGS, TWILIO_SIGNATURE

PUBLIC_URL = "http://links.test"
FORM = "application/x-www-form-urlencoded"


class SendGrid:
    """SendGrid with a key pair of its own."""

    def __init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        public = self._key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.public_key = base64.b64encode(public).decode()

    def headers(self, body: bytes, timestamp: str | None = None) -> dict[str, str]:
        """The two headers of a signed body."""
        timestamp = timestamp or str(int(time.time()))
        signature = self._key.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        return {SENDGRID_SIGNATURE: base64.b64encode(signature).decode(), SENDGRID_TIMESTAMP: timestamp}

    def post(self, client: TestClient, events: Any, **headers: str) -> Response:
        """Post events, or a body as it is."""
        body = events if isinstance(events, bytes) else json.dumps(events).encode()
        return client.post("/sendgrid/events", content=body, headers={**self.headers(body), **headers})


class Twilio:
    """Twilio with an auth token of its own."""

    def __init__(self, token: str = "twilio-token") -> None:
        self.token = token

    def signature(self, url: str, fields: dict[str, str], algorithm: str | None = None) -> dict[str, str]:
        """The headers of a signed form."""
        headers = {TWILIO_SIGNATURE: RequestValidator(self.token).compute_signature(url, fields, algorithm)}
        return {**headers, TWILIO_SETTINGS: f"key=webhooks_sharedkey_1,algorithm={algorithm}"} if algorithm else headers

    def post(self, client: TestClient, path: str, fields: dict[str, str], **headers: str) -> Response:
        """Post a form to a path, as signed for the public address."""
        signed = self.signature(f"{PUBLIC_URL}{path}", fields)
        return client.post(path, content=urlencode(fields), headers={"Content-Type": FORM, **signed, **headers})

    def text(self, client: TestClient, body: str, sender: str, sid: str) -> Response:
        """Hand over a text from a person."""
        return self.post(
            client, "/twilio/inbound", {"MessageSid": sid, "From": sender, "To": "+15005550006", "Body": body}
        )
