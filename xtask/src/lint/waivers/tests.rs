use serde_json::Value;

use super::*;

const TEXT: &str = r#"
[[waiver]]
rules = ["CKV_AWS_157", "RDS_TWO_ZONES"]
templates = ["staging/data"]
reason = "One zone is enough to try a release in"
owner = "operations"
expires = 2027-06-30
"#;

fn waivers(text: &str) -> Waivers {
    let policies = ["RDS_TWO_ZONES", "RDS_PRIVATE"].map(str::to_owned);
    Waivers::parse(text, BTreeSet::from(policies)).expect("waivers")
}

fn found(validator: Validator, rule: &str) -> Finding {
    Finding {
        validator,
        rule: rule.to_owned(),
        template: "staging/data".to_owned(),
        resource: "Database".to_owned(),
        message: String::new(),
    }
}

fn judge(text: &str, findings: &[Finding], today: &str) -> Judged {
    let template = |name: &str| Template {
        name: name.to_owned(),
        path: name.into(),
        content: Value::Null,
    };
    waivers(text).judge(
        findings.to_vec(),
        &Validator::ALL,
        &[template("staging/data"), template("production/data")],
        today.parse().expect("a date"),
    )
}

fn both() -> [Finding; 2] {
    [
        found(Validator::Checkov, "CKV_AWS_157"),
        found(Validator::Policies, "RDS_TWO_ZONES"),
    ]
}

#[test]
fn what_is_excused_does_not_count_and_everything_else_does() {
    let mut findings = both().to_vec();
    findings.push(found(Validator::Policies, "RDS_PRIVATE"));
    let judged = judge(TEXT, &findings, "2027-06-30");
    assert_eq!(judged.waived, both());
    assert_eq!(judged.findings, findings[2..]);
    assert_eq!(judged.problems, Vec::<String>::new());
}

#[test]
fn an_expired_waiver_fails_with_its_line() {
    let judged = judge(TEXT, &both(), "2027-07-01");
    let expected = "infra/policy/WAIVERS.toml:2: expired on 2027-06-30; operations decides anew";
    assert_eq!(judged.problems, [expected]);
}

#[test]
fn a_waiver_that_nothing_needs_fails() {
    let judged = judge(TEXT, &both()[..1], "2027-01-01");
    let expected = "infra/policy/WAIVERS.toml:2: RDS_TWO_ZONES is not found any more: take it out";
    assert_eq!(judged.problems, [expected]);
    let wider = TEXT.replace(
        "[\"staging/data\"]",
        "[\"staging/data\", \"production/data\"]",
    );
    let judged = judge(&wider, &both(), "2027-01-01");
    assert_eq!(judged.problems.len(), 2, "{:?}", judged.problems);
}

#[test]
fn rules_and_templates_that_do_not_exist_fail() {
    let unknown = TEXT
        .replace("RDS_TWO_ZONES", "RDS_TOO_ZONES")
        .replace("staging/data", "staging/date");
    let judged = judge(&unknown, &[], "2027-01-01");
    let problems = judged.problems.join("\n");
    assert!(problems.contains("no validator has a rule RDS_TOO_ZONES"));
    assert!(problems.contains("there is no template staging/date"));
}

#[test]
fn a_waiver_needs_reason_owner_and_end() {
    for key in ["reason", "owner", "expires"] {
        let without: Vec<&str> = TEXT.lines().filter(|line| !line.starts_with(key)).collect();
        let error = Waivers::parse(&without.join("\n"), BTreeSet::new()).err();
        let error = format!("{:#}", error.expect("an error"));
        assert!(error.contains(key) && error.contains("line"), "{error}");
    }
    let judged = judge(&TEXT.replace("operations", ""), &both(), "2027-01-01");
    assert!(judged.problems[0].ends_with("owner is empty"));
}
