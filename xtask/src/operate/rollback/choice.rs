//! Which release a rollback goes back to, and whether the schema lets it.

use std::collections::BTreeSet;

use crate::aws::release::{Outcome, Release};

/// Where to go, from a ledger with the newest first.
///
/// # Errors
/// In words, where there is no such release.
pub(super) fn choose<'a>(ledger: &'a [Release], to: Option<&str>) -> Result<&'a Release, String> {
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
    Ok(target)
}

/// Every migration that the database has had: those of each release in the ledger, for what failed may have
/// migrated, and nothing takes that back.
pub(super) fn schema(ledger: &[Release]) -> BTreeSet<String> {
    let names = ledger.iter().flat_map(|release| &release.migrations);
    names.cloned().collect()
}

/// Why the older program may not fit the database, if so. It does where a check has seen the target's programs on
/// the very schema that the database has.
pub(super) fn unsafe_schema(ledger: &[Release], target: &Release) -> Option<String> {
    let schema = schema(ledger);
    let newer: Vec<&str> = schema
        .iter()
        .filter(|name| !target.migrations.contains(name))
        .map(String::as_str)
        .collect();
    if newer.is_empty() {
        return None;
    }
    let mut why = "nothing shows that the older program fits it".to_owned();
    for release in ledger {
        let Some(verdict) = &release.verdict else {
            continue;
        };
        let against = verdict.against.as_deref().unwrap_or_default();
        let is_about_both = against.starts_with(&target.commit)
            && release.migrations.len() == schema.len()
            && release.migrations.iter().all(|name| schema.contains(name));
        if is_about_both && verdict.rollback_safe {
            return None;
        }
        if is_about_both {
            why = format!("the check of {} says: {}", release.id, verdict.why);
        }
    }
    Some(format!(
        "the schema has changed since {}: {}. It stays as it is, and {why}. Where you know that the older program fits \
         it, say --i-know-schema",
        target.id,
        newer.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use chrono::Utc;

    use super::*;
    use crate::release::verdict::Verdict;

    fn release(id: &str, digest: &str, outcome: Outcome, migrations: &[&str]) -> Release {
        Release {
            id: id.to_owned(),
            commit: format!("abc{id}"),
            digest: digest.to_owned(),
            who: "me".to_owned(),
            rollback_to: None,
            migrations: migrations.iter().map(ToString::to_string).collect(),
            verdict: None,
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
        let target = choose(&ledger, None).expect("a release");
        assert_eq!(target.id, "1");
        let named = choose(&ledger, Some("3")).expect("a release");
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
        let why = unsafe_schema(&ledger, &ledger[4]).expect("a reason");
        assert!(why.contains("since 1: 2."), "{why}");
        assert_eq!(unsafe_schema(&ledger, &ledger[2]), None);
    }

    #[test]
    fn what_a_failed_release_has_migrated_counts() {
        let mut ledger = ledger();
        ledger[0].migrations.push("3".to_owned());
        let why = unsafe_schema(&ledger, &ledger[2]).expect("a reason");
        assert!(why.contains("since 3: 3."), "{why}");
    }

    fn verdict(against: &str, rollback_safe: bool) -> Option<Verdict> {
        Some(Verdict {
            commit: "0".repeat(40),
            against: Some(format!("{against}{}", "0".repeat(36))),
            passed: true,
            rollback_safe,
            why: "it was tried".to_owned(),
        })
    }

    #[test]
    fn a_safe_verdict_about_both_lets_a_rollback_go_over_migrations() {
        let mut ledger = ledger();
        ledger[2].verdict = verdict("abc1", true);
        assert_eq!(unsafe_schema(&ledger, &ledger[4]), None);

        // Migrated further since, which nobody has tried with those programs.
        ledger[0].migrations.push("3".to_owned());
        assert!(unsafe_schema(&ledger, &ledger[4]).is_some());
    }

    #[test]
    fn an_unsafe_verdict_and_one_about_another_release_do_not() {
        let mut ledger = ledger();
        ledger[2].verdict = verdict("abc1", false);
        let why = unsafe_schema(&ledger, &ledger[4]).expect("a reason");
        assert!(why.contains("the check of 3 says: it was tried"), "{why}");
        ledger[2].verdict = verdict("abc2", true);
        assert!(unsafe_schema(&ledger, &ledger[4]).is_some());
    }

    #[test]
    fn an_entry_from_before_there_were_verdicts_can_still_be_read() {
        let mut entry = serde_json::to_value(&ledger()[0]).expect("JSON");
        entry.as_object_mut().expect("an object").remove("verdict");
        let read: Release = serde_json::from_value(entry).expect("a release");
        assert_eq!(read.verdict, None);
    }
}
