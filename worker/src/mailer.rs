//! E-mail, over SMTP or into a directory.
//!
//! The same letter may be sent twice where the first answer is lost, but always under the same
//! `Message-ID`. A captured letter is one file however often it is sent.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;
use uuid::Uuid;

/// For each step of the conversation with the server.
const SMTP_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Mailer {
    from: Mailbox,
    by: Carrier,
}

#[derive(Debug)]
enum Carrier {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    /// Writes `<letter id>.eml`.
    Capture(PathBuf),
}

/// Whether letters and passwords may cross the network in the clear.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Encryption {
    Required,
    /// Where the server offers it; for development.
    IfOffered,
}

#[derive(Debug)]
pub struct Letter {
    /// Becomes the `Message-ID`.
    pub id: Uuid,
    /// An address alone, such as `someone@example.org`.
    pub to: String,
    pub subject: String,
    pub text: String,
}

/// The mail server refused a letter for now (an answer of 400 to 499, RFC 5321, section 4.2.1): it is busy,
/// its rate or quota is used up, or it wants to see a second attempt.
#[derive(Clone, Copy, Debug)]
pub struct TryLater;

impl fmt::Display for TryLater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the mail server asks to try again later")
    }
}

impl Mailer {
    /// From `smtp://[user:password@]host[:587]` (STARTTLS), `smtps://[user:password@]host[:465]` or
    /// `file:///directory`, and a sender such as `TaskHub <taskhub@example.org>`.
    ///
    /// # Errors
    /// Where one of them is malformed; the message repeats neither.
    pub fn new(url: &SecretString, from: &str, encryption: Encryption) -> anyhow::Result<Self> {
        let from = from.parse().context("MAIL_FROM is not a mailbox")?;
        let url = Url::parse(url.expose_secret()).context("MAIL_URL is not a URL")?;
        let by = match url.scheme() {
            "file" => Carrier::Capture(
                url.to_file_path()
                    .map_err(|()| anyhow::anyhow!("MAIL_URL names no directory"))?,
            ),
            "smtp" | "smtps" => Carrier::Smtp(smtp(url, encryption)?),
            _ => anyhow::bail!("MAIL_URL is neither smtp, smtps nor file"),
        };
        Ok(Self { from, by })
    }

    /// Hands `letter` over.
    ///
    /// # Errors
    /// [`TryLater`]; or where the address is malformed, or the server or the directory does not take it.
    pub async fn send(&self, letter: Letter) -> anyhow::Result<()> {
        let id = letter.id;
        let message = self.compose(letter)?;
        match &self.by {
            Carrier::Smtp(transport) => {
                transport.send(message).await.map_err(refusal)?;
            }
            Carrier::Capture(directory) => {
                let directory = directory.clone();
                tokio::task::spawn_blocking(move || capture(&directory, id, &message.formatted()))
                    .await?
                    .context("the letter was not captured")?;
            }
        }
        Ok(())
    }

    /// Addresses are parsed and header values encoded, so that none can begin a header of its own.
    fn compose(&self, letter: Letter) -> anyhow::Result<Message> {
        let to: Address = letter.to.parse().context("the address is malformed")?;
        let domain = self.from.email.domain();
        let mut message = Message::builder()
            .message_id(Some(format!("<{}@{domain}>", letter.id)))
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(letter.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(letter.text)?;
        // Asks for no automatic answer (RFC 3834).
        message.headers_mut().insert_raw(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".to_owned(),
        ));
        Ok(message)
    }
}

fn refusal(error: lettre::transport::smtp::Error) -> anyhow::Error {
    let is_transient = error.is_transient();
    let error = anyhow::Error::new(error).context("the letter was not taken");
    if is_transient {
        error.context(TryLater)
    } else {
        error
    }
}

