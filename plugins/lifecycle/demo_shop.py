"""A shop that never existed, in the import contract: the same (today, customers, seed) writes the same files.

Nothing in it can reach a person: emails are at example.com, .net and .org, phone numbers come from ranges reserved for
fiction or, where a country reserves none, from blocks its numbering plan leaves unassigned.
"""

from __future__ import annotations

import csv
import json
import math
import random
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from lifecycle.contract import TABLES

Row = dict[str, Any]

_DAYS = 730
_CURRENCY = "GBP"
_SITE = "https://shop.example"


@dataclass(frozen=True)
class _Home:
    """Where some of the customers live."""

    share: float
    country: str
    faker_locale: str
    locale: str
    timezone: str
    # Numbers are this prefix and a counter of so many digits.
    phone_prefixes: tuple[str, ...]
    phone_digits: int


_US_AREAS = ("202", "206", "212", "303", "312", "404", "415", "512", "617", "702")
_HOMES = (
    _Home(0.19, "United Kingdom", "en_GB", "en", "Europe/London", ("+447700900",), 3),
    _Home(0.16, "France", "fr_FR", "fr", "Europe/Paris", ("+3363998",), 4),
    _Home(0.15, "Japan", "ja_JP", "ja", "Asia/Tokyo", ("+819000",), 6),
    _Home(0.14, "Germany", "de_DE", "de", "Europe/Berlin", ("+49154000",), 5),
    _Home(0.12, "United States", "en_US", "en", "America/New_York", tuple(f"+1{area}55501" for area in _US_AREAS), 2),
    _Home(0.12, "Italy", "it_IT", "it", "Europe/Rome", ("+393000",), 6),
    _Home(0.12, "Spain", "es_ES", "es", "Europe/Madrid", ("+34799999",), 3),
)

# Category -> its lines, and its products with the price of the plain line in cents.
_RANGE: dict[str, tuple[tuple[str, str], dict[str, int]]] = {
    "Skin care": (("Calm", "Glow"), {"Face Cream": 2400, "Cleanser": 1450, "Serum": 3200, "Hand Balm": 950}),
    "Hair care": (("Repair", "Volume"), {"Shampoo": 1100, "Conditioner": 1150, "Hair Mask": 1800, "Hair Oil": 2100}),
    "Tea": (("Garden", "Night"), {"Green Tea": 850, "Black Tea": 800, "Rooibos": 790, "Tea Sampler": 1900}),
    "Candles": (("Forest", "Harbour"), {"Small Candle": 1400, "Large Candle": 2800, "Diffuser": 3100}),
    "Kitchen": (("Oak", "Stone"), {"Chopping Board": 2600, "Salt Pot": 1300, "Mug": 1050, "Serving Bowl": 2900}),
    "Baby": (("Cloud", "Meadow"), {"Blanket": 3400, "Bath Foam": 750, "Bodysuit": 1600, "Rattle": 900}),
    "Pets": (("City", "Trail"), {"Dog Treats": 650, "Cat Treats": 620, "Lead": 1750, "Pet Bed": 4800}),
    "Stationery": (("Ink", "Press"), {"Notebook": 1250, "Pen Set": 2200, "Greeting Cards": 980}),
}
_REVIEWS = {
    5: (("Love it", "Exactly what I hoped for."), ("Wonderful", "My second order, and not the last.")),
    4: (("Very good", "Lovely quality, the parcel took a while."), ("Nice", "Would buy again.")),
    3: (("All right", "Does what it says, no more."),),
    2: (("Hm", "Smaller than it looks in the pictures."),),
    1: (("Disappointed", "Arrived damaged."),),
}
_CAMPAIGNS = (("newsletter", "email"), ("google", "cpc"), ("instagram", "social"))


@dataclass
class _Person:
    """A customer and when they were active."""

    customer_id: str
    home: _Home
    signed_up_at: datetime
    last_at: datetime
    orders: list[datetime]
    visits: list[datetime]
    family_name: str = ""
    first_name: str = ""
    phone: str = ""


