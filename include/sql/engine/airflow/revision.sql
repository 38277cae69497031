-- The revision that Airflow's metadata database is at. Run in that database, not in the lifecycle one.
select version_num
from alembic_version
