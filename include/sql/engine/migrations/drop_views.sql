-- Drops every view of the contract and of the company's mapping, so that a changed column list can be re-created.
do $$
declare
    view record;
begin
    for view in
        select schemaname, viewname from pg_views where schemaname in ('shop', 'source')
    loop
        execute format('drop view if exists %I.%I cascade', view.schemaname, view.viewname);
    end loop;
end
$$