def write_demo_shop(folder: Path, *, today: date, customers: int = 5000, seed: int = 7) -> None:
    """Write two years of a shop, up to the day before `today`, as CSV files into `folder`."""
    chance = random.Random(f"{seed}/{customers}")
    folder.mkdir(parents=True, exist_ok=True)
    midnight = datetime(today.year, today.month, today.day, tzinfo=timezone.utc)
    people = _people(chance, midnight, customers)
    products = _products(chance, midnight)
    orders, items = _orders_and_items(chance, midnight, people, products)
    _write(folder, "customers", _customers(chance, midnight, people, seed))
    _write(folder, "products", products)
    _write(folder, "orders", orders)
    _write(folder, "order_items", items)
    _write(folder, "refunds", _refunds(chance, midnight, orders))
    _write(folder, "reviews", _reviews(chance, midnight, orders))
    _write(folder, "page_views", _page_views(chance, people, products))
    _write(folder, "carts", _carts(chance, people, products))
    _write(folder, "dependants", _dependants(chance, today, people, seed))
    _write(folder, "events", _events(chance, people, products))


def _write(folder: Path, name: str, rows: Iterable[Row]) -> None:
    table = next(table for table in TABLES if table.name == name)
    fields = [column.name for column in table.columns]
    with (folder / table.file_name).open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(fields)
        writer.writerows([_text(row.get(field)) for field in fields] for row in rows)


def _text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime | date) else value


def _by_time(rows: Iterable[Row], column: str) -> list[Row]:
    return sorted(rows, key=lambda row: row[column])


# People and when they were active


def _people(chance: random.Random, midnight: datetime, count: int) -> list[_Person]:
    silences = [_days_silent((index + 0.5) / count) for index in range(count)]
    chance.shuffle(silences)
    people = [_person(chance, midnight, silent) for silent in silences]
    people.sort(key=lambda person: person.signed_up_at)
    for number, person in enumerate(people, 1):
        person.customer_id = f"C{number:05}"
    return people


def _days_silent(position: float) -> int:
    """How long ago somebody was last seen, spread so that every day of the past two years has its share.

    Two in five were seen in the last four weeks; the others thin out slowly, so that each day about 14 in 5,000 turn 60
    days silent.
    """
    if position < 0.38:
        return 1 + int(29 * position / 0.38)
    fade, last = 200.0, _DAYS - 30.0
    tail = (position - 0.38) / 0.62 * (1 - math.exp(-(last - 30) / fade))
    return int(30 - fade * math.log(1 - tail))


def _person(chance: random.Random, midnight: datetime, silent: int) -> _Person:
    last_at = _daytime(chance, midnight, silent)
    age = silent + int((_DAYS - 1 - silent) * chance.random())
    signed_up_at = _daytime(chance, midnight, age) if age > silent else last_at - timedelta(minutes=40)
    between = sorted(
        _daytime(chance, midnight, chance.randint(silent + 1, age)) for _ in range(_activity(chance, age - silent))
    )
    times = [time for time in between if time > signed_up_at]
    orders = [time for time in times if chance.random() < 0.45]
    visits = [time for time in times if time not in orders]
    (orders if chance.random() < 0.72 else visits).append(last_at)
    home = chance.choices(_HOMES, [home.share for home in _HOMES])[0]
    return _Person("", home, signed_up_at, last_at, orders, visits)


def _activity(chance: random.Random, span: int) -> int:
    """How often somebody came by between signing up and the last time."""
    return min(40, int(chance.expovariate(1.0) * span / 45)) if span > 0 else 0


def _daytime(chance: random.Random, midnight: datetime, days_ago: int) -> datetime:
    """A moment between 8 and 21 o'clock UTC, so that the day is the same all over Europe."""
    return midnight - timedelta(days=days_ago) + timedelta(seconds=chance.randrange(8 * 3600, 21 * 3600))


# Customers


@dataclass(frozen=True)
class _Names:
    """Enough names of a language to mix; asking Faker for each customer would take too long."""

    first: tuple[tuple[str, str], ...]
    last: tuple[tuple[str, str], ...]
    cities: tuple[str, ...]


