"""Airflow: the tasks a journey is made of. The only module of the engine that imports Airflow.

A task does one stage (see `stages`) and returns counts. Only `record_conversions` returns ids; the steps take them from
XCom and leave those people out, and the database leaves them out too, so a wiped XCom changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG, BaseHook, BaseOperator, CronTriggerTimetable, Param, TaskGroup, chain, task
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException, TaskAwaitingInput, TaskDeferred

from lifecycle import (
    approvals,
    as_of,
    deferred,
    health,
    loyalty,
    referrals,
    runs,
    schedules,
    segments,
    senders,
    settings,
    stages,
)
from lifecycle.approvals import Held
from lifecycle.channels import EmailChannel, SmsChannel
from lifecycle.channels.accounts import SENDGRID_HOST, TWILIO_HOST, SendGridAccount, TwilioAccount, refuse_sandbox
from lifecycle.errors import LifecycleError, TryAgainError
from lifecycle.journey import Journey, Step, unknown_name
from lifecycle.programme import Programme
from lifecycle.runs import RunContext
from lifecycle.sources import SourceHeldError

DATABASE_CONNECTION = "lifecycle_db"
SENDGRID_CONNECTION = "lifecycle_sendgrid"
TWILIO_CONNECTION = "lifecycle_twilio"

# `send` is mapped over shards, never over people: one for this many queued messages, and no more than eight.
MESSAGES_PER_SHARD = 5_000
MOST_SHARDS = 8

# How often a journey looks whether a source that was late has come.
LOOK_AGAIN_EVERY = timedelta(minutes=5)

# Facts that arrive so late are still accrued by the daily run.
LATE_FACTS = timedelta(days=7)
_ONE_DAY = timedelta(days=1)

DAG_DEFAULTS: dict[str, Any] = {
    # Unpausing never mass-mails; missed days are repaired with a backfill (architecture §5).
    "catchup": False,
    "max_active_runs": 1,
    "tags": ["lifecycle"],
    "default_args": {"owner": "lifecycle", "retries": 2, "retry_delay": timedelta(seconds=30)},
}

JOURNEY_DEFAULTS: dict[str, Any] = {
    **DAG_DEFAULTS,
    "tags": ["lifecycle", "journey"],
    "params": {
        "as_of": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Run day",
            description="The local day to run for, such as 2026-03-31. Empty: the day of the run itself.",
        ),
        "as_if_today": Param(
            False,
            type="boolean",
            title="As if it were today",
            description="For demos: play the day as if it were today, so that nothing is too late. Not with real providers.",
        ),
    },
}


def daily(at: str, *, tz: str) -> CronTriggerTimetable:
    """Every day at a local wall time, such as `daily("10:00", tz="Europe/London")`.

    `LIFECYCLE_TIMEZONE` wins over `tz`. The interval is empty, so a scheduled, a backfilled and a manual run of a day
    all have the same logical date.

    Raises:
        LifecycleError: `at` is no time of day, or the zone does not exist.
    """
    zone = settings.store_timezone() or tz
    as_of.zone_named(zone)
    return CronTriggerTimetable(schedules.daily_cron(at), timezone=zone)


def every(*, minutes: int, tz: str) -> CronTriggerTimetable:
    """Every few minutes all day long, such as `every(minutes=5, tz="Europe/London")`; they divide an hour.

    `LIFECYCLE_TIMEZONE` wins over `tz`, which says when the journey's days start.

    Raises:
        LifecycleError: the minutes do not divide an hour, or the zone does not exist.
    """
    zone = settings.store_timezone() or tz
    as_of.zone_named(zone)
    return CronTriggerTimetable(schedules.every_cron(minutes), timezone=zone)


def schedule_of(dag: DAG) -> tuple[str, str]:
    """The cron line of a Dag, empty when it has none, and the time zone it is in."""
    timetable = dag.schedule
    if isinstance(timetable, CronTriggerTimetable):
        schedules.check(timetable.expression)
        return timetable.expression, str(timetable.timezone)
    if isinstance(timetable, str) and not timetable.startswith("@"):
        schedules.check(timetable)
        return timetable, str(dag.timezone)
    return "", str(dag.timezone)


def run_context(journey: Journey, context: Any) -> RunContext:
    """Which instant a task answers for: Dag param `as_of` > `logical_date` > `run_after` (architecture §4).

    Raises:
        LifecycleError: the run's configuration names something that is no param of the Dag, or a day that is none.
    """
    zone = journey.zone
    dag_run = context["dag_run"]
    params = context.get("params") or {}
    day = _day_of(context, zone)
    # The run type, never the run id: a reprocessed scheduled run keeps its id (airflow page, §3).
    run_type = str(getattr(dag_run.run_type, "value", dag_run.run_type))
    # The clock and not `run_after`: a run that is cleared a week later is a week late.
    now = datetime.now(timezone.utc)
    if journey.tick and not params.get("as_of"):
        instant = dag_run.logical_date or dag_run.run_after
        return runs.of_tick(journey, instant, zone, now=now, run_type=run_type)
    as_if_today = bool(params.get("as_if_today"))
    return runs.executed_now(journey, day, zone, now=now, run_type=run_type, as_if_today=as_if_today)


def _day_of(context: Any, zone: str) -> date:
    """The local day a task answers for."""
    dag_run = context["dag_run"]
    # Airflow takes any key, and a mistyped day would quietly be today.
    known = list(context["dag"].params)
    for name in dag_run.conf or {}:
        if name not in known:
            raise unknown_name("Dag param", name, known)
    chosen = (context.get("params") or {}).get("as_of")
    return as_of.parse_day(chosen) if chosen else as_of.run_day(dag_run.logical_date or dag_run.run_after, zone)


class CheckSources(BaseOperator):
    """Checks the journey's files and sources; while a source is late it waits without a worker, and fails in the end."""

    ui_color = "#e8f1fb"

    def __init__(self, *, journey: Journey, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._journey = journey
        self._longest = timedelta(hours=settings.source_wait_hours())

    def execute(self, context: Any) -> dict[str, int]:
        """Check, or wait; returns how many customers and orders are known."""
        return self._check(context, datetime.now(timezone.utc) + self._longest)

    def check_again(self, context: Any, until: str, event: Any = None) -> dict[str, int]:
        """Check once more after a while."""
        return self._check(context, datetime.fromisoformat(until))

    def _check(self, context: Any, until: datetime) -> dict[str, int]:
        def late_or_known() -> dict[str, int] | SourceHeldError:
            try:
                return stages.check_sources(run_context(self._journey, context))
            except SourceHeldError as late:
                return late

        found = in_task(late_or_known)
        if not isinstance(found, SourceHeldError):
            return found
        if datetime.now(timezone.utc) + LOOK_AGAIN_EVERY > until:
            raise AirflowFailException(str(found))
        self.log.warning("%s Looking again every few minutes until %s.", found, f"{until:%Y-%m-%d %H:%M %Z}")
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        trigger = TimeDeltaTrigger(LOOK_AGAIN_EVERY)
        raise TaskDeferred(trigger=trigger, method_name="check_again", kwargs={"until": until.isoformat()})


class SelectAudience(BaseOperator):
    """Selects the audience of a step. Its SQL shows in the UI under Rendered Templates, and is not Jinja."""

    template_fields = ("sql",)
    template_fields_renderers = {"sql": "sql"}  # noqa: RUF012 - Airflow reads it from the class
    ui_color = "#e8f1fb"

    def __init__(self, *, journey: Journey, step: Step, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sql = segments.segment_of(journey, step).text()
        self._journey = journey
        self._step = step

    def render_template_fields(self, context: Any, jinja_env: Any = None) -> None:
        """Leave the SQL as the analyst wrote it."""

    def execute(self, context: Any) -> dict[str, int]:
        """Keep the audience for this run and return its size."""
        return in_task(lambda: {"due": stages.select_audience(run_context(self._journey, context), self._step)})


class ApproveAudience(HITLOperator):
    """Lets a usual audience pass at once, and waits for a person when it is unusual.

    The answer counts for the audience that was asked about. Without one in time, or with a no, the task fails for good:
    nobody is sent the step, and the run stays unfinished.
    """

    template_fields = ()
    ui_color = "#fdf3d8"

    APPROVE, REJECT = "Approve", "Reject"

    def __init__(self, *, journey: Journey, step: Step, **kwargs: Any) -> None:
        super().__init__(
            subject=f"Is the audience of {journey.name}/{step.name} right?",
            options=[self.APPROVE, self.REJECT],
            response_timeout=timedelta(hours=settings.approval_hours()),
            **kwargs,
        )
        self._journey = journey
        self._step = step

    def execute(self, context: Any) -> Any:
        """Judge the audience; an unusual one is shown under Required Actions, without naming anybody."""
        run = run_context(self._journey, context)
        held = in_task(lambda: stages.review_audience(run, self._step))
        if held is None:
            return {"held": 0}
        self.subject = f"{self._journey.name}/{self._step.name} has {held.why}. Send it?"
        self.body = approvals.question(run, held)
        try:
            return super().execute(context)
        except TaskAwaitingInput as waiting:
            asked = {"people": held.people, "fingerprint": held.fingerprint, "why": held.why}
            raise TaskAwaitingInput(method_name="answered", kwargs=asked, timeout=waiting.timeout) from None

    def answered(
        self, context: Any, *, event: dict[str, Any], people: int, fingerprint: str, why: str
    ) -> dict[str, int]:
        """Record what the person said about the audience they were asked about."""
        held = Held(self._step.name, people, fingerprint, why)
        run = run_context(self._journey, context)
        decision, by = self._decision(event)
        in_task(lambda: stages.decide(run, held, decision, by))
        if decision != "approved":
            raise AirflowFailException(str(approvals.refused_error(run, held, decision, by)))
        return {"held": people}

    def _decision(self, event: dict[str, Any]) -> tuple[approvals.Decision, str]:
        if "error" in event:
            return "timed_out", ""
        by = (event["responded_by_user"] or {}).get("name") or ""
        return ("approved" if event["chosen_options"] == [self.APPROVE] else "rejected"), by


def add_tasks(journey: Journey) -> None:
    """Make the tasks of a journey in the Dag around the call.

    `check_sources -> record_conversions -> <step>.{select_audience -> approve_audience -> queue_messages -> send} ->
    close_ladder -> report`

    A step queues when the audiences of it and of all later steps are selected: of several steps that are due for a person
    the last one goes.

    Raises:
        LifecycleError: the journey looks every few minutes, which is too often for so many tasks.
    """

    @task
    def record_conversions(**context: Any) -> dict[str, Any]:
        return in_task(lambda: dict(stages.record_conversions(run_context(journey, context))))

    @task
    def close_ladder(**context: Any) -> dict[str, int]:
        return in_task(lambda: stages.close(run_context(journey, context)))

    @task
    def report(**context: Any) -> dict[str, Any]:
        return in_task(lambda: stages.report(run_context(journey, context)))

    checked = CheckSources(task_id="check_sources", journey=journey)
    converted = record_conversions()
    _schedule(journey, checked.dag, is_tick=False)
    steps = [_step_tasks(journey, step, converted) for step in journey.steps]
    for place, (_, _, queued) in enumerate(steps):
        for _, selected, _ in steps[place + 1 :]:
            chain(selected, queued)
    chain(checked, converted, [group for group, _, _ in steps], close_ladder(), report())


def add_updates(journey: Journey) -> None:
    """Make the task `send_updates` of a journey in the Dag around the call, which has `schedule=every(...)`.

    It does all of a run: whatever the segments show that was not decided about before is planned and sent.

    Raises:
        LifecycleError: the Dag has another schedule, or the journey is none that looks every few minutes.
    """

    @task
    def send_updates(**context: Any) -> dict[str, dict[str, int]]:
        return in_task(lambda: stages.look(run_context(journey, context), channel_for))

    updates: Any = send_updates()
    _schedule(journey, updates.operator.dag, is_tick=True)


def _schedule(journey: Journey, dag: DAG, *, is_tick: bool) -> None:
    """Tell a journey the schedule of its Dag, which has to fit the tasks."""
    journey.schedule(*schedule_of(dag))
    if bool(journey.tick) == is_tick:
        return
    called, fits = (
        ("add_updates", "schedule=every(minutes=5, ...)") if is_tick else ("add_tasks", "add_updates(journey)")
    )
    what = f"{called} does not fit the schedule of the journey {journey.name!r}"
    raise LifecycleError(what, hint=f"Write {fits}", file=journey.file, line=journey.line)


def add_deferred_sending() -> None:
    """Make the task `send_deferred` in the Dag around the call: it sends whatever was deferred and is due, of all journeys."""

    @task
    def send_deferred() -> dict[str, dict[str, int]]:
        return in_task(lambda: deferred.send(channel_for))

    send_deferred()


def add_journey_health() -> None:
    """Make the task `journey_health` in the Dag around the call: it fails while anything waits for a person."""

    @task
    def journey_health() -> dict[str, int]:
        return in_task(lambda: {"journeys": health.require(datetime.now(timezone.utc))})

    journey_health()


def add_accrual_tasks(programme: Programme) -> None:
    """Make the tasks of a loyalty programme in the Dag around the call: `accrue -> check_ledger`.

    The run of a day accrues the day before it, every earlier day that no run accrued, and what of the last week arrived
    late; never what was before the Dag's start date.
    """

    @task
    def accrue(**context: Any) -> dict[str, int]:
        day = _day_of(context, programme.zone)
        # A fact of the day before the first run counts; what was before the programme does not.
        start = as_of.run_day(context["dag"].start_date, programme.zone) - _ONE_DAY
        return in_task(lambda: _accrue_up_to(programme, start, day - _ONE_DAY))

    @task
    def check_ledger() -> dict[str, int]:
        return in_task(lambda: {"differences": loyalty.require_agreement(programme)})

    accrued: Any = accrue()
    programme.schedule(*schedule_of(accrued.operator.dag))
    chain(accrued, check_ledger())


def _accrue_up_to(programme: Programme, start: date, last: date) -> dict[str, int]:
    """Accrue the days up to the last one: accrual has no lateness, it always catches up (architecture §5)."""
    # A day from before the programme began is run on purpose.
    earliest = min(start, last)
    first = min(loyalty.first_open_day(programme, earliest, last) or last, max(earliest, last - LATE_FACTS))
    return {"facts": loyalty.accrue(programme, first, last)}


def add_referral_tasks() -> None:
    """Make the task `settle_referrals` in the Dag around the call: it gives what friends have earned their referrers.

    The run of a day settles everything that was known at its midnight, for friends who were confirmed since the Dag's
    start date.
    """

    @task
    def settle_referrals(**context: Any) -> dict[str, int]:
        _, zone = schedule_of(context["dag"])
        until = as_of.midnight(_day_of(context, zone), zone)
        counted_from = context["dag"].start_date
        return in_task(lambda: referrals.settle(counted_from=counted_from, until=until, zone=zone)._asdict())

    settle_referrals()


def _step_tasks(journey: Journey, step: Step, converted: Any) -> tuple[TaskGroup, Any, Any]:
    """The group of a step, the task that selects its audience, and the one that queues its messages."""
    with TaskGroup(step.name) as group:

        @task
        def queue_messages(converted: dict[str, Any] | None, **context: Any) -> list[dict[str, Any]]:
            # A wiped XCom changes nothing: the database knows who converted.
            converted_ids = (converted or {}).get("customer_ids", [])
            counts = in_task(lambda: stages.queue_messages(run_context(journey, context), step, converted_ids))
            return [{**shard, "counts": counts} for shard in shards_for(counts.get("queued", 0))]

        @task(map_index_template="shard {{ task.op_kwargs['queued']['number'] }}")
        def send(queued: dict[str, Any], **context: Any) -> dict[str, int]:
            shard, shards = queued["number"], queued["of"]
            return in_task(
                lambda: stages.send(run_context(journey, context), step, channel_for(step), shard=shard, shards=shards)
            )

        queued: Any = queue_messages(converted)
        selected = SelectAudience(task_id="select_audience", journey=journey, step=step)
        chain(selected, ApproveAudience(task_id="approve_audience", journey=journey, step=step), queued)
        send.expand(queued=queued)
    return group, selected, queued


def shards_for(queued: int) -> list[dict[str, int]]:
    """The shards a step's queue is sent in, such as `[{"number": 0, "of": 2}, {"number": 1, "of": 2}]`."""
    count = min(MOST_SHARDS, max(1, -(-queued // MESSAGES_PER_SHARD)))
    return [{"number": number, "of": count} for number in range(count)]


def in_task(stage: Callable[[], Any]) -> Any:
    """Run a stage with the database of the Airflow connection; a user's mistake fails at once, without a retry."""
    try:
        os.environ["LIFECYCLE_DATABASE_URL"] = database_url_of_connection()
        return stage()
    except TryAgainError:
        raise
    except LifecycleError as error:
        raise AirflowFailException(str(error)) from None


def database_url_of_connection() -> str:
    """The lifecycle database, as the Airflow connection `lifecycle_db` names it."""
    _connection(DATABASE_CONNECTION)
    # The hook brings pandas-sized imports: they are paid for by a task that runs, not by reading the Dag file.
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    url = PostgresHook(postgres_conn_id=DATABASE_CONNECTION).sqlalchemy_url
    return url.render_as_string(hide_password=False)


def channel_for(step: Step) -> EmailChannel | SmsChannel:
    """The channel of a step: the real provider when LIFECYCLE_LIVE=yes, else the sandbox (architecture §11)."""
    if not settings.is_live():
        return senders.sandbox_channel(step)
    return senders.live_channel(step, sendgrid=sendgrid_account, twilio=twilio_account)


def sendgrid_account() -> SendGridAccount:
    """SendGrid's key from the Airflow connection `lifecycle_sendgrid`: password is the API key.

    Raises:
        LifecycleError: there is no such connection, or what it holds is no key of SendGrid's.
    """
    connection = _connection(SENDGRID_CONNECTION)
    account = SendGridAccount(api_key=connection.password or "", host=connection.host or SENDGRID_HOST)
    refuse_sandbox(account.api_key, SENDGRID_CONNECTION)
    return account


def twilio_account() -> TwilioAccount:
    """Twilio's account from the Airflow connection `lifecycle_twilio`: login is the SID, password the auth token.

    Raises:
        LifecycleError: there is no such connection, or what it holds is no account of Twilio's.
    """
    connection = _connection(TWILIO_CONNECTION)
    account = TwilioAccount(
        account_sid=connection.login or "",
        auth_token=connection.password or "",
        host=connection.host or TWILIO_HOST,
    )
    refuse_sandbox(account.auth_token, TWILIO_CONNECTION)
    return account


def _connection(name: str) -> Any:
    try:
        return BaseHook.get_connection(name)
    except AirflowNotFoundException:
        hint = "Make it as docs/how-to/run-on-a-server.md says"
        raise LifecycleError(f"There is no Airflow connection {name!r}", hint=hint) from None
