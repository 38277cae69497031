-- Names the step that is about to decide, for undecided.sql, until the transaction ends.
select
    set_config('lifecycle.deciding_journey', :journey, true),
    set_config('lifecycle.deciding_step', :step, true)