def _names(faker_locale: str, seed: int) -> _Names:
    from faker import Faker

    fake = Faker(faker_locale)
    fake.seed_instance(seed)
    if faker_locale == "ja_JP":
        first = [tuple(fake.first_name_pair()) for _ in range(200)]
        last = [tuple(fake.last_name_pair()) for _ in range(200)]
        return _Names(
            tuple((pair[0], pair[2]) for pair in first),
            tuple((pair[0], pair[2]) for pair in last),
            tuple(fake.city() for _ in range(40)),
        )
    return _Names(
        tuple((name, name) for name in (fake.first_name() for _ in range(200))),
        tuple((name, name) for name in (fake.last_name() for _ in range(200))),
        tuple(fake.city() for _ in range(40)),
    )


def _all_names(seed: int) -> dict[str, _Names]:
    return {home.faker_locale: _names(home.faker_locale, seed) for home in _HOMES}


def _customers(chance: random.Random, midnight: datetime, people: list[_Person], seed: int) -> list[Row]:
    names = _all_names(seed)
    phones = {home.country: _phones(home) for home in _HOMES}
    rows: list[Row] = []
    housemates: dict[str, Row] = {}
    for person in people:
        row = _customer(chance, midnight, person, names[person.home.faker_locale])
        _give_phone(chance, row, phones[person.home.country], housemates.get(person.home.country))
        if rows and chance.random() < 0.05:
            row["referred_by"] = chance.choice(rows)["customer_id"]
        housemates[person.home.country] = row
        rows.append(row)
    return rows


def _customer(chance: random.Random, midnight: datetime, person: _Person, names: _Names) -> Row:
    first, first_ascii = chance.choice(names.first)
    last, last_ascii = chance.choice(names.last)
    domain = chance.choice(("example.com", "example.org", "example.net"))
    return {
        "customer_id": person.customer_id,
        "signed_up_at": person.signed_up_at,
        "email": f"{_ascii(first_ascii)}.{_ascii(last_ascii)}.{person.customer_id[1:].lstrip('0')}@{domain}",
        "first_name": first,
        "last_name": last,
        "country": person.home.country,
        "city": chance.choice(names.cities),
        "locale": person.home.locale,
        "timezone": person.home.timezone,
        "birthday": _birthday(chance) if chance.random() < 0.8 else None,
        "email_opt_in_at": _opt_in(chance, midnight, person, 0.85),
        "sms_opt_in_at": _opt_in(chance, midnight, person, 0.70),
    }


def _give_phone(chance: random.Random, row: Row, phones: Iterator[str], housemate: Row | None) -> None:
    """A number of one's own, now and then the one of a housemate, or none."""
    draw = chance.random()
    if draw < 0.02 and housemate and housemate.get("phone"):
        row["phone"], row["last_name"] = housemate["phone"], housemate["last_name"]
    elif draw < 0.97:
        row["phone"] = next(phones)


def _phones(home: _Home) -> Iterator[str]:
    """Every number of the country's range, from the start again when they are used up."""
    while True:
        for number in range(10**home.phone_digits):
            for prefix in home.phone_prefixes:
                yield f"{prefix}{number:0{home.phone_digits}}"


def _ascii(name: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z]", "", plain) or "customer"


def _birthday(chance: random.Random) -> date:
    return date(1946, 1, 1) + timedelta(days=chance.randrange(60 * 365))


def _opt_in(chance: random.Random, midnight: datetime, person: _Person, share: float) -> datetime | None:
    """Most agree when they sign up, some later; never after yesterday."""
    if chance.random() >= share:
        return None
    if chance.random() < 0.9:
        return person.signed_up_at
    later = person.signed_up_at + (person.last_at - person.signed_up_at) * chance.random()
    return min(later.replace(microsecond=0), midnight - timedelta(seconds=1))


# Products, orders and what follows them


def _products(chance: random.Random, midnight: datetime) -> list[Row]:
    rows: list[Row] = []
    for category, (lines, products) in _RANGE.items():
        for line in lines:
            for name, price in products.items():
                row = _product(len(rows) + 1, category, line, name, price + (200 if line == lines[1] else 0))
                row["in_stock"] = "false" if chance.random() < 0.06 else "true"
                rows.append(row)
    # Some of the range is new, two products so new that a launch journey finds them.
    for row, days in zip(chance.sample(rows, 8), (3, 12, 25, 60, 95, 150, 240, 330), strict=True):
        row["launched_at"] = midnight - timedelta(days=days) + timedelta(hours=9)
    return rows


