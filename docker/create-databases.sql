-- Runs once, when the Postgres of docker-compose.yaml starts on an empty volume: one database and one owner for Airflow's
-- metadata, one of each for the shop and its journeys. Neither owner can read what belongs to the other.
-- On a Postgres of one's own: psql --file=docker/create-databases.sql, with both passwords in the environment.
\set ON_ERROR_STOP on
\getenv airflow_password AIRFLOW_DB_PASSWORD
\getenv lifecycle_password LIFECYCLE_DB_PASSWORD

create role airflow login password :'airflow_password';
-- May create roles: the journeys' schema comes with `lifecycle_reader`, as which analysts' SQL runs.
create role lifecycle_engine login createrole password :'lifecycle_password';

select 'create database airflow' where not exists (select from pg_database where datname = 'airflow') \gexec
select 'create database lifecycle' where not exists (select from pg_database where datname = 'lifecycle') \gexec

alter database airflow owner to airflow;
alter database lifecycle owner to lifecycle_engine;
revoke all on database airflow, lifecycle from public;
