"""How many parts an SMS takes: counted by encoding, after rendering (M-01).

Latin text travels as GSM-7, 160 characters in one part or 153 in each of several. A single letter outside that alphabet
turns the whole message into UCS-2, 70 in one part or 67 in each of several. A character that takes two units is never
split between two parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Encoding = Literal["GSM-7", "UCS-2"]

_GSM_ONE_UNIT = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_TWO_UNITS = frozenset("\f^{}\\[~]|€")
_GSM = _GSM_ONE_UNIT | _GSM_TWO_UNITS
_LAST_UCS2_SINGLE = 0xFFFF

SINGLE_PART_UNITS: dict[Encoding, int] = {"GSM-7": 160, "UCS-2": 70}
JOINED_PART_UNITS: dict[Encoding, int] = {"GSM-7": 153, "UCS-2": 67}


@dataclass(frozen=True)
class SmsSize:
    """What a body costs: its encoding, its length in units of that encoding, and the parts it is billed as."""

    encoding: Encoding
    units: int
    parts: int


def measure(body: str) -> SmsSize:
    """Size of a rendered body (M-01); an empty one has no parts."""
    encoding = encoding_of(body)
    widths = _widths(body, encoding)
    units = sum(widths)
    return SmsSize(encoding, units, _parts(widths, units, encoding))


def encoding_of(body: str) -> Encoding:
    """GSM-7 when every character is in its alphabet, else UCS-2."""
    return "GSM-7" if _GSM.issuperset(body) else "UCS-2"


def _widths(body: str, encoding: Encoding) -> list[int]:
    if encoding == "GSM-7":
        return [2 if character in _GSM_TWO_UNITS else 1 for character in body]
    return [2 if ord(character) > _LAST_UCS2_SINGLE else 1 for character in body]


def _parts(widths: list[int], units: int, encoding: Encoding) -> int:
    if units <= SINGLE_PART_UNITS[encoding]:
        return min(units, 1)
    parts, room = 1, JOINED_PART_UNITS[encoding]
    for width in widths:
        if width > room:
            parts, room = parts + 1, JOINED_PART_UNITS[encoding]
        room -= width
    return parts