def _product(number: int, category: str, line: str, name: str, price: int) -> Row:
    slug = f"{line} {name}".lower().replace(" ", "-")
    return {
        "product_id": f"P{number:03}",
        "name": f"{line} {name}",
        "category": category,
        "line": line,
        "url": f"{_SITE}/p/{slug}",
        "image_url": f"{_SITE}/images/{slug}.jpg",
        "price": _money(price),
        "currency": _CURRENCY,
        "cents": price,
    }


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


def _orders_and_items(
    chance: random.Random, midnight: datetime, people: list[_Person], products: list[Row]
) -> tuple[list[Row], list[Row]]:
    placed = sorted(
        ((ordered_at, person) for person in people for ordered_at in person.orders),
        key=lambda pair: (pair[0], pair[1].customer_id),
    )
    orders: list[Row] = []
    items: list[Row] = []
    for number, (ordered_at, person) in enumerate(placed, 1):
        lines = _items(chance, f"O{number:06}", ordered_at, products)
        total = sum(line["cents"] * line["quantity"] for line in lines)
        orders.append(_order(chance, midnight, person, ordered_at, f"O{number:06}", total))
        items.extend(lines)
    return orders, items


def _items(chance: random.Random, order_id: str, ordered_at: datetime, products: list[Row]) -> list[Row]:
    chosen = chance.sample(products, chance.choices((1, 2, 3, 4), (45, 30, 17, 8))[0])
    sold = [product for product in chosen if _is_launched(product, ordered_at)] or [products[0]]
    return [
        {
            "order_id": order_id,
            "line": line,
            "product_id": product["product_id"],
            "quantity": chance.choices((1, 2, 3), (80, 16, 4))[0],
            "unit_price": product["price"],
            "cents": product["cents"],
        }
        for line, product in enumerate(sold, 1)
    ]


def _is_launched(product: Row, at: datetime) -> bool:
    return "launched_at" not in product or product["launched_at"] < at


def _order(
    chance: random.Random, midnight: datetime, person: _Person, ordered_at: datetime, order_id: str, total: int
) -> Row:
    row: Row = {
        "order_id": order_id,
        "customer_id": person.customer_id,
        "ordered_at": ordered_at,
        "total": _money(total),
        "currency": _CURRENCY,
        "cents": total,
    }
    if chance.random() < 0.03:
        row["cancelled_at"] = _if_past(midnight, ordered_at + timedelta(hours=chance.randint(1, 20)))
        return row
    shipped_at = ordered_at + timedelta(hours=chance.randint(16, 48))
    row["shipped_at"] = _if_past(midnight, shipped_at)
    row["delivered_at"] = _if_past(midnight, shipped_at + timedelta(hours=chance.randint(24, 120)))
    return row


def _if_past(midnight: datetime, moment: datetime) -> datetime | None:
    return moment if moment < midnight else None


def _refunds(chance: random.Random, midnight: datetime, orders: list[Row]) -> list[Row]:
    rows: list[Row] = []
    for order in orders:
        delivered_at = order.get("delivered_at")
        if not delivered_at or chance.random() >= 0.04:
            continue
        refunded_at = delivered_at + timedelta(hours=chance.randint(30, 400))
        if refunded_at < midnight:
            cents = order["cents"] if chance.random() < 0.6 else order["cents"] // 2
            rows.append(_refund(order, refunded_at, cents))
    return _by_time(rows, "refunded_at")


def _refund(order: Row, refunded_at: datetime, cents: int) -> Row:
    return {
        "refund_id": f"R{order['order_id'][1:]}",
        "customer_id": order["customer_id"],
        "order_id": order["order_id"],
        "refunded_at": refunded_at,
        "amount": _money(cents),
        "currency": _CURRENCY,
    }


def _reviews(chance: random.Random, midnight: datetime, orders: list[Row]) -> list[Row]:
    rows: list[Row] = []
    for order in orders:
        delivered_at = order.get("delivered_at")
        if not delivered_at or chance.random() >= 0.12:
            continue
        reviewed_at = delivered_at + timedelta(hours=chance.randint(40, 500))
        if reviewed_at < midnight:
            rows.append(_review(chance, order, reviewed_at))
    return _by_time(rows, "reviewed_at")


