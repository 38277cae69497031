-- One line per message that was ever due, in an order of its own: what was decided for whom, without ids and times.
select
    encode(
        sha256(
            convert_to(
                coalesce(string_agg(decisions.line, E'\n' order by decisions.line collate "C"), ''), 'UTF8'
            )
        ),
        'hex'
    ) as digest,
    count(*) as decided
from (
    select
        concat_ws(
            '/',
            messages.dedupe_key,
            case
                when messages.send_state in ('skipped', 'cancelled', 'rejected') then messages.send_state
                else 'send'
            end,
            case when messages.send_state = 'skipped' then messages.reason end
        ) as line
    from lifecycle.messages as messages
    where messages.journey = :journey
) as decisions
