//! Someone to run a test with.

use std::time::Duration;

use secrecy::SecretString;
use sqlx::PgPool;
use taskhub::{
    Result,
    passwords::Hasher,
    scopes::Scopes,
    sessions::{self, Excess, Grant, Login},
    testing::Database,
    tokens::{Keys, Lifetimes},
    users::{self, NewUser, Registration, User},
};

pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A database, and what signs people in to it.
pub(crate) struct Site {
    pub(crate) db: PgPool,
    pub(crate) hasher: Hasher,
    pub(crate) keys: Keys,
}

impl Site {
    pub(crate) async fn create() -> Self {
        Self::beside(&Database::create().await.pool)
    }

    /// Another one with the same database.
    pub(crate) fn beside(db: &PgPool) -> Self {
        Self {
            db: db.clone(),
            hasher: Hasher::fast_for_tests().unwrap(),
            keys: keys(SECRET, None),
        }
    }

    pub(crate) async fn register(&self, username: &str) -> User {
        self.try_register(username, Some("someone@example.org"))
            .await
            .unwrap()
    }

    pub(crate) async fn try_register(&self, username: &str, email: Option<&str>) -> Result<User> {
        let registration = Registration {
            username: username.to_owned(),
            password: PASSWORD.into(),
            email: email.map(str::to_owned),
        };
        let new = NewUser::prepare(&self.hasher, registration).await?;
        let mut transaction = self.db.begin().await?;
        let user = users::register(&mut transaction, &new, Some("request-1")).await?;
        transaction.commit().await?;
        Ok(user)
    }

    pub(crate) async fn sign_in(&self, username: &str) -> Grant {
        self.try_sign_in(username, PASSWORD).await.unwrap()
    }

    pub(crate) async fn try_sign_in(&self, username: &str, password: &str) -> Result<Grant> {
        sessions::start(
            &self.db,
            &self.hasher,
            &self.keys,
            &login(username, password),
        )
        .await
    }

    pub(crate) async fn refresh(&self, token: &SecretString) -> Result<Grant> {
        sessions::refresh(&self.db, &self.keys, token).await
    }

    /// Makes the database believe that `seconds` have passed for every session.
    pub(crate) async fn let_pass(&self, seconds: f64) {
        for statement in [
            "update refresh_token set used_at = used_at - make_interval(secs => $1)",
            "update session set expires_at = expires_at - make_interval(secs => $1), created_at = created_at - make_interval(secs => $1)",
            "update user_account set deleted_at = deleted_at - make_interval(secs => $1)",
        ] {
            sqlx::query(statement)
                .bind(seconds)
                .execute(&self.db)
                .await
                .unwrap();
        }
    }
}

pub(crate) fn login(username: &str, password: &str) -> Login {
    Login {
        username: username.to_owned(),
        password: password.into(),
        scopes: Scopes::own(),
        is_operator: false,
        excess: Excess::Refused,
        user_agent: Some("test/1".to_owned()),
    }
}

pub(crate) fn keys(current: &str, previous: Option<&str>) -> Keys {
    let lifetimes = Lifetimes {
        access_token: Duration::from_secs(900),
        refresh_token: Duration::from_secs(30 * 24 * 60 * 60),
        refresh_retry: Duration::from_secs(24 * 60 * 60),
    };
    let previous = previous.map(SecretString::from);
    Keys::new(&current.into(), previous.as_ref(), lifetimes).unwrap()
}
