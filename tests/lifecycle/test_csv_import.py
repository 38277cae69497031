"""What the CSV import takes, and the one line it answers to everything else."""

from __future__ import annotations

import csv
import gzip
import io
import shutil
from datetime import date, datetime, timezone
from pathlib import Path

import pytest

from lifecycle import csv_addresses, csv_values, database
from lifecycle.contract import TABLES
from lifecycle.csv_import import ImportSummary, import_folder
from lifecycle.errors import LifecycleError

SMALL_SHOP = Path(__file__).parent / "csv_import" / "shop"
UCI = Path(__file__).parents[3] / "shared" / "data" / "uci"

pytestmark = pytest.mark.usefixtures("database_url")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the small shop that a test may spoil; errors name it as `shop`."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SMALL_SHOP, tmp_path / "shop")
    return Path("shop")


@pytest.fixture
def loaded() -> ImportSummary:
    """The small shop in the database."""
    return import_folder(SMALL_SHOP, replace=True)


def stored(statement: str) -> list[tuple[object, ...]]:
    with database.transaction() as connection:
        return list(database.driver(connection).execute(statement.encode()).fetchall())


def everything() -> list[list[tuple[object, ...]]]:
    return [stored(f"select * from imported.{table.name} order by 1, 2") for table in TABLES]


def refusal(folder: Path) -> str:
    """The line the import answers with; whatever was in the database must still be there."""
    before = everything()
    with pytest.raises(LifecycleError) as caught:
        import_folder(folder, replace=True)
    assert everything() == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def set_value(folder: Path, table: str, column: str, value: str) -> None:
    """Write `value` into the first row of a file."""
    path = folder / f"{table}.csv"
    rows = list(csv.reader(io.StringIO(path.read_text(), newline="")))
    rows[1][rows[0].index(column)] = value
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)


# What is taken


def test_every_file_of_the_small_shop_is_loaded(loaded: ImportSummary) -> None:
    assert loaded.rows == {
        "customers": 4,
        "products": 2,
        "orders": 3,
        "order_items": 5,
        "refunds": 2,
        "reviews": 1,
        "page_views": 2,
        "carts": 1,
        "dependants": 1,
        "events": 2,
    }
    assert loaded.newest_at == datetime(2025, 12, 22, 23, 30, tzinfo=timezone.utc)
    assert loaded.shifted_days == 0


@pytest.mark.usefixtures("loaded")
def test_customers_are_stored_in_one_spelling() -> None:
    assert stored("select customer_id, email, phone, locale, city from imported.customers order by 1") == [
        ("1", "aiko@example.com", "+819012345678", "ja", "東京"),
        ("2", "Marie.Curie@example.org", "+33639980001", "fr-FR", "Paris"),
        ("3", None, "+447700900123", "en", "Stow-on-\nthe-Wold"),
        ("4", "aiko@example.com", "+33639980001", None, None),
    ]


@pytest.mark.usefixtures("loaded")
def test_money_is_stored_in_hundredths_in_every_currency() -> None:
    assert stored("select order_id, total_cents from imported.orders order by 1") == [
        ("A-1", 2220),
        ("A-2", 700),
        ("A-3", 120000),
    ]
    assert stored("select unit_price_cents from imported.order_items order by order_id, line") == [
        (1060,),
        (0,),
        (-100,),
        (700,),
        (120000,),
    ]


@pytest.mark.usefixtures("loaded")
def test_text_arrives_as_it_was_written() -> None:
    assert stored("select body from imported.reviews") == [('First line\n\\.\nA "third" line',)]
    assert stored("select name from imported.products where product_id = 'mug'") == [('Mug, 5" high',)]


