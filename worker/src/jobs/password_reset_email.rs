//! Sends a code to whoever forgot their password.

use std::fmt::Write as _;

use secrecy::ExposeSecret;
use taskhub::{
    jobs::leases::{Completed, Lease},
    users::{self, ResetCode},
};
use url::Url;

use super::complete;
use crate::{Options, mailer::Letter};

pub(super) async fn run(
    options: &Options,
    lease: &Lease,
    email: String,
) -> anyhow::Result<Completed> {
    let db = &options.db;
    // Good before the letter is on its way. A second attempt makes others, and both letters are good.
    let mut transaction = db.begin().await?;
    let codes = users::new_reset_codes(&mut transaction, &email).await?;
    transaction.commit().await?;
    if !codes.is_empty() {
        let letter = Letter {
            id: lease.public_id,
            to: email,
            subject: "Your TaskHub password".to_owned(),
            text: text(&codes, &options.public_url),
        };
        options.mailer.send(letter).await?;
    }
    complete(db, lease).await
}

fn text(codes: &[ResetCode], url: &Url) -> String {
    let mut text = format!(
        "Hello,\n\
         \n\
         somebody, hopefully you, asked for a new password at\n\
         {url}\n\
         Within the next 30 minutes you can set one with this code:\n\
         \n"
    );
    for ResetCode { username, code } in codes {
        let _ = writeln!(text, "{username}: {}", code.expose_secret());
    }
    text + "\nIf it was not you, you need not do anything: your password stays as it is.\n"
}
