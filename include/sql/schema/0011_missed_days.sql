-- Missed days: what the segments picked on each day, and on which day a message was really planned.

-- One row per run and step once its audience is kept, also when it is empty.
create table lifecycle.selections (
    run_id bigint not null,
    step text not null,
    people integer not null,
    -- Of the segment file, so that an audience can be told from one that another version of the file picked.
    sql_sha text not null default '',
    selected_at timestamptz not null default now(),
    primary key (run_id, step)
);
insert into lifecycle.selections (run_id, step, people, selected_at)
select
    runs.run_id,
    audiences.step,
    count(*) as people,
    runs.started_at as selected_at
from lifecycle.runs as runs
inner join lifecycle.audiences as audiences on runs.run_id = audiences.run_id
group by runs.run_id, audiences.step, runs.started_at;

-- How many days after its own day a run was executed: 0 for a run in its time. A run of the type 'missed' was never
-- executed: only its audiences were selected.
alter table lifecycle.runs
add column late_days integer not null default 0;

-- The day a message counts for in caps and arbitration: when it was planned. Later than its run day in a repaired day.
alter table lifecycle.messages
add column planned_on date;
update lifecycle.messages
set planned_on = run_day;
alter table lifecycle.messages
alter column planned_on set not null;
drop index lifecycle.messages_by_customer;
create index messages_by_customer on lifecycle.messages (customer_id, planned_on);
