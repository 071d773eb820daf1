//! Greets a new user by e-mail.

use taskhub::jobs::leases::{Completed, Lease};
use url::Url;
use uuid::Uuid;

use super::complete;
use crate::{Worker, mailer::Letter};

pub(super) async fn run(
    worker: &Worker,
    lease: &Lease,
    user_id: Uuid,
) -> anyhow::Result<Completed> {
    let options = &worker.options;
    let db = &options.db;
    let user = sqlx::query!(
        "select username, email from user_account where id = $1 and deleted_at is null",
        user_id,
    )
    .fetch_optional(db)
    .await?;
    // Gone, or without an address: there is nobody to greet.
    if let Some(user) = user
        && let Some(address) = user.email
    {
        let letter = Letter {
            id: lease.public_id,
            to: address,
            subject: "Welcome to TaskHub".to_owned(),
            text: text(&user.username, &options.home_url),
        };
        options.mailer.send(letter).await?;
    }
    complete(worker, lease).await
}

fn text(username: &str, home: &Url) -> String {
    format!(
        "Hello {username},\n\
         \n\
         Your TaskHub account is ready. Sign in as {username}:\n\
         {home}\n\
         \n\
         If you did not create this account, ignore this e-mail. Nobody can use your address to\n\
         sign in.\n"
    )
}
