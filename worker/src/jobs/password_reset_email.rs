//! Sends a code to whoever forgot their password.

use std::fmt::Write as _;

use secrecy::ExposeSecret;
use taskhub::{
    jobs::leases::{Completed, Lease},
    users::{self, ResetCode},
};
use url::Url;

use super::complete;
use crate::{Worker, mailer::Letter};

pub(super) async fn run(
    worker: &Worker,
    lease: &Lease,
    email: String,
) -> anyhow::Result<Completed> {
    let options = &worker.options;
    let db = &options.db;
    // Good before the letter is on its way. A second attempt makes others, and both letters are good.
    let mut transaction = db.begin().await?;
    let codes = users::new_reset_codes(&mut transaction, &email).await?;
    transaction.commit().await?;
    if !codes.is_empty() {
        let letter = Letter {
            id: lease.public_id,
            to: email,
            subject: "Choose a new TaskHub password".to_owned(),
            text: text(&codes, &options.home_url),
        };
        options.mailer.send(letter).await?;
    }
    complete(worker, lease).await
}

fn text(codes: &[ResetCode], home: &Url) -> String {
    let mut text = "Hello,\n\
         \n\
         Someone asked for a new password for your TaskHub account. If it was you, open the link\n\
         below within 30 minutes and choose one.\n"
        .to_owned();
    for ResetCode { username, code } in codes {
        let code = code.expose_secret();
        let link = link(home, code);
        let _ = write!(
            text,
            "\nUsername: {username}\nLink: {link}\nCode, if you are asked for it: {code}\n"
        );
    }
    text + "\nIf it was not you, ignore this e-mail. Your password stays as it is.\n"
}

/// The code stands in the fragment, which browsers send to no server and name in no `Referer`.
fn link(home: &Url, code: &str) -> String {
    format!("{home}reset-password#code={code}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_link_leads_below_the_home_and_keeps_the_code_in_the_fragment() {
        for (home, address) in [
            (
                "https://tasks.example.com/",
                "https://tasks.example.com/reset-password",
            ),
            (
                "https://example.com/app/",
                "https://example.com/app/reset-password",
            ),
        ] {
            let home = home.parse().expect("a URL");
            let link: Url = link(&home, "thp_a-b_c").parse().expect("a URL");
            assert_eq!(link.fragment(), Some("code=thp_a-b_c"));
            assert_eq!(link.as_str().split('#').next(), Some(address));
            assert_eq!(link.query(), None);
        }
    }
}
