//! Passwords of accounts: shown at signing in, and changed.

use secrecy::{ExposeSecret, SecretString};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use crate::{
    Error, Refusal, Result, Violation,
    passwords::{self, Hasher},
    sessions::{self, EndReason},
};

/// Someone who knew the password.
#[derive(Debug)]
pub(crate) struct Authenticated {
    pub(crate) user_id: Uuid,
    pub(crate) username: String,
    pub(crate) password_hash: SecretString,
}

/// A new password in place of the current one, both checked.
#[derive(Debug)]
pub struct PasswordChange {
    current_hash: SecretString,
    new_hash: SecretString,
}

/// Who has this username and password. Takes as long where nobody has, and holds no connection while
/// the password is checked.
///
/// # Errors
/// [`Error::InvalidLogin`], and [`Error::Busy`] where too many passwords are being checked.
pub(crate) async fn authenticate(
    db: &PgPool,
    hasher: &Hasher,
    username: &str,
    password: &SecretString,
) -> Result<Authenticated> {
    let account = sqlx::query!(
        r#"select id, password_hash as "password_hash!" from user_account where username = $1 and erased_at is null"#,
        username,
    )
    .fetch_optional(db)
    .await?;
    let hash = account
        .as_ref()
        .map(|account| account.password_hash.as_str());
    let right = hasher.verify(password, hash).await?;
    let Some(account) = account.filter(|_| right) else {
        tracing::info!("a sign-in was refused");
        return Err(Error::InvalidLogin);
    };
    Ok(Authenticated {
        user_id: account.id,
        username: username.to_owned(),
        password_hash: renew(db, hasher, account.id, password, account.password_hash)
            .await?
            .into(),
    })
}

/// The account's hash, made with the present cost where it was not, and stored.
async fn renew(
    db: &PgPool,
    hasher: &Hasher,
    user_id: Uuid,
    password: &SecretString,
    hash: String,
) -> Result<String> {
    if !hasher.is_outdated(&hash) {
        return Ok(hash);
    }
    let renewed = match hasher.hash(password).await {
        // Another time; it is no reason to turn somebody away.
        Err(Error::Busy { .. }) => return Ok(hash),
        renewed => renewed?,
    };
    // Not where the password was changed meanwhile.
    sqlx::query!(
        "update user_account set password_hash = $3 where id = $1 and password_hash = $2",
        user_id,
        hash,
        renewed,
    )
    .execute(db)
    .await?;
    Ok(renewed)
}

impl PasswordChange {
    /// Checks both passwords and hashes the new one; holds no connection meanwhile.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every broken rule, among them a wrong current password;
    /// [`Refusal::NotFound`]; [`Error::Busy`] where too many passwords are being hashed.
    pub async fn prepare(
        db: &PgPool,
        hasher: &Hasher,
        user_id: Uuid,
        current: &SecretString,
        new: &SecretString,
    ) -> Result<Self> {
        let account = sqlx::query!(
            r#"
            select username, email, password_hash as "password_hash!" from user_account
            where id = $1 and deleted_at is null
            "#,
            user_id,
        )
        .fetch_optional(db)
        .await?
        .ok_or(Refusal::NotFound)?;
        let known: Vec<&str> = [Some(account.username.as_str()), account.email.as_deref()]
            .into_iter()
            .flatten()
            .collect();
        let mut violations = passwords::violations("/new_password", new, &known);
        if !hasher.verify(current, Some(&account.password_hash)).await? {
            tracing::info!(%user_id, "a change of password was refused");
            violations.push(wrong_password());
        }
        if !violations.is_empty() {
            return Err(Error::Invalid(violations));
        }
        Ok(Self {
            current_hash: account.password_hash.into(),
            new_hash: hasher.hash(new).await?.into(),
        })
    }
}

/// Carries out a change of password and ends every session but `session_id`.
///
/// # Errors
/// [`Error::Invalid`] where the password has been changed since it was checked.
pub async fn change_password(
    db: &mut PgConnection,
    user_id: Uuid,
    session_id: Uuid,
    change: &PasswordChange,
) -> Result<()> {
    let done = sqlx::query!(
        "
        update user_account set password_hash = $3, version = version + 1, updated_at = now()
        where id = $1 and password_hash = $2
        ",
        user_id,
        change.current_hash.expose_secret(),
        change.new_hash.expose_secret(),
    )
    .execute(&mut *db)
    .await?;
    if done.rows_affected() == 0 {
        return Err(Error::Invalid(vec![wrong_password()]));
    }
    sessions::end_others(db, user_id, Some(session_id), EndReason::PasswordChanged).await?;
    Ok(())
}

fn wrong_password() -> Violation {
    Violation {
        pointer: "/current_password".to_owned(),
        code: "wrong-password",
        detail: "is not the current password".to_owned(),
    }
}
