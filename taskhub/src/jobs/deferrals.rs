//! Attempts that somebody else put off: a mail server that is busy, or that wants fewer letters.

use sqlx::PgPool;

use super::leases::{Lease, stored};
use crate::Result;

/// Ends an attempt that is to be made later, without counting it, and tells whether that was done. It was
/// not where the lease was lost, the job is being cancelled, or it was put off too often; then the attempt
/// has failed like any other.
///
/// The pause grows with each time as after failures, but is never short: what asks for time gets some.
///
/// # Errors
/// Where the database fails.
pub async fn defer(db: &PgPool, lease: &Lease, reason: &str) -> Result<bool> {
    let backoff = lease.rules.backoff;
    let deferred = sqlx::query!(
        "
        update job
        set state = 'scheduled', attempt = attempt - 1, deferrals = deferrals + 1, last_error = $3,
            run_at = now() + (0.5 + random() / 2) * make_interval(secs => least($4, $5 * 2 ^ least(deferrals + 1, 30))),
            lease_token = null, lease_until = null
        where id = $1 and lease_token = $2 and not cancel_requested and deferrals < $6
        ",
        lease.id,
        lease.token,
        stored(reason),
        backoff.cap.as_secs_f64(),
        backoff.base.as_secs_f64(),
        lease.rules.max_deferrals,
    )
    .execute(db)
    .await?;
    Ok(deferred.rows_affected() > 0)
}
