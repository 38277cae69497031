-- Lets a chunk of answers be matched with its messages as a set, found by their ids. Postgres believes that hardly
-- anything is in flight, and would compare each message with each answer.
select
    set_config('enable_nestloop', 'off', true),
    set_config('enable_seqscan', 'off', true)
