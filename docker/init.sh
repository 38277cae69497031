#!/usr/bin/env bash
# Brings both databases to the installed versions and makes the first administrator. Changes nothing when run again.
set -euo pipefail

airflow db migrate
airflow users create --role Admin --firstname Lifecycle --lastname Admin \
    --username "$AIRFLOW_ADMIN_USERNAME" --password "$AIRFLOW_ADMIN_PASSWORD" --email "$AIRFLOW_ADMIN_EMAIL"
lifecycle db migrate
