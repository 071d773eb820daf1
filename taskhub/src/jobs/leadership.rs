//! Who does what one worker is enough for. It saves work; nothing is wrong when two believe to lead.

use std::time::Duration;

use sqlx::PgPool;

use crate::Result;

/// Makes or keeps `holder` the leader called `name` for `lease` from now, unless another is. Tells
/// whether `holder` leads.
///
/// # Errors
/// Where the database fails.
pub async fn campaign(db: &PgPool, name: &str, holder: &str, lease: Duration) -> Result<bool> {
    // The first condition spares a follower the row's lock.
    let term = sqlx::query_scalar!(
        r#"
        insert into leader (name, holder, lease_until)
        select $1, $2, now() + make_interval(secs => $3)
        where not exists (
            select from leader where name = $1 and holder <> $2 and lease_until > now()
        )
        on conflict (name) do update
        set holder = excluded.holder, lease_until = excluded.lease_until,
            term = leader.term + case when leader.holder = excluded.holder then 0 else 1 end
        where leader.holder = excluded.holder or leader.lease_until <= now()
        returning term
        "#,
        name,
        holder,
        lease.as_secs_f64(),
    )
    .fetch_optional(db)
    .await?;
    Ok(term.is_some())
}

/// Lets another lead at once.
///
/// # Errors
/// Where the database fails.
pub async fn resign(db: &PgPool, name: &str, holder: &str) -> Result<()> {
    sqlx::query!(
        "update leader set lease_until = now() where name = $1 and holder = $2",
        name,
        holder,
    )
    .execute(db)
    .await?;
    Ok(())
}
