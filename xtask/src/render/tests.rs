//! What holds across resources and stacks, which no validator of single templates sees.

mod releases;
mod secrets;
mod stacks;

use std::path::Path;

use serde_json::Value;

use super::*;
use crate::{contract::Task, environments::Name};

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
}

/// Both environments, as they are committed.
pub(super) fn environments() -> Vec<Rendered> {
    Name::ALL
        .into_iter()
        .map(|name| {
            let environment = Environment::load(root(), name).expect("a file without faults");
            render(environment).expect("sources for all variables")
        })
        .collect()
}

/// Every environment with one of its stacks.
pub(super) fn each(stack: Stack) -> Vec<(Environment, Value)> {
    let of = |rendered: Rendered| {
        let (_, template) = rendered
            .stacks
            .into_iter()
            .find(|(other, _)| *other == stack)
            .expect("the stack");
        (rendered.environment, template.to_value())
    };
    environments().into_iter().map(of).collect()
}

/// The properties of every resource of that type, by logical id.
pub(super) fn of_kind<'a>(template: &'a Value, kind: &str) -> Vec<(&'a str, &'a Value)> {
    let resources = template["Resources"].as_object().expect("resources");
    let found = resources
        .iter()
        .filter(|(_, resource)| resource["Type"] == kind);
    found
        .map(|(id, resource)| (id.as_str(), &resource["Properties"]))
        .collect()
}

pub(super) fn properties<'a>(template: &'a Value, id: &str) -> &'a Value {
    let properties = &template["Resources"][id]["Properties"];
    assert!(properties.is_object(), "there is no {id}");
    properties
}

/// The value of a load balancer's or a target group's attribute.
pub(super) fn attribute_of<'a>(list: &'a Value, key: &str) -> &'a str {
    let entries = list.as_array().expect("attributes");
    let entry = entries
        .iter()
        .find(|entry| entry["Key"] == key)
        .expect("the attribute");
    entry["Value"].as_str().expect("a text")
}

#[test]
fn what_is_committed_is_what_is_rendered() {
    let fresh = files(root()).expect("files");
    let kept = read(root()).expect("a folder");
    let stale = changed(&kept, &fresh);
    assert!(
        stale.is_empty(),
        "{stale:?} are stale: run `cargo xtask render`"
    );
}

#[test]
fn a_stale_file_is_shown_as_a_unified_diff() {
    let path = PathBuf::from("infra/rendered/a.json");
    let kept = Files::from([(path.clone(), "one\ntwo\n".to_owned())]);
    let fresh = Files::from([(path.clone(), "one\nthree\n".to_owned())]);
    assert_eq!(changed(&kept, &fresh), [&path]);
    let text = diff(&path, &kept, &fresh);
    assert!(
        text.contains("--- infra/rendered/a.json (committed)"),
        "{text}"
    );
    assert!(text.contains("-two\n+three\n"), "{text}");
    assert_eq!(verdict(&[&path]), ExitCode::from(4));
    assert_eq!(verdict(&[]), ExitCode::SUCCESS);
}

#[test]
fn what_is_no_longer_rendered_is_removed() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = Files::from([(PathBuf::from("infra/rendered/old.json"), "1".to_owned())]);
    let new = Files::from([(
        PathBuf::from("infra/rendered/deep/new.json"),
        "2".to_owned(),
    )]);
    write(folder.path(), &Files::new(), &old).expect("a folder that can be written");
    write(folder.path(), &old, &new).expect("a folder that can be written");
    assert_eq!(read(folder.path()).expect("a folder"), new);
}

#[test]
fn a_template_does_not_depend_on_the_order_in_which_it_was_made() {
    let one = json!({"b": [1, {"d": 1, "c": 2}], "a": "x"});
    let other = json!({"a": "x", "b": [1, {"c": 2, "d": 1}]});
    assert_eq!(template::text(&one), template::text(&other));
    assert_eq!(
        template::text(&one),
        "{\n \"a\": \"x\",\n \"b\": [1, {\"c\": 2, \"d\": 1}]\n}\n"
    );
}

#[test]
fn a_rendered_template_reads_back_as_what_it_was() {
    for rendered in environments() {
        for (_, template) in &rendered.stacks {
            let value = template.to_value();
            let back: Value = serde_json::from_str(&template::text(&value)).expect("JSON");
            assert_eq!(back, value);
        }
    }
}

#[test]
fn another_price_is_another_total() {
    for (environment, network) in each(Stack::Network) {
        let prices = cost::Prices::built_in().expect("prices");
        let total = cost::total(&cost::of(&network, &prices));
        assert!(total > 0.0, "{}'s network costs nothing", environment.name);
        let mut without = network.clone();
        without["Resources"]
            .as_object_mut()
            .expect("resources")
            .retain(|_, resource| {
                !matches!(
                    resource["Type"].as_str(),
                    Some("AWS::EC2::NatGateway" | "AWS::EC2::VPCEndpoint")
                )
            });
        assert!(cost::total(&cost::of(&without, &prices)) < total);
    }
}

/// Reckoned by hand from the table: 2 × (0.5 × 0.03725 + 1 × 0.00409) × 730.
#[test]
fn two_small_tasks_cost_what_the_table_says() {
    let (_, service) = each(Stack::Service).remove(1);
    let items = cost::of(&service, &cost::Prices::built_in().expect("prices"));
    let api = items
        .iter()
        .find(|item| item.resource == "ApiService")
        .expect("the API");
    assert!((api.monthly - 33.1639).abs() < 0.001, "{}", api.monthly);
}

#[test]
fn production_meets_every_control_but_those_that_are_known() {
    let rendered = environments().remove(1);
    let open: Vec<&str> = compliance::unmet(&rendered.stacks)
        .iter()
        .map(|(id, _)| *id)
        .collect();
    // Each has its reason in infra/policy/WAIVERS.toml.
    assert_eq!(
        open,
        ["ELB.21†", "ELB.22†", "SecretsManager.1", "S3.9", "S3.17†"]
    );
}
