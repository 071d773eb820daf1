-- A client whose answer got lost asks with the same refresh token again, and gets the same successor. The
-- successor itself is stored nowhere: here it is sealed with the token before it, which only the client has.
-- 32 bytes, as long as a token; none once the successor is used, or where an earlier release made it.
alter table refresh_token add column sealed bytea;