def test_compressed_files_a_byte_order_mark_and_windows_line_ends_are_taken(shop: Path) -> None:
    orders = (shop / "orders.csv").read_bytes()
    (shop / "orders.csv").unlink()
    (shop / "orders.csv.gz").write_bytes(gzip.compress(orders))
    carts = (shop / "carts.csv").read_bytes()
    (shop / "carts.csv").write_bytes(b"\xef\xbb\xbf" + carts.replace(b"\n", b"\r\n") + b"\r\n\r\n")
    summary = import_folder(shop, replace=True)
    assert (summary.rows["orders"], summary.rows["carts"]) == (3, 1)


def test_only_customers_and_orders_are_required(shop: Path) -> None:
    for path in shop.iterdir():
        if path.name not in ("customers.csv", "orders.csv"):
            path.unlink()
    summary = import_folder(shop, replace=True)
    assert sum(summary.rows.values()) == 7


def test_optional_columns_may_be_absent_and_columns_may_stand_in_any_order(shop: Path) -> None:
    (shop / "orders.csv").write_text(
        "total,ordered_at,order_id,currency,customer_id\n1.5,2025-12-01T00:00Z,A-1,GBP,1\n"
    )
    for name in ("order_items", "refunds", "reviews"):
        (shop / f"{name}.csv").unlink()
    import_folder(shop, replace=True)
    assert stored("select customer_id, total_cents, delivered_at from imported.orders") == [("1", 150, None)]


def test_files_outside_the_contract_are_left_alone_and_named(shop: Path) -> None:
    (shop / "warehouses.csv").write_text("a,b\n")
    (shop / "README.md").write_text("hello")
    assert import_folder(shop, replace=True).ignored == ("warehouses.csv",)


def test_a_second_import_asks_for_replace(shop: Path) -> None:
    import_folder(shop, replace=True)
    before = everything()
    with pytest.raises(
        LifecycleError, match=r"^There are imported rows already \(customers, .*Replace them with --replace"
    ):
        import_folder(shop, replace=False)
    assert everything() == before


def test_replacing_removes_what_the_new_folder_does_not_have(shop: Path) -> None:
    import_folder(shop, replace=True)
    (shop / "events.csv").unlink()
    assert import_folder(shop, replace=True).rows["events"] == 0
    assert stored("select count(*) from imported.events") == [(0,)]


def test_shifting_moves_every_time_so_that_the_newest_fact_is_yesterday(shop: Path) -> None:
    summary = import_folder(shop, replace=True, shift_to_today=True, today=date(2026, 3, 29))
    # From 22 December 23:30 UTC to 28 March 23:30 UTC, across the night the clocks change.
    assert summary.shifted_days == 96
    assert summary.newest_at == datetime(2026, 3, 28, 23, 30, tzinfo=timezone.utc)
    rows = stored("select ordered_at, delivered_at from imported.orders where order_id = 'A-1'")
    assert rows == [
        (datetime(2026, 2, 7, 9, 5, tzinfo=timezone.utc), datetime(2026, 2, 10, 15, 0, tzinfo=timezone.utc)),
    ]


def test_shifting_leaves_birthdays_alone_and_no_announced_product_counts_as_the_newest_fact(shop: Path) -> None:
    import_folder(shop, replace=True, shift_to_today=True, today=date(2026, 3, 29))
    assert stored("select birthday from imported.customers where customer_id = '3'") == [(date(1996, 2, 29),)]
    assert stored("select birthday from imported.dependants") == [(date(2022, 4, 1),)]
    assert stored("select launched_at::date::text from imported.products where product_id = 'tea'") == [("2026-06-05",)]


@pytest.mark.skipif(not UCI.is_dir(), reason="the UCI shop is not beside this checkout")
def test_a_real_shop_is_loaded_whole() -> None:
    rows = import_folder(UCI, replace=True).rows
    assert rows["customers"] == 4372
    assert rows["orders"] == 18536
    assert rows["refunds"] == 3654
    assert rows["order_items"] == 397924
    assert rows["products"] == 3665
    assert stored("select count(distinct phone), min(phone), max(phone) from imported.customers") == [
        (4372, "+33639980000", "+33639984371")
    ]


