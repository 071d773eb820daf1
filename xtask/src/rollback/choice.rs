//! Which release a rollback goes back to, and whether the schema lets it.

use crate::aws::release::{Outcome, Release};

/// What runs and where to go, from a ledger with the newest first.
///
/// # Errors
/// In words, where there is no such release.
pub(super) fn choose<'a>(
    ledger: &'a [Release],
    to: Option<&str>,
) -> Result<(&'a Release, &'a Release), String> {
    let mut good = ledger
        .iter()
        .filter(|release| release.outcome == Outcome::Ok);
    let current = good
        .next()
        .ok_or("no release has ended well yet: there is nothing to go back from")?;
    let target = match to {
        Some(id) => ledger
            .iter()
            .find(|release| release.id == id)
            .ok_or_else(|| {
                format!("there is no release {id}: `cargo xtask releases` lists them")
            })?,
        // A rollback is no release to go back to: what it went back to is.
        None => good
            .find(|release| release.digest != current.digest)
            .ok_or("no release before what runs has ended well")?,
    };
    if target.outcome != Outcome::Ok {
        return Err(format!(
            "{} did not end well ({}): choose another with --to",
            target.id,
            target.outcome.as_str()
        ));
    }
    Ok((current, target))
}

/// Why the older program may not fit the database, if so.
pub(super) fn unsafe_schema(current: &Release, target: &Release) -> Option<String> {
    let newer: Vec<&str> = current
        .migrations
        .iter()
        .filter(|name| !target.migrations.contains(name))
        .map(String::as_str)
        .collect();
    (!newer.is_empty()).then(|| {
        format!(
            "the schema has changed since {}: {}. It stays as it is, and nothing shows that the older program fits \
             it. Where you know that it does, say --i-know-schema",
            target.id,
            newer.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;

    fn release(id: &str, digest: &str, outcome: Outcome, migrations: &[&str]) -> Release {
        Release {
            id: id.to_owned(),
            commit: "abc".to_owned(),
            digest: digest.to_owned(),
            who: "me".to_owned(),
            rollback_to: None,
            migrations: migrations.iter().map(ToString::to_string).collect(),
            former: None,
            started: Utc::now(),
            ended: None,
            outcome,
            reason: None,
        }
    }

    fn ledger() -> Vec<Release> {
        vec![
            release("5", "e", Outcome::RolledBack, &["1", "2"]),
            release("4", "d", Outcome::Ok, &["1", "2"]),
            release("3", "d", Outcome::Ok, &["1", "2"]),
            release("2", "b", Outcome::Failed, &["1"]),
            release("1", "a", Outcome::Ok, &["1"]),
        ]
    }

    #[test]
    fn the_last_good_release_of_another_image_is_chosen() {
        let ledger = ledger();
        let (current, target) = choose(&ledger, None).expect("a release");
        assert_eq!((current.id.as_str(), target.id.as_str()), ("4", "1"));
        let (_, named) = choose(&ledger, Some("3")).expect("a release");
        assert_eq!(named.id, "3");
    }

    #[test]
    fn what_did_not_end_well_is_nothing_to_go_back_to() {
        let ledger = ledger();
        let failed = choose(&ledger, Some("2")).expect_err("it failed");
        assert!(failed.contains("failed"), "{failed}");
        assert!(choose(&ledger, Some("9")).is_err());
        assert!(choose(&ledger[..2], None).is_err());
        assert!(choose(&[], None).is_err());
    }

    #[test]
    fn a_schema_that_has_changed_since_is_named() {
        let ledger = ledger();
        let why = unsafe_schema(&ledger[1], &ledger[4]).expect("a reason");
        assert!(why.contains("since 1: 2."), "{why}");
        assert_eq!(unsafe_schema(&ledger[1], &ledger[2]), None);
    }
}
