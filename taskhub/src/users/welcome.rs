//! Whom to greet.

use sqlx::PgPool;
use uuid::Uuid;

use crate::Result;

/// Somebody who has an address.
#[derive(Debug)]
pub struct Recipient {
    pub username: String,
    pub email: String,
}

/// `None` where the account is gone or has no address: then there is nobody to greet.
pub async fn recipient(db: &PgPool, user_id: Uuid) -> Result<Option<Recipient>> {
    let user = sqlx::query!(
        "select username, email from user_account where id = $1 and deleted_at is null",
        user_id,
    )
    .fetch_optional(db)
    .await?;
    Ok(user.and_then(|user| {
        let email = user.email?;
        let username = user.username;
        Some(Recipient { username, email })
    }))
}
