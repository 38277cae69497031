# The server image: the packages that the tests run with, and the engine. dags/, include/ and plugins/ are mounted over
# the copies in it, so that a change of words or SQL needs no new image.
FROM python:3.12-slim-bookworm

RUN useradd --uid 50000 --gid 0 --no-log-init --create-home --home-dir /opt/airflow airflow \
    && install --directory --owner=airflow --group=0 /opt/airflow/logs /var/lib/lifecycle

WORKDIR /opt/lifecycle
COPY requirements.txt requirements-server.txt ./
RUN pip install --no-cache-dir --compile --requirement requirements.txt --requirement requirements-server.txt

COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation --editable .

USER airflow
ENV PYTHONUNBUFFERED=1
CMD ["lifecycle", "--help"]
