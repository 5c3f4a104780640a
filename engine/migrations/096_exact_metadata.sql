-- Whether `part` is in `whole`: objects key by key, everything else (lists too) as it is. Stricter
-- than @>, which finds the rows by their index first.
create function frontdesk.holds(whole jsonb, part jsonb) returns boolean
language plpgsql immutable strict parallel safe as $$
begin
    if jsonb_typeof(part) <> 'object' then
        return whole = part;
    end if;
    return jsonb_typeof(whole) = 'object' and not exists (
        select from jsonb_each(part) p
        where not coalesce(frontdesk.holds(whole -> p.key, p.value), false)
    );
end $$;