def _review(chance: random.Random, order: Row, reviewed_at: datetime) -> Row:
    rating = chance.choices((5, 4, 3, 2, 1), (48, 28, 12, 6, 6))[0]
    title, body = chance.choice(_REVIEWS[rating])
    return {
        "review_id": f"V{order['order_id'][1:]}",
        "customer_id": order["customer_id"],
        "order_id": order["order_id"],
        "rating": rating,
        "reviewed_at": reviewed_at,
        "title": title,
        "body": body,
    }


# What happens on the site


def _page_views(chance: random.Random, people: list[_Person], products: list[Row]) -> list[Row]:
    rows: list[Row] = []
    for number, person in enumerate(people, 1):
        for ordered_at in person.orders:
            rows.append(
                _page_view(chance, person, ordered_at - timedelta(minutes=chance.randint(2, 30)), number, products)
            )
        for visited_at in person.visits:
            rows.append(_page_view(chance, person, visited_at, number, products))
            # Not logged in yet a minute before.
            if chance.random() < 0.3:
                rows.append(_page_view(chance, None, visited_at - timedelta(minutes=1), number, products))
    return _by_time(rows, "viewed_at")


def _page_view(
    chance: random.Random, person: _Person | None, viewed_at: datetime, number: int, products: list[Row]
) -> Row:
    product = chance.choice(products)
    row: Row = {
        "viewed_at": viewed_at,
        "url": product["url"],
        "customer_id": person.customer_id if person else None,
        "visitor_id": f"visitor-{number:05}",
        "product_id": product["product_id"],
    }
    if chance.random() < 0.25:
        row["utm_source"], row["utm_medium"] = chance.choice(_CAMPAIGNS)
        row["utm_campaign"] = f"{viewed_at:%B}-{product['line']}".lower()
    return row


def _carts(chance: random.Random, people: list[_Person], products: list[Row]) -> list[Row]:
    rows: list[Row] = []
    for person in people:
        if chance.random() < 0.3:
            ordered = bool(person.orders) and person.orders[-1] == person.last_at
            checked_out_at = person.last_at if ordered else None
            updated_at = person.last_at - timedelta(minutes=1 if ordered else 0)
            rows.append(_cart(chance, person, updated_at, checked_out_at, products))
    return _by_time(rows, "updated_at")


def _cart(
    chance: random.Random, person: _Person, updated_at: datetime, checked_out_at: datetime | None, products: list[Row]
) -> Row:
    chosen = chance.sample(products, chance.randint(1, 3))
    items = [
        {"product_id": product["product_id"], "name": product["name"], "quantity": 1, "unit_price": product["price"]}
        for product in chosen
    ]
    return {
        "cart_id": f"K{person.customer_id[1:]}",
        "customer_id": person.customer_id,
        "updated_at": updated_at,
        "items": json.dumps(items),
        "checked_out_at": checked_out_at,
    }


def _dependants(chance: random.Random, today: date, people: list[_Person], seed: int) -> list[Row]:
    names = _all_names(seed)
    rows: list[Row] = []
    for person in people:
        if chance.random() >= 0.2:
            continue
        pool = sorted({name for name, _ in names[person.home.faker_locale].first})
        for name in chance.sample(pool, chance.choice((1, 1, 2))):
            birthday = today - timedelta(days=chance.randint(30, 14 * 365))
            rows.append({"customer_id": person.customer_id, "name": name, "birthday": birthday})
    return rows


def _events(chance: random.Random, people: list[_Person], products: list[Row]) -> list[Row]:
    rows: list[Row] = []
    for person in people:
        if person.visits and chance.random() < 0.15:
            product = chance.choice(products)
            rows.append(
                {
                    "event_id": f"E{person.customer_id[1:]}",
                    "customer_id": person.customer_id,
                    "name": "wishlist_added",
                    "occurred_at": chance.choice(person.visits),
                    "properties": json.dumps({"product_id": product["product_id"], "name": product["name"]}),
                }
            )
    return _by_time(rows, "occurred_at")
