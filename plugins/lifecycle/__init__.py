"""Customer journeys run by Apache Airflow on your own Postgres.

The names below are all that a Dag file may import. They load on first use, because `add_tasks` and `daily` bring in
Airflow, which the receiver, the sandbox and most commands do without.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lifecycle.airflow_tasks import (
        DAG_DEFAULTS,
        JOURNEY_DEFAULTS,
        add_accrual_tasks,
        add_deferred_sending,
        add_journey_health,
        add_referral_tasks,
        add_tasks,
        add_updates,
        daily,
        every,
    )
    from lifecycle.journey import Email, Goal, Journey, Sms, Step, Suppress, Voucher
    from lifecycle.programme import Programme, Reward, Tier

_HOMES = {
    "DAG_DEFAULTS": "airflow_tasks",
    "JOURNEY_DEFAULTS": "airflow_tasks",
    "add_accrual_tasks": "airflow_tasks",
    "add_deferred_sending": "airflow_tasks",
    "add_journey_health": "airflow_tasks",
    "add_referral_tasks": "airflow_tasks",
    "add_tasks": "airflow_tasks",
    "add_updates": "airflow_tasks",
    "daily": "airflow_tasks",
    "every": "airflow_tasks",
    "Email": "journey",
    "Goal": "journey",
    "Journey": "journey",
    "Sms": "journey",
    "Step": "journey",
    "Suppress": "journey",
    "Voucher": "journey",
    "Programme": "programme",
    "Reward": "programme",
    "Tier": "programme",
}

__all__ = [
    "DAG_DEFAULTS",
    "JOURNEY_DEFAULTS",
    "Email",
    "Goal",
    "Journey",
    "Programme",
    "Reward",
    "Sms",
    "Step",
    "Suppress",
    "Tier",
    "Voucher",
    "add_accrual_tasks",
    "add_deferred_sending",
    "add_journey_health",
    "add_referral_tasks",
    "add_tasks",
    "add_updates",
    "daily",
    "every",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(
            f"module 'lifecycle' has no attribute {name!r}; a Dag file may import: {', '.join(__all__)}"
        )
    return getattr(import_module(f"lifecycle.{_HOMES[name]}"), name)
