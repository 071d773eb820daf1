-- Which form a due time has. Within one form, `due_order` is the order of the list, whatever the
-- reader's time zone; between two forms it is not.
create function due_form(due_date date, due_local timestamp, due_at timestamptz) returns smallint
language sql immutable parallel safe
return case
    when due_at is not null then 1
    when due_local is not null then 2
    when due_date is not null then 3
    else 0
end;
