"""No file of an analyst sees later than its run: with everything later taken away it picks exactly the same people."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from lifecycle import as_of, database, journeys, segments, stages
from lifecycle.analyst_sql import AnalystSql
from lifecycle.contract import TABLES, Table
from lifecycle.journey import Journey
from lifecycle.settings import sql_folder
from tests.sql import journey_cases

ZONES = ["Europe/London", "America/New_York", "Asia/Tokyo", "Pacific/Kiritimati", "Australia/Lord_Howe"]
PEOPLE = [f"person-{number}" for number in range(4)]
ORDERS = [f"order-{number}" for number in range(12)]
# Facts crowd around the edges of the ladder's days, around the run itself, and after it.
DAYS_AGO = [-365, -95, -89.5, -75, -59.5, -45, -29.5, -29, -10, -1, -0.5, -0.5, 0, 0.5, 1, 3, 40]
_A_MOMENT = timedelta(microseconds=1)

# What a programme declares is as of today, and not of the past.
LEVELS = [
    {"programme": "loyalty_points", "tier": tier, "place": place, "from_points": 10 * place, "tier_days": 365}
    | {"percent_off": None, "free_shipping": True, "draw_entries": 0}
    for place, tier in enumerate(("silver", "gold"), start=1)
]
REWARDS = [
    {"programme": "loyalty_points", "reward": f"for_{points}", "points": points, "percent_off": 20}
    for points in (10, 20)
]

Rows = dict[str, list[dict[str, Any]]]


@dataclass
class Past:
    """A shop and what journeys did in it, as one knows it long after `instant`, the midnight of `day` in `zone`."""

    rows: Rows
    day: date
    zone: str

    @property
    def instant(self) -> datetime:
        return as_of.midnight(self.day, self.zone)

    def as_known_then(self) -> Past:
        """The same, without what became known at the instant or later."""
        rows = deepcopy(self.rows)
        for table in TABLES:
            rows[table.name] = [row for row in rows[table.name] if self._is_known(table, row)]
            self._unset_later(rows[table.name], [column.name for column in table.columns if column.kind == "time"])
        rows["enrollments"] = [row for row in rows["enrollments"] if row["entered_at"] < self.instant]
        for row in rows["enrollments"]:
            if row["exited_at"] and row["exited_at"] >= self.instant:
                row.update(exited_at=None, exit_reason=None)
        rows["messages"] = [row for row in rows["messages"] if self._midnight(row["planned_on"]) < self.instant]
        for row in rows["messages"]:
            if row["settled_at"] and row["settled_at"] - timedelta(days=row["skew_days"]) >= self.instant:
                row.update(send_state="queued", reason=None, settled_at=None)
        for happened in ("engagements", "points"):
            rows[happened] = [row for row in rows[happened] if row["occurred_at"] < self.instant]
        # A tier begins with a midnight and is told by what happened before it: that of the instant itself is known.
        rows["tiers"] = [row for row in rows["tiers"] if row["since"] <= self.instant]
        for row in rows["tiers"]:
            row["until"] = row["until"] if row["until"] and row["until"] <= self.instant else None
        rows["claims"] = [row for row in rows["claims"] if row["claimed_at"] < self.instant]
        return Past(rows, self.day, self.zone)

    def _is_known(self, table: Table, row: dict[str, Any]) -> bool:
        if table.known_from:
            return row[table.known_from] is None or row[table.known_from] < self.instant
        parent, key, since = {
            "order_items": ("orders", "order_id", "ordered_at"),
            "dependants": ("customers", "customer_id", "signed_up_at"),
        }[table.name]
        return any(other[key] == row[key] and other[since] < self.instant for other in self.rows[parent])

    def _unset_later(self, rows: list[dict[str, Any]], columns: list[str]) -> None:
        for row in rows:
            row.update({name: None for name in columns if row.get(name) and row[name] >= self.instant})

    def _midnight(self, day: date) -> datetime:
        return as_of.midnight(day, self.zone)


@cache
def declared() -> dict[str, Journey]:
    """Every journey of the repository, by name."""
    return {one.journey.name: one.journey for one in journeys.load_all()}


@cache
def files() -> list[AnalystSql]:
    """Every segment, goal, end and recommendation file of the repository."""
    steps = {segments.segment_of(journey, step) for journey in declared().values() for step in journey.steps}
    picked = sorted(steps, key=lambda file: file.path)
    picked += [file for journey in declared().values() for file in stages.end_files(journey)]
    shared = sorted((sql_folder() / "recommendations").glob("*.sql"))
    return [*picked, *(AnalystSql(path, "recommendation") for path in shared)]


def _name(file: AnalystSql) -> str:
    return f"{file.path.parent.name}/{file.path.name}"


@cache
def views() -> list[str]:
    """Every view of the contract."""
    return [path.stem.partition("_")[2] for path in sorted((sql_folder() / "contract").glob("*.sql"))]


# --- random pasts -----------------------------------------------------------------------------------------------------


@st.composite
def pasts(draw: Any) -> Past:
    """A shop of four people with random facts of every table before and after a random run."""
    day = draw(st.dates(date(2025, 1, 1), date(2026, 12, 31)))
    # What is told on one day of a month is met often enough.
    day = day.replace(day=draw(st.sampled_from([day.day, day.day, 1, 15])))
    zone = draw(st.sampled_from(ZONES))
    instant = as_of.midnight(day, zone).astimezone(timezone.utc)
    moments = st.builds(
        lambda days, more: instant + timedelta(days=days) + more,
        st.sampled_from(DAYS_AGO),
        st.sampled_from([-_A_MOMENT, timedelta(0), timedelta(0), _A_MOMENT]),
    )
    rows = {table.name: draw(_facts(table, moments)) for table in TABLES}
    birthday = {"birthday": day.replace(year=1990)}
    rows["customers"] = [row | birthday | {"referred_by": None} for row in rows["customers"]]
    rows["dependants"] = [row | birthday for row in rows["dependants"]]
    for name, more in draw(_purchases(instant, moments)).items():
        rows[name] = [*rows[name], *more]
    rows["enrollments"] = draw(_enrollments(moments, [order["order_id"] for order in rows["orders"]]))
    rows["enrollments"] += draw(_entered(instant))
    rows["messages"] = draw(_messages(rows["enrollments"], day, zone))
    rows["engagements"] = draw(_engagements(rows["messages"], zone))
    rows["points"] = draw(_points(moments, instant))
    rows["tiers"] = draw(_tiers(moments))
    rows["claims"] = _claims(rows["orders"])
    return Past(rows, day, zone)


def _facts(table: Table, moments: st.SearchStrategy[datetime]) -> st.SearchStrategy[list[dict[str, Any]]]:
    columns = {column.stored_name: _values(table, column, moments) for column in table.columns}
    most = 12 if table.name in ("orders", "page_views") else 4
    unique = (lambda row: tuple(row[name] for name in table.key)) if table.key else None
    return st.lists(st.fixed_dictionaries(columns), max_size=most, unique_by=unique)  # type: ignore[arg-type]


def _values(table: Table, column: Any, moments: st.SearchStrategy[datetime]) -> st.SearchStrategy[Any]:
    if (table.name, column.name) == ("events", "name"):
        return st.sampled_from(["joined_list", "wishlist_added"])
    if column.name == "customer_id" or column.name == "referred_by":
        return st.sampled_from(PEOPLE)
    if column.name == "order_id":
        return st.sampled_from(ORDERS)
    by_kind: dict[str, st.SearchStrategy[Any]] = {
        "time": moments if column.required else st.none() | moments,
        "date": st.just(date(1990, 2, 28)),
        "amount": st.integers(0, 9_999),
        "rate": st.integers(0, 9_999),
        "integer": st.integers(1, 5),
        "boolean": st.booleans(),
        "json_list": st.just([]),
        "json_object": st.just({}),
        "currency": st.just("GBP"),
        "id": st.sampled_from([f"{column.name}-{number}" for number in range(6)]),
    }
    return by_kind.get(column.kind, st.sampled_from([f"a {column.name}", f"another {column.name}"]))


@st.composite
def _purchases(draw: Any, instant: datetime, moments: st.SearchStrategy[datetime]) -> Rows:
    """A buyer in the midst of the funnel, one who ordered again, a fan who said more, and a regular with a third order."""
    ordered, delivered = draw(
        st.sampled_from([(-3, -0.5), (-7.5, -3), (-10.5, -5), (-16, -14.5), (-23.5, -20), (-25.5, -20), (-8, 0.5)])
    )
    orders = [
        ("buyer", "bought", instant + timedelta(days=ordered), instant + timedelta(days=delivered)),
        ("again", "first", instant - timedelta(days=20), instant - timedelta(days=15)),
        ("again", "second", instant + timedelta(days=draw(st.sampled_from([-14, -10, -0.5, 0.5]))), None),
        ("fan", "liked", draw(moments), draw(moments)),
        *(("regular", f"regular-{days}", instant - timedelta(days=days), None) for days in (100, 65, 0.5)),
    ]
    same = {"category": "Skin care", "line": "Calm", "launched_at": None, "in_stock": draw(st.booleans())}
    products = [{"product_id": name, "name": name, "url": f"https://shop.example/{name}"} | same for name in "xy"]
    items = [("bought", 1, "x"), ("liked", 1, "x"), ("liked", 2, "y")]
    return {
        "orders": [
            {"order_id": order_id, "customer_id": person, "ordered_at": at, "total_cents": 1000, "currency": "GBP",
             "cancelled_at": None, "shipped_at": None, "delivered_at": then,
             "subscription_id": "monthly" if person == "regular" else None}
            for person, order_id, at, then in orders
        ],
        "order_items": [
            {"order_id": order_id, "line": line, "product_id": name, "quantity": 1, "unit_price_cents": 1000}
            for order_id, line, name in items
        ],
        "products": products,
        "reviews": [{"review_id": "said", "customer_id": "fan", "order_id": "liked", "rating": 5, "reviewed_at": draw(moments), "body": "Soft."}],
        "page_views": [{"viewed_at": draw(moments), "url": "https://shop.example/y", "customer_id": "buyer", "product_id": "y"}],
    }  # fmt: skip


def _entered(instant: datetime) -> st.SearchStrategy[list[dict[str, Any]]]:
    entered = {"journey": "post_purchase", "customer_id": "again", "anchor": "first", "exited_at": None}
    return st.just([entered | {"entered_at": instant - timedelta(days=14), "exit_reason": None}])


@st.composite
def _enrollments(draw: Any, moments: st.SearchStrategy[datetime], orders: list[str]) -> list[dict[str, Any]]:
    entries = st.fixed_dictionaries(
        {
            # The ladder asks for the most to have happened before.
            "journey": st.sampled_from([*sorted(declared()), "reactivation", "reactivation"]),
            "customer_id": st.sampled_from(PEOPLE),
            "anchor": st.sampled_from(orders or ORDERS),
            "entered_at": moments,
            "exited_at": st.none() | st.none() | moments,
        }
    )
    drawn = draw(
        st.lists(entries, max_size=8, unique_by=lambda row: (row["journey"], row["customer_id"], row["anchor"]))
    )
    reasons = st.sampled_from(["converted", "superseded", "sunset"])
    return [row | {"exit_reason": row["exited_at"] and draw(reasons)} for row in drawn]


@st.composite
def _messages(draw: Any, enrollments: list[dict[str, Any]], day: date, zone: str) -> list[dict[str, Any]]:
    messages = []
    for entered in enrollments:
        for step in draw(st.sets(st.sampled_from([one.name for one in declared()[entered["journey"]].steps]))):
            run_day = day + timedelta(days=draw(st.sampled_from([-40, -20, -8, -2, -1, 0, 5])))
            planned_on = run_day + timedelta(days=draw(st.sampled_from([0, 0, 1, 3])))
            # A run that plays a past day is executed so many days after it.
            skew_days = (run_day.day * 100) % 700
            after = draw(st.sampled_from([None, timedelta(0), timedelta(hours=10), timedelta(hours=34)]))
            settled = after is not None
            state = draw(
                st.sampled_from(["accepted", "accepted", "accepted", "skipped"] if settled else ["queued", "skipped"])
            )
            midnight = as_of.midnight(planned_on, zone).astimezone(timezone.utc)
            messages.append({
                **{name: entered[name] for name in ("journey", "customer_id", "anchor")},
                "step": step,
                "run_day": run_day,
                "planned_on": planned_on,
                "skew_days": skew_days,
                "send_state": state,
                "reason": "no_consent" if state == "skipped" else None,
                "settled_at": midnight + after + timedelta(days=skew_days) if after is not None else None,
            })  # fmt: skip
    return messages


@st.composite
def _engagements(draw: Any, messages: list[dict[str, Any]], zone: str) -> list[dict[str, Any]]:
    engagements = []
    for message in messages:
        for days in draw(st.lists(st.sampled_from([0.4, 0.5, 1, 2, 5, 30, 40]), max_size=2, unique=True)):
            planned = as_of.midnight(message["planned_on"], zone).astimezone(timezone.utc)
            engagements.append({
                **{name: message[name] for name in ("journey", "customer_id", "anchor", "step")},
                "kind": draw(st.sampled_from(["click", "click", "reply"])),
                "is_machine": draw(st.booleans()),
                "occurred_at": planned + timedelta(days=days),
            })  # fmt: skip
    return engagements


def _points(moments: st.SearchStrategy[datetime], instant: datetime) -> st.SearchStrategy[list[dict[str, Any]]]:
    # What counts towards a tier for two weeks more, and what expires in the next month.
    a_year_ago, next_month = instant - timedelta(days=351.5), instant + timedelta(days=30)
    earned = st.fixed_dictionaries({
        "fact": st.sampled_from([f"ordered/{order}" for order in ORDERS]),
        "account_id": st.integers(1, len(PEOPLE)),
        "occurred_at": moments | st.just(a_year_ago),
        "expires_at": st.none() | st.just(next_month),
    })  # fmt: skip
    return st.lists(earned, max_size=6, unique_by=lambda row: row["fact"])


@st.composite
def _tiers(draw: Any, moments: st.SearchStrategy[datetime]) -> list[dict[str, Any]]:
    begins = st.fixed_dictionaries({"account_id": st.integers(1, len(PEOPLE)), "since": moments})
    drawn = draw(st.lists(begins, max_size=4, unique_by=lambda row: (row["account_id"], row["since"])))
    lasts = st.none() | st.sampled_from([timedelta(hours=1), timedelta(days=1), timedelta(days=29), timedelta(days=60)])
    tier = {"programme": "loyalty_points", "changed_from": None}
    return [
        row | tier | {"tier": draw(st.sampled_from(["silver", "gold"])), "until": after and row["since"] + after}
        for row in drawn
        for after in [draw(lasts)]
    ]


def _claims(orders: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Everybody's first order claims that the next person brought them; the regular has renewed since then."""
    claims: dict[str, dict[str, Any]] = {}
    friends = [*PEOPLE, "regular"]
    known = [order for order in orders if order["customer_id"] in friends]
    for order in sorted(known, key=lambda order: (order["ordered_at"], order["order_id"])):
        friend = order["customer_id"]
        referrer = friends[(friends.index(friend) + 1) % len(friends)]
        claim = {"order_id": order["order_id"], "friend_id": friend, "referrer_id": referrer}
        claims.setdefault(friend, claim | {"claimed_at": order["ordered_at"], "recorded_at": order["ordered_at"]})
    return list(claims.values())


