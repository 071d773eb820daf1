use taskhub::testing::wait_for;
use taskhub_worker::mailer::{Encryption, Letter, Mailer};
use uuid::Uuid;

use crate::{
    site::{PATIENCE, Site},
    smtp::MailServer,
};

#[tokio::test]
async fn a_letter_goes_over_smtp() {
    let (site, server) = (Site::new().await, MailServer::start());
    let job = site.greeting(site.register("ada").await).await;
    let _worker = site.worker_with(&[("MAIL_URL", &server.url())]);
    site.wait_for_state(job, "done").await;
    let letters = server.taken();
    assert_eq!(letters.len(), 1);
    for part in [
        &format!("Message-ID: <{job}@example.org>"),
        "From: TaskHub <taskhub@example.org>",
        "To: ada@example.org",
        "Auto-Submitted: auto-generated",
    ] {
        assert!(letters[0].contains(part), "{}", letters[0]);
    }
}

#[tokio::test]
async fn a_server_without_encryption_gets_no_letter_where_it_is_required() {
    let server = MailServer::start();
    let url = server.url().into();
    let mailer = Mailer::new(&url, "taskhub@example.org", Encryption::Required).unwrap();
    let letter = Letter {
        id: Uuid::now_v7(),
        to: "ada@example.org".to_owned(),
        subject: "Hello".to_owned(),
        text: "Hello".to_owned(),
    };
    let error = mailer.send(letter).await.unwrap_err();
    assert!(format!("{error:#}").contains("STARTTLS"), "{error:#}");
    assert!(server.taken().is_empty());
}

#[tokio::test]
async fn a_letter_may_take_longer_than_a_lease() {
    let (site, server) = (Site::new().await, MailServer::start());
    let job = site.greeting(site.register("ada").await).await;
    server.hold("");
    let workers = [(); 2].map(|()| site.worker_with(&[("MAIL_URL", &server.url())]));
    site.wait_for_state(job, "running").await;
    wait_for("its first lease is over", PATIENCE, async || {
        let over = sqlx::query_scalar!(
            r#"select lease_until > run_at + interval '8 seconds' as "over!" from job where state = 'running'"#
        );
        over.fetch_one(&site.database.pool).await.unwrap()
    })
    .await;
    server.release();
    site.wait_for_state(job, "done").await;
    assert_eq!(site.outcomes(job).await, ["succeeded"]);
    assert_eq!(server.taken().len(), 1);
    drop(workers);
}