# Values that are refused: (file, column, value, what the line says after `shop/FILE.csv:2: COLUMN `)

TIME_HINT = "Write it like 2026-02-01T09:30:00+00:00."
PHONE_HINT = "Write it like +447700900123, or leave it empty."
EMAIL_HINT = "Write one bare address such as aiko@example.com, or leave it empty."

BAD_VALUES = [
    ("orders", "ordered_at", "", "is empty. Every row needs a value here."),
    ("orders", "ordered_at", "01/02/2026", f"'01/02/2026' may be 2026-02-01 or 2026-01-02. Write the year first, like {TIME_HINT[14:]}"),
    ("orders", "ordered_at", "46023", f"'46023' is a spreadsheet's day number. It means 2026-01-01; w{TIME_HINT[1:]}"),
    ("orders", "ordered_at", "1770000000", f"'1770000000' looks like a count of seconds since 1970. {TIME_HINT}"),
    ("orders", "ordered_at", "2026-02-01T09:30:00", "'2026-02-01T09:30:00' has no offset from UTC. Write it like 2026-02-01T09:30:00+00:00."),
    ("orders", "ordered_at", "2026-02-01", "'2026-02-01' is a date without a time. Write it like 2026-02-01T00:00:00+00:00."),
    ("orders", "ordered_at", "2026-02-30T09:30:00Z", "'2026-02-30T09:30:00Z' does not exist. Correct the day or the hour."),
    ("orders", "ordered_at", "2026-02-01T09:30:00+99:00", f"'2026-02-01T09:30:00+99:00' is no time. {TIME_HINT}"),
    ("orders", "ordered_at", "infinity", f"'infinity' is no time. {TIME_HINT}"),
    ("orders", "ordered_at", "0001-01-01T00:00:00Z", "'0001-01-01T00:00:00Z' is in the year 1. Years from 1900 to 2200 are accepted."),
    ("orders", "ordered_at", "9999-12-31T00:00:00Z", "'9999-12-31T00:00:00Z' is in the year 9999. Years from 1900 to 2200 are accepted."),
    ("customers", "email_opt_in_at", "yes", f"'yes' is no time. {TIME_HINT}"),
    ("customers", "birthday", "28.02.1990", "'28.02.1990' may be 1990-02-28 or 1990-28-02. Write the year first, like 1990-02-28."),
    ("customers", "birthday", "1990-02-30", "'1990-02-30' does not exist. Correct the day."),
    ("customers", "birthday", "1990-02-28T00:00:00Z", "'1990-02-28T00:00:00Z' is a time, not a date. Write 1990-02-28."),
    ("orders", "total", "1.234,50", "'1.234,50' is no plain decimal. Write it like 1234.50."),
    ("orders", "total", "22,20", "'22,20' is no plain decimal. Write it like 22.20."),
    ("orders", "total", "NaN", "'NaN' is no amount. Write a plain decimal such as 22.20."),
    ("orders", "total", "£5", "'£5' is no amount. Write a plain decimal such as 22.20."),
    ("orders", "total", "22.205", "'22.205' has more than 2 decimals. Round it, or correct the amount."),
    ("orders", "total", "1.2E+3", "'1.2E+3' was rounded by a spreadsheet. Export the column as plain numbers."),
    ("orders", "total", "-22.20", "'-22.20' is negative. The smallest value here is 0."),
    ("orders", "total", "99999999999999", "'99999999999999' is too large. Amounts have at most 13 digits before the point."),
    ("refunds", "amount", "-10.60", "'-10.60' is negative. The smallest value here is 0."),
    ("order_items", "quantity", "-2", "'-2' is negative. The smallest value here is 0."),
    ("order_items", "quantity", "2.0", "'2.0' has decimals. Write 2."),
    ("order_items", "quantity", "two", "'two' is no whole number. Write digits only, such as 3."),
    ("order_items", "line", "99999999999", "'99999999999' is too large. The largest whole number is 2147483647."),
    ("reviews", "rating", "6", "'6' is above 5. The largest value here is 5."),
    ("reviews", "rating", "0", "'0' is below 1. The smallest value here is 1."),
    ("orders", "currency", "gbp", "'gbp' is no currency code. Write 'GBP'."),
    ("orders", "currency", "£", "'£' is no currency code. Write three capital letters such as GBP."),
    ("products", "in_stock", "maybe", "'maybe' is neither true nor false. Write true or false."),
    ("orders", "order_id", " A-1", "' A-1' has spaces around it. Remove them, here and wherever the id is used."),
    ("orders", "order_id", "1.2E+11", "'1.2E+11' was rounded by a spreadsheet. Export the column as text."),
    ("orders", "order_id", "x" * 201, "is 201 characters long. An id has at most 200."),
    ("customers", "timezone", "Asia/Calcuta", "'Asia/Calcuta' is no time zone. Write 'Asia/Calcutta'."),
    ("customers", "timezone", "+9", "'+9' is no time zone. Write an IANA name such as Europe/London."),
    ("customers", "locale", "Japanese (Japan)", "'Japanese (Japan)' is no locale. Write a language such as en, ja or pt-BR."),
    ("carts", "items", "[{'a': 1}]", '"[{\'a\': 1}]" is no JSON: Expecting property name enclosed in double quotes: line 1 column 3 (char 2). Correct it; quotes inside CSV are doubled.'),
    ("carts", "items", "{}", "'{}' is no JSON list. Write it like [{\"product_id\": \"P1\", \"quantity\": 2}]."),
    ("events", "properties", "[]", "'[]' is no JSON object. Write it like {\"colour\": \"red\"}."),
    ("events", "properties", '{"a": NaN}', "'{\"a\": NaN}' is no JSON: NaN is not allowed. Correct it; quotes inside CSV are doubled."),
    ("events", "properties", '{"a": "\\u0000"}', "'{\"a\": \"\\\\u0000\"}' holds a NUL character. Remove it."),
    ("events", "properties", '{"a": "\\ud800"}', "'{\"a\": \"\\\\ud800\"}' holds half a surrogate pair. Write the character itself."),
    ("events", "properties", '{"a":' * 9000 + "1" + "}" * 9000, "is JSON nested too deeply. Flatten it."),
    ("customers", "phone", "3.93471E+11", "'3.93471E+11' was rounded by a spreadsheet. Export the column as text: digits are lost."),
    ("customers", "phone", "393471234567.0", "'393471234567.0' is a number with decimals. Export the column as text: 393471234567."),
    ("customers", "phone", "+393471234567\n", "'+393471234567\\n' has spaces or line ends around it. Remove them."),
    ("customers", "phone", "+393471234567 ext 5", "'+393471234567 ext 5' has an extension. No SMS reaches an extension; leave it empty."),
    ("customers", "phone", "+393471234567#5", "'+393471234567#5' has an extension. No SMS reaches an extension; leave it empty."),
    ("customers", "phone", "+19005550123", "'+19005550123' is a premium-rate number. It is nobody's phone; leave it empty."),
    ("customers", "phone", "+18005550123", "'+18005550123' is a toll-free number. It is nobody's phone; leave it empty."),
    ("customers", "phone", "12345", f"'12345' is a short code or too short. {PHONE_HINT}"),
    ("customers", "phone", "+4477009001234", f"'+4477009001234' has the wrong length for its country. {PHONE_HINT}"),
    ("customers", "phone", "+9991234567", f"'+9991234567' is no phone number. {PHONE_HINT}"),
    ("customers", "phone", "none", f"'none' is no phone number. {PHONE_HINT}"),
    ("customers", "phone", "07700 900123", f"'07700 900123' is no number in use in Japan. {PHONE_HINT}"),
    ("customers", "email", "Aiko <aiko@example.com>", f"'Aiko <aiko@example.com>' is no email address: A display name and angle brackets around the email address are not permitted here. {EMAIL_HINT}"),
    ("customers", "email", "a@example.com, b@example.com", f"'a@example.com, b@example.com' is no email address: The part after the @-sign contains invalid characters: ',', '@', SPACE. {EMAIL_HINT}"),
    ("customers", "email", "aiko@example.com\nBcc: x@example.com", f"'aiko@example.com\\nBcc: x@example.com' is no email address: The part after the @-sign contains invalid characters: ':', '@', SPACE, U+000A. {EMAIL_HINT}"),
    ("customers", "email", "x" * 65 + "@example.com", f"'{'x' * 57}...' is no email address: The email address is too long before the @-sign (1 character too many). {EMAIL_HINT}"),
    ("customers", "email", "aiko@localhost", f"'aiko@localhost' is no email address: The part after the @-sign is not valid. It should have a period. {EMAIL_HINT}"),
    ("customers", "email", "aiko@[127.0.0.1]", f"'aiko@[127.0.0.1]' is no email address: A bracketed IP address after the @-sign is not allowed here. {EMAIL_HINT}"),
    ("customers", "customer_id", "", "is empty. Every row needs a value here."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("table", "column", "value", "says"), BAD_VALUES, ids=[f"{bad[0]}.{bad[1]}={bad[2][:25]!r}" for bad in BAD_VALUES]
)
@pytest.mark.usefixtures("loaded")
def test_a_bad_value_is_refused(shop: Path, table: str, column: str, value: str, says: str) -> None:
    set_value(shop, table, column, value)
    assert refusal(shop) == f"shop/{table}.csv:2: {column} {says}"


@pytest.mark.parametrize(
    ("country", "says"),
    [
        ("", "'090-1234-5678' has no country code and the row has no country. Write it like +447700900123."),
        (
            "Atlantis",
            "'090-1234-5678' has no country code and country 'Atlantis' is not known. Write it like +447700900123.",
        ),
        ("France", f"'090-1234-5678' has the wrong length for its country. {PHONE_HINT}"),
    ],
)
@pytest.mark.usefixtures("loaded")
def test_a_national_phone_number_needs_its_country(shop: Path, country: str, says: str) -> None:
    set_value(shop, "customers", "country", country)
    assert refusal(shop) == f"shop/customers.csv:2: phone {says}"


# Files that are refused: (file, its content, the whole line)

ORDER_HEADER = "order_id,customer_id,ordered_at,total,currency\n"
ORDER = "A-1,1,2025-12-01T00:00:00Z,1.50,GBP\n"

# Text that does not compress below what an index of Postgres can hold.
LONG_NAME = "".join(chr(0x4E00 + number * 7919 % 20_000) for number in range(1500))

BAD_FILES = [
    ("orders.csv", "", "shop/orders.csv: The file is empty. Write the header row at least."),
    ("orders.csv", ORDER, "shop/orders.csv:1: Column 'order_id' is missing. The header has: A-1, 1, 2025-12-01T00:00:00Z, 1.50, GBP."),
    ("orders.csv", "order_id,customer_id,total,currency\n", "shop/orders.csv:1: Column 'ordered_at' is missing. The header has: order_id, customer_id, total, currency."),
    ("orders.csv", "order_id,customer,ordered_at,total,currency\n", "shop/orders.csv:1: Column 'customer_id' is missing. Rename 'customer' to 'customer_id'."),
    ("orders.csv", "order_id,Customer_ID,ordered_at,total,currency\n", "shop/orders.csv:1: Column 'customer_id' is missing. Rename 'Customer_ID' to 'customer_id'."),
    ("orders.csv", "order_id,customer_id,ordered_at,total,currency,total\n", "shop/orders.csv:1: Column 'total' stands twice in the header. Remove one of them."),
    ("orders.csv", "order_id,customer_id,ordered_at,total,currency,canceled_at\n", "shop/orders.csv:1: Unknown column 'canceled_at'. Rename it to 'cancelled_at'."),
    ("orders.csv", "order_id,customer_id,ordered_at,total,currency,warehouse\n", "shop/orders.csv:1: Unknown column 'warehouse'. Remove it: what the contract does not know would be lost unnoticed."),
    ("orders.csv", ORDER_HEADER.replace(",", ";"), "shop/orders.csv:1: Columns are separated by semicolons. Export the file with commas."),
    ("orders.csv", ORDER_HEADER.replace(",", "\t"), "shop/orders.csv:1: Columns are separated by tabs. Export the file with commas."),
    ("orders.csv", ORDER_HEADER + ORDER + "A-2,1,2025-12-01T00:00:00Z,1,50,GBP\n", "shop/orders.csv:3: The row has 6 fields, the header has 5. Put double quotes around a value that holds a comma."),
    ("orders.csv", ORDER_HEADER + ORDER + "\n" + "A-2\n", "shop/orders.csv:4: The row has 1 field, the header has 5. Write an empty value as two commas in a row."),
    ("orders.csv", ORDER_HEADER + ORDER + '"A-2,1,2025-12-01T00:00:00Z,1.50,GBP\n' + ORDER * 3, "shop/orders.csv:3: The quote opened here is never closed. Close it; a quote inside a quoted value is written twice: \"5\"\" nail\"."),
    ("orders.csv", ORDER_HEADER + ORDER + '"A-2,1,2025-12-01T00:00:00Z,1.50,GBP\n' + '"A-3",1,2025-12-01T00:00:00Z,1.50,GBP\n', "shop/orders.csv:3: The quote opened here is never closed. Close it; a quote inside a quoted value is written twice: \"5\"\" nail\"."),
    ("orders.csv", ORDER_HEADER + '"A\n2",1\n', "shop/orders.csv:2: The row has 2 fields, the header has 5. It runs to line 3: perhaps a quote opened in line 2 is closed too late."),
    ("products.csv", f"product_id,name\nmug,Mug\ntea,{'x' * 140_000}\n", "shop/products.csv:3: A value is longer than 131,072 characters. Shorten it."),
    ("products.csv", f'product_id,name\nmug,"Mug\n{"tea,Tea" * 30_000}\n', "shop/products.csv:2: The quote opened here is never closed. Close it; a quote inside a quoted value is written twice: \"5\"\" nail\"."),
    ("dependants.csv", f"customer_id,name,birthday\n1,{LONG_NAME},2020-01-01\n", "shop/dependants.csv:2: Postgres refuses a value: index row size 4520 exceeds btree version 4 maximum 2704 for index \"dependants_pkey\". Correct the row."),
    ("customers.csv", "customer_id,signed_up_at,mobile_phone\n", "shop/customers.csv:1: Unknown column 'mobile_phone'. Rename it to 'phone'."),
    ("reviews.csv", 'review_id,customer_id,order_id,rating,reviewed_at,title,body\nV-1,1,A-1,5,2025-12-01T00:00:00Z,"two\nlines","never closed\n', "shop/reviews.csv:3: The quote opened here is never closed. Close it; a quote inside a quoted value is written twice: \"5\"\" nail\"."),
    ("products.csv", 'product_id,name\nnail,"5" nail"\n', "shop/products.csv:2: A quote inside a quoted value is not doubled. Double every quote inside a quoted value: \"5\"\" nail\"."),
    ("orders.csv", ORDER_HEADER + ORDER + "A-2,1,2025-12-01T00:00:00Z,\0,GBP\n", "shop/orders.csv:3: A NUL byte. Export the file again as plain UTF-8 text."),
    ("orders.csv", (ORDER_HEADER + ORDER).encode("utf-16"), "shop/orders.csv:1: The file is UTF-16, not UTF-8. Export it as CSV UTF-8."),
    ("orders.csv", (ORDER_HEADER + ORDER).encode("utf-16-le"), "shop/orders.csv:1: The file is UTF-16, not UTF-8. Export it as CSV UTF-8."),
    ("orders.csv", (ORDER_HEADER + ORDER).encode("utf-16-be"), "shop/orders.csv:1: The file is UTF-16, not UTF-8. Export it as CSV UTF-8."),
    ("products.csv", "product_id,name\nmug,Mug\ncafé,Crème brûlée\n".encode("latin-1"), "shop/products.csv:3: Byte 0xe9 is not UTF-8; read as Windows-1252 the line holds 'café'. Export it as CSV UTF-8."),
    ("products.csv", "product_id,name\ntea,お茶セット\n".encode("cp932"), "shop/products.csv:2: Byte 0x82 is not UTF-8; read as Shift_JIS the line holds 'お茶セット'. Export it as CSV UTF-8."),
    ("orders.csv", ORDER_HEADER + ORDER + "A-2,1,2025-12-01T00:00:00Z,1.50,GBP\n" + ORDER, "shop/orders.csv:4: order_id 'A-1' stands in line 2 already. Keep one of the two rows."),
    ("order_items.csv", "order_id,line,product_id,quantity,unit_price\nA-1,1,mug,1,1\nA-1,2,mug,1,1\nA-1,01,tea,1,1\n", "shop/order_items.csv:4: order_id 'A-1', line '1' stands in line 2 already. Keep one of the two rows."),
    ("orders.csv", ORDER_HEADER + ORDER + "A-2,99,2025-12-01T00:00:00Z,1.50,GBP\nA-3,1,2025-12-01T00:00:00Z,1.50,GBP\n", "shop/orders.csv:3: customer_id '99' is not in customers.csv. Add it to customers.csv or remove the row."),
    ("orders.csv", ORDER_HEADER + "A-1,98,2025-12-01T00:00:00Z,1.50,GBP\nA-2,99,2025-12-01T00:00:00Z,1.50,GBP\n", "shop/orders.csv:2: customer_id '98' is not in customers.csv (nor is 1 other). Add it to customers.csv or remove the row."),
    ("order_items.csv", "order_id,line,product_id,quantity,unit_price\nA-9,1,mug,1,1\n", "shop/order_items.csv:2: order_id 'A-9' is not in orders.csv. Add it to orders.csv or remove the row."),
    ("refunds.csv", "refund_id,customer_id,refunded_at,amount,currency,order_id\nR-1,1,2025-12-01T00:00:00Z,1,GBP,A-9\n", "shop/refunds.csv:2: order_id 'A-9' is not in orders.csv. Add it to orders.csv or leave it empty."),
    ("page_views.csv", "viewed_at,url,customer_id\n2025-12-01T00:00:00Z,/,\n2025-12-01T00:00:00Z,/,99\n", "shop/page_views.csv:3: customer_id '99' is not in customers.csv. Add it to customers.csv or leave it empty."),
    ("dependants.csv", "customer_id,name,birthday\n99,Max,2020-01-01\n", "shop/dependants.csv:2: customer_id '99' is not in customers.csv. Add it to customers.csv or remove the row."),
    ("order.csv", ORDER_HEADER, "shop/order.csv: Unknown file. Remove it; there is orders.csv already."),
    ("Page Views.csv", "viewed_at,url\n", "shop/Page Views.csv: Unknown file. Remove it; there is page_views.csv already."),
    ("orders.csv.gz", gzip.compress(ORDER_HEADER.encode()), "shop: There are both orders.csv and orders.csv.gz. Remove one of them."),
    ("events.csv", "event_id,customer_id,name,occurred_at,properties\n" 'E-1,1,x,2025-12-01T00:00:00Z,"{""a"": 1e999999}"\n', "shop/events.csv:2: Postgres refuses a value: value overflows numeric format. Correct the row."),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "says"), BAD_FILES, ids=[bad[2][:60] for bad in BAD_FILES])