# --- what is seen -----------------------------------------------------------------------------------------------------


def seen(connection: Any, past: Past, shown: list[str], picked: list[AnalystSql]) -> dict[str, list[Any]]:
    """What views show and files pick at the instant, when the database holds this and nothing else, sorted.

    Nobody promises in which order a file picks several rows of one person: Postgres does as its statistics tell.
    """
    with connection.begin_nested() as rehearsal:
        _fill(database.driver(connection), past)
        database.set_as_of(connection, past.instant, past.zone)
        _look_for_everybody(connection, past)
        found: dict[str, list[Any]] = {_name(file): sorted(file.stream(connection), key=repr) for file in picked}
        for view in shown:
            statement = f"select to_jsonb(v) from shop.{view} as v".encode()
            found[view] = sorted(database.driver(connection).execute(statement).fetchall(), key=json.dumps)
        rehearsal.rollback()
    return found


def _look_for_everybody(connection: Any, past: Past) -> None:
    """Have recommendation files look for whoever had ordered, about each order."""
    known = [order for order in past.rows["orders"] if order["ordered_at"] < past.instant]
    journey_cases.look_for(
        connection, [{"customer_id": order["customer_id"], "anchor": order["order_id"]} for order in known]
    )


def _fill(driver: Any, past: Past) -> None:
    for table in TABLES:
        _insert(driver, f"imported.{table.name}", past.rows[table.name])
    _insert(driver, "lifecycle.enrollments", past.rows["enrollments"])
    run_ids: dict[tuple[str, date], int] = {}
    messages = []
    for row in past.rows["messages"]:
        key = (row["journey"], row["run_day"])
        run_ids.setdefault(key, len(run_ids) + 1)
        own = {name: value for name, value in row.items() if name != "skew_days"}
        midnight = as_of.midnight(row["run_day"], past.zone)
        filled = {"run_id": run_ids[key], "as_of": midnight, "channel": "sms", "template": "", "template_sha": ""}
        messages.append(own | filled)
    skew_days = {(row["journey"], row["run_day"]): row["skew_days"] for row in past.rows["messages"]}
    runs = [
        {"run_id": run_id, "journey": key[0], "as_of": as_of.midnight(key[1], past.zone), "run_day": key[1],
         "run_type": "manual", "skew_days": skew_days[key]}
        for key, run_id in run_ids.items()
    ]  # fmt: skip
    _insert(driver, "lifecycle.runs", runs)
    _insert(driver, "lifecycle.messages", messages)
    accounts = [{"account_id": number, "customer_id": name} for number, name in enumerate(PEOPLE, start=1)]
    _insert(driver, "lifecycle.points_accounts", accounts)
    _insert(driver, "lifecycle.referral_claims", past.rows["claims"])
    same = {"revision": 1, "kind": "earned", "other_side": "earned", "requested": 10, "points": 10}
    same |= {"details": {}, "recorded_at": past.instant, "spend_cents": 100}
    _insert(driver, "lifecycle.points_entries", [row | same for row in past.rows["points"]])
    _insert(driver, "lifecycle.tier_periods", past.rows["tiers"])
    _insert(driver, "lifecycle.tier_levels", LEVELS)
    _insert(driver, "lifecycle.rewards", REWARDS)
    for row in past.rows["engagements"]:
        about = {name: row[name] for name in ("journey", "step", "customer_id", "anchor")}
        key = "lifecycle.message_id(%(journey)s, %(step)s, %(customer_id)s, %(anchor)s)"
        (message_id,) = driver.execute(f"select {key}".encode(), about).fetchone()
        _insert(driver, "lifecycle.engagements", [row | {"message_id": str(message_id)}])