fn smtp(
    mut url: Url,
    encryption: Encryption,
) -> anyhow::Result<AsyncSmtpTransport<Tokio1Executor>> {
    let tls = match (url.scheme(), encryption) {
        ("smtps", _) => None,
        (_, Encryption::Required) => Some("tls=required"),
        (_, Encryption::IfOffered) => Some("tls=opportunistic"),
    };
    url.set_query(tls);
    Ok(AsyncSmtpTransport::<Tokio1Executor>::from_url(url.as_str())
        .context("MAIL_URL names no mail server")?
        .timeout(Some(SMTP_TIMEOUT))
        .build())
}

/// The file appears whole, and the first one stays.
fn capture(directory: &Path, id: Uuid, message: &[u8]) -> io::Result<()> {
    let file = directory.join(format!("{id}.eml"));
    if file.try_exists()? {
        return Ok(());
    }
    fs::create_dir_all(directory)?;
    let draft = directory.join(format!(".{}", Uuid::now_v7()));
    fs::write(&draft, message)?;
    fs::rename(draft, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(to: &str, subject: &str) -> Letter {
        Letter {
            id: Uuid::now_v7(),
            to: to.to_owned(),
            subject: subject.to_owned(),
            text: "Hello".to_owned(),
        }
    }

    fn mailer(directory: &Path) -> Mailer {
        let url = format!("file://{}", directory.display());
        let from = "TaskHub <taskhub@example.org>";
        Mailer::new(&url.into(), from, Encryption::Required).expect("a directory and a mailbox")
    }

    #[test]
    fn no_subject_can_begin_a_header_of_its_own() {
        let mailer = mailer(Path::new("/nowhere"));
        for subject in [
            "a\r\nBcc: victim@example.org",
            "a\nBcc: victim@example.org",
            "a\rBcc: b@example.org",
        ] {
            let Ok(message) = mailer.compose(letter("ada@example.org", subject)) else {
                continue;
            };
            let formatted = String::from_utf8(message.formatted()).expect("a letter in ASCII");
            let (head, _) = formatted.split_once("\r\n\r\n").expect("a head and a body");
            assert!(
                head.split(['\r', '\n'])
                    .all(|line| !line.starts_with("Bcc")),
                "{head}"
            );
        }
    }

    #[test]
    fn no_address_can_begin_a_header_of_its_own() {
        let mailer = mailer(Path::new("/nowhere"));
        for address in [
            "ada@example.org\r\nBcc: victim@example.org",
            "ada\r\n@example.org",
            "ada@example.org, victim@example.org",
            "Ada <ada@example.org>",
            "",
        ] {
            assert!(
                mailer.compose(letter(address, "Hello")).is_err(),
                "{address}"
            );
        }
    }

    #[tokio::test]
    async fn a_letter_that_is_captured_twice_is_one_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let mailer = mailer(directory.path());
        let first = letter("ada@example.org", "Hello");
        let id = first.id;
        mailer.send(first).await.expect("a captured letter");
        let mut second = letter("ada@example.org", "Hello again");
        second.id = id;
        mailer.send(second).await.expect("a captured letter");
        let files: Vec<_> = fs::read_dir(directory.path())
            .expect("a directory")
            .collect();
        assert_eq!(files.len(), 1);
        let text =
            fs::read_to_string(directory.path().join(format!("{id}.eml"))).expect("the letter");
        assert!(
            text.contains(&format!("Message-ID: <{id}@example.org>\r\n")),
            "{text}"
        );
        assert!(text.contains("Subject: Hello\r\n"), "{text}");
    }

    #[test]
    fn a_malformed_mail_url_is_refused_without_being_repeated() {
        for url in [
            "ftp://secret@host/",
            "smtp:secret",
            "secret",
            "file://secret",
        ] {
            let error = Mailer::new(
                &url.to_owned().into(),
                "a@example.org",
                Encryption::Required,
            )
            .expect_err("a refusal");
            assert!(!format!("{error:#}").contains("secret"), "{error:#}");
        }
    }
}
