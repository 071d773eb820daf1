-- A client whose answer got lost asks with the same refresh token again, and gets the same successor. The
-- successor itself is stored nowhere: here it is sealed with the token before it, which only the client has.
alter table refresh_token add column sealed bytea;

-- Holds for new rows. Those before have no seal, so there is nothing to look through under a lock.
alter table refresh_token
    add constraint refresh_token_sealed_check check (length(sealed) = 32) not valid;
