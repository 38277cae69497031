-- Says what money is worth in points, and from which instant on facts are accrued, until the transaction ends.
select
    set_config('lifecycle.points_per_unit', :per_unit, true),
    set_config('lifecycle.points_rounding', :rounding, true),
    set_config('lifecycle.accrued_from', :accrued_from, true)