@pytest.mark.usefixtures("loaded")
def test_a_bad_file_is_refused(shop: Path, name: str, content: str | bytes, says: str) -> None:
    (shop / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert refusal(shop) == says


@pytest.mark.usefixtures("loaded")
def test_a_broken_gzip_file_is_refused(shop: Path) -> None:
    (shop / "products.csv").unlink()
    (shop / "products.csv.gz").write_bytes(gzip.compress(b"product_id,name\n" * 1000)[:-12])
    assert refusal(shop).startswith("shop/products.csv.gz: Not a whole gzip file: ")


@pytest.mark.parametrize(
    ("beside", "says"),
    [
        (None, "shop: There is no orders.csv. customers.csv and orders.csv are required."),
        ("orders.xlsx", "shop: There is no orders.csv. Export orders.xlsx as CSV in UTF-8."),
    ],
)
@pytest.mark.usefixtures("loaded")
def test_a_missing_file_is_named(shop: Path, beside: str | None, says: str) -> None:
    (shop / "orders.csv").unlink()
    if beside:
        (shop / beside).write_bytes(b"PK")
    assert refusal(shop) == says


@pytest.mark.usefixtures("loaded")
def test_a_missing_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert (
        refusal(Path("nowhere")) == "nowhere: No such folder. Give the folder that holds customers.csv and orders.csv."
    )


def test_shifting_names_the_line_of_a_bad_time(shop: Path) -> None:
    set_value(shop, "orders", "ordered_at", "yesterday")
    with pytest.raises(LifecycleError, match=r"^shop/orders.csv:2: ordered_at 'yesterday' is no time"):
        import_folder(shop, replace=True, shift_to_today=True, today=date(2026, 3, 29))


# Values on their own


@pytest.mark.parametrize(
    ("written", "stored_as"),
    [
        ("2026-02-01T09:30:00+00:00", "2026-02-01T09:30:00+00:00"),
        ("2026-02-01T09:30:00Z", "2026-02-01T09:30:00+00:00"),
        ("2026-02-01 09:30:00.5+00", "2026-02-01T09:30:00.500000+00:00"),
        ("2026-02-01T09:30+0900", "2026-02-01T09:30:00+09:00"),
        ("2026-02-01 09:30:00.123456789 UTC", "2026-02-01T09:30:00.123456+00:00"),
    ],
)
def test_the_usual_spellings_of_a_time_are_read(written: str, stored_as: str) -> None:
    assert csv_values.parse_time(written).isoformat() == stored_as


@pytest.mark.parametrize(
    ("written", "country", "stored_as"),
    [
        ("+33639984371", None, "+33639984371"),  # reserved for fiction, and not in use
        ("+1 (212) 555-0123", "Japan", "+12125550123"),
        ("＋４４７７００９００１２３", None, "+447700900123"),
        ("00393471234567", "Italy", "+393471234567"),
        ("393471234567", "IT", "+393471234567"),
        ("090-1234-5678", "日本", "+819012345678"),
        ("087 123 4567", "EIRE", "+353871234567"),
        ("+493023125012", "Germany", "+493023125012"),  # a landline; the channel decides what it can reach
    ],
)
def test_a_phone_number_is_stored_as_e164(written: str, country: str | None, stored_as: str) -> None:
    assert csv_addresses.phone(written, country) == stored_as


@pytest.mark.parametrize(
    ("written", "stored_as"),
    [
        ("Aiko.S@Example.COM", "Aiko.S@example.com"),
        ("aiko@shop.test", "aiko@shop.test"),
        ("aiko@exämple.de", "aiko@xn--exmple-cua.de"),
        ("aiko@xn--exmple-cua.de", "aiko@xn--exmple-cua.de"),
    ],
)
def test_an_email_address_has_one_spelling(written: str, stored_as: str) -> None:
    assert csv_addresses.email(written) == stored_as
