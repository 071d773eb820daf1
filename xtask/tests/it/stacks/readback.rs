//! What the services say of their resources, beside what was rendered.

mod account;
mod data;
mod programs;

use serde_json::Value;

use super::environment::Environment;

pub(crate) fn everything(environment: &Environment) {
    data::database(environment);
    data::database_parameters_and_events(environment);
    data::cache(environment);
    programs::tasks_and_services(environment);
    programs::scaling(environment);
    programs::load_balancer(environment);
    data::secrets(environment);
    account::roles(environment);
    account::log_groups(environment);
    account::alarms(environment);
}

fn without(properties: &Value, names: &[&str]) -> Value {
    let mut rest = properties.clone();
    for name in names {
        rest.as_object_mut().expect("properties").remove(*name);
    }
    rest
}
