//! Greets a new user by e-mail.

use taskhub::{
    jobs::leases::{Completed, Lease},
    users,
};
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
    if let Some(user) = users::recipient(db, user_id).await? {
        let letter = Letter {
            id: lease.public_id,
            to: user.email,
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