def _insert(driver: Any, table: str, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    names = ", ".join(dict.fromkeys(name for row in rows for name in row))
    records = json.dumps(rows, default=lambda value: value.isoformat())
    numbered = ("lifecycle.runs", "lifecycle.points_accounts")
    overriding = "overriding system value" if table in numbered else ""
    driver.execute(
        f"insert into {table} ({names}) {overriding} select {names} from jsonb_populate_recordset(null::{table}, %s)",
        (records,),
    )


@pytest.fixture
def connection(database_url: str) -> Iterator[Any]:
    """A connection that leaves nothing behind."""
    with database.transaction() as shared, shared.begin_nested() as rehearsal:
        yield shared
        rehearsal.rollback()


# Shrinking would take minutes; the assertion names what sees too much.
EFFORT = settings(
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def test_what_is_known_later_changes_nothing(connection: Any) -> None:
    met: Counter[str] = Counter()

    # The same pasts every time, so that what they meet does not depend on luck.
    @settings(EFFORT, max_examples=100, derandomize=True)
    @given(pasts())
    def nothing_changes(past: Past) -> None:
        now, then = (seen(connection, one, views(), files()) for one in (past, past.as_known_then()))
        for name, rows in now.items():
            assert rows == then[name], (name, past.instant)
            met[name] += len(rows)
        met["something later"] += past.rows != past.as_known_then().rows

    nothing_changes()
    # Every file picked somebody, every view showed something, and nearly every past went on after its run.
    names = [*views(), *map(_name, files())]
    assert {name: met[name] for name in names if not met[name]} == {}
    assert met["something later"] > 60


def test_in_which_order_facts_came_changes_nothing(connection: Any) -> None:
    @settings(EFFORT, max_examples=30)
    @given(pasts())
    def nothing_changes(past: Past) -> None:
        backwards = Past({name: rows[::-1] for name, rows in past.rows.items()}, past.day, past.zone)
        first, second = (seen(connection, one, views(), files()) for one in (past, backwards))
        for name, rows in first.items():
            assert rows == second[name], (name, past.instant)

    nothing_changes()


def watched() -> list[Path]:
    """The views that look at the clock themselves, at tables: what others read is past already."""
    files = {path: path.read_text(encoding="utf-8") for path in sorted((sql_folder() / "contract").glob("*.sql"))}
    reads_tables = re.compile(r"\b(?:from|join) (?:source|lifecycle)\.")
    return [path for path, text in files.items() if "lifecycle.as_of()" in text and reads_tables.search(text)]


@pytest.mark.parametrize("path", watched(), ids=lambda path: path.stem)
def test_a_view_that_looks_an_hour_ahead_is_caught(connection: Any, path: Path) -> None:
    broken = path.read_text(encoding="utf-8").replace("lifecycle.as_of()", "(lifecycle.as_of() + interval '1 hour')")
    database.driver(connection).execute(broken.encode())
    view = path.stem.partition("_")[2]

    def gives_itself_away(past: Past) -> bool:
        return seen(connection, past, [view], []) != seen(connection, past.as_known_then(), [view], [])

    # Raises NoSuchExample unless there is one.
    assert find(pasts(), gives_itself_away, settings=settings(EFFORT, max_examples=500))
