//! The locales that a database may have, so that a test can hold a text case against each of them.

use super::{Database, execute, migrated, try_execute, variable};

/// What decides, in one database, about the order and the case of texts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Locale {
    pub name: &'static str,
    /// Options of `create database`.
    options: &'static str,
}

/// Those that our texts are tried on. The last two exist where the system's `localedef` made them.
pub const LOCALES: [Locale; 5] = [
    Locale {
        name: "C",
        options: "locale 'C'",
    },
    Locale {
        name: "C.UTF-8",
        options: "locale 'C.UTF-8'",
    },
    Locale {
        name: "ICU en-US",
        options: "locale 'C' locale_provider icu icu_locale 'en-US'",
    },
    Locale {
        name: "en_US.UTF-8",
        options: "locale 'en_US.UTF-8'",
    },
    Locale {
        name: "tr_TR.UTF-8",
        options: "locale 'tr_TR.UTF-8'",
    },
];

impl Database {
    /// As [`Database::create`], with the locale. `None`, and a line that says why, where the server has no such
    /// locale.
    ///
    /// # Panics
    /// As [`Database::create`].
    pub async fn create_in(locale: Locale) -> Option<Self> {
        let maintenance = variable("TEST_DATABASE_URL");
        let options = format!("template template0 encoding 'UTF8' {}", locale.options);
        let probe = format!("probe_{}", uuid::Uuid::now_v7().simple());
        let made = try_execute(&maintenance, &format!("create database {probe} {options}")).await;
        if let Err(error) = made {
            skipped(locale, &error);
            return None;
        }
        execute(&maintenance, &format!("drop database {probe}")).await;
        let template = migrated(&maintenance, locale.name, &options).await;
        Some(Self::new(maintenance, &format!("template {template}")).await)
    }
}

/// A database in each locale that the server has, with its name. C is always among them.
///
/// # Panics
/// As [`Database::create`].
pub async fn databases() -> Vec<(&'static str, Database)> {
    let mut databases = Vec::new();
    for locale in LOCALES {
        if let Some(database) = Database::create_in(locale).await {
            databases.push((locale.name, database));
        }
    }
    assert!(!databases.is_empty(), "every server has the locale C");
    databases
}

#[expect(
    clippy::print_stderr,
    reason = "whoever reads the test's output is to know what was not tried"
)]
fn skipped(locale: Locale, error: &sqlx::Error) {
    eprintln!(
        "skipped: this server has no locale {}: {error}",
        locale.name
    );
}
