"""SMS size (M-01): 160/153 units in GSM-7, 70/67 in UCS-2, and no character split between two parts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lifecycle.sms import JOINED_PART_UNITS, SINGLE_PART_UNITS, SmsSize, measure

GSM_LETTERS = "abcXYZ 0189@£$¥èÇøÅΔΩ\n\r!?§¿äöñüà"
GSM_ESCAPED = "^{}\\[~]|€\f"
ASTRAL = "😀𠮷🎁"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", SmsSize("GSM-7", 0, 0)),
        ("a" * 160, SmsSize("GSM-7", 160, 1)),
        ("a" * 161, SmsSize("GSM-7", 161, 2)),
        ("a" * 306, SmsSize("GSM-7", 306, 2)),
        ("a" * 307, SmsSize("GSM-7", 307, 3)),
        ("a" * 459, SmsSize("GSM-7", 459, 3)),
        ("a" * 460, SmsSize("GSM-7", 460, 4)),
        ("€" * 80, SmsSize("GSM-7", 160, 1)),
        ("€" * 81, SmsSize("GSM-7", 162, 2)),
        # 152 letters leave one unit: the escape sequence does not fit and moves to the second part.
        ("a" * 152 + "€" + "a" * 152, SmsSize("GSM-7", 306, 3)),
        ("愛" * 70, SmsSize("UCS-2", 70, 1)),
        ("愛" * 71, SmsSize("UCS-2", 71, 2)),
        ("愛" * 134, SmsSize("UCS-2", 134, 2)),
        ("愛" * 135, SmsSize("UCS-2", 135, 3)),
        ("😀" * 35, SmsSize("UCS-2", 70, 1)),
        # 67 is odd: one unit of each part stays empty, because half a character is none.
        ("😀" * 67, SmsSize("UCS-2", 134, 3)),
        # A typographic quotation mark turns one part into three.
        ("a" * 159 + "”", SmsSize("UCS-2", 160, 3)),
        ("ç", SmsSize("UCS-2", 1, 1)),
        ("Ç", SmsSize("GSM-7", 1, 1)),
        ("`", SmsSize("UCS-2", 1, 1)),
        ("\x1b", SmsSize("UCS-2", 1, 1)),
        ("\ud83d", SmsSize("UCS-2", 1, 1)),
    ],
)
def test_a_body_is_measured_as_it_is_billed(body: str, expected: SmsSize):
    assert measure(body) == expected


def cut(body: str, two_units: str, room: int) -> list[str]:
    """The body cut as a phone network would: full parts, whole characters."""
    parts, used = [""], 0
    for character in body:
        width = 2 if character in two_units else 1
        if used + width > room:
            parts.append("")
            used = 0
        parts[-1] += character
        used += width
    return parts


@given(st.text(alphabet=GSM_LETTERS + GSM_ESCAPED, min_size=161, max_size=1600))
def test_joined_latin_parts_never_split_an_escape(body: str):
    assert measure(body).parts == len(cut(body, GSM_ESCAPED, 153))


@given(st.text(alphabet="愛é€" + ASTRAL, min_size=71, max_size=700).filter(lambda body: "愛" in body))
def test_joined_unicode_parts_never_split_a_surrogate_pair(body: str):
    assert measure(body).parts == len(cut(body, ASTRAL, 67))


@given(st.text(max_size=1600))
def test_a_single_part_holds_what_fits_and_no_more(body: str):
    size = measure(body)
    assert (size.parts <= 1) == (size.units <= SINGLE_PART_UNITS[size.encoding])


@given(st.text(max_size=1600))
def test_parts_are_never_fewer_than_the_units_need_nor_waste_more_than_one_unit_each(body: str):
    size = measure(body)
    room = JOINED_PART_UNITS[size.encoding]
    if size.parts > 1:
        assert size.units <= size.parts * room
        assert size.units > (size.parts - 1) * (room - 1)


@given(st.text(max_size=300), st.text(max_size=300))
def test_adding_text_never_saves_a_part(body: str, more: str):
    assert measure(body + more).parts >= measure(body).parts


@given(st.text(max_size=500))
def test_units_of_unicode_are_those_of_utf_16(body: str):
    size = measure(body)
    if size.encoding == "UCS-2":
        assert size.units == len(body.encode("utf-16-le", "surrogatepass")) // 2
