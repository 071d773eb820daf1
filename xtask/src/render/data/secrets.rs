//! The secrets of the contract. Values are made by Secrets Manager or come from the operator; none is in a
//! template.

use serde_json::{Value, json};

use super::Imports;
use crate::{
    contract::RDS_CERTIFICATES,
    environments::Environment,
    render::{
        network::CACHE_PORT,
        template::{Template, compact, reference, secret_arn, sub},
    },
};

/// Owns the schema; only migrations use it.
pub(super) const OWNER: &str = "taskhub_owner";

/// Reads and writes rows.
const SERVICE: &str = "taskhub_service";

/// Of the API and the worker in Valkey.
pub(super) const CACHE_USER: &str = "taskhub";

pub(super) const DATABASE_NAME: &str = "taskhub";

pub(super) fn add(template: &mut Template, environment: &Environment, imports: &Imports) {
    database(
        template,
        environment,
        imports,
        "Owner",
        OWNER,
        "owns the schema; read by the migration",
    );
    database(
        template,
        environment,
        imports,
        "Service",
        SERVICE,
        "reads and writes rows; read by the API and the worker",
    );
    cache(template, environment, imports);
    let generate = json!({
        "SecretStringTemplate": "{}",
        "GenerateStringKey": "JWT_SECRET",
        "PasswordLength": 64,
        "ExcludePunctuation": true,
    });
    let description =
        "Signs access tokens; add JWT_SECRET_PREVIOUS while a former key is still accepted";
    secret(
        template,
        environment,
        imports,
        "AppSecret",
        "app",
        description,
        ("GenerateSecretString", generate),
    );
    // Nobody but the operator knows the mail server. An empty value counts as unset: the worker says so.
    let description = "MAIL_URL, to be filled by the operator: smtps://USER:PASSWORD@HOST";
    let empty = compact(&json!({"MAIL_URL": ""}));
    secret(
        template,
        environment,
        imports,
        "MailSecret",
        "mail",
        description,
        ("SecretString", json!(empty)),
    );
}

/// RDS adds host and port when it is attached.
fn database(
    template: &mut Template,
    environment: &Environment,
    imports: &Imports,
    who: &str,
    user: &str,
    does: &str,
) {
    let id = format!("Database{who}Secret");
    let shape = json!({
        "username": user,
        "dbname": DATABASE_NAME,
        "sslmode": "verify-full",
        "sslrootcert": RDS_CERTIFICATES,
    });
    let generate = json!({
        "SecretStringTemplate": compact(&shape),
        "GenerateStringKey": "password",
        "PasswordLength": 48,
        "ExcludePunctuation": true,
    });
    let name = format!("database-{}", who.to_lowercase());
    let description = format!("The PostgreSQL role {user}: {does}");
    secret(
        template,
        environment,
        imports,
        &id,
        &name,
        &description,
        ("GenerateSecretString", generate),
    );
    template.add(
        format!("{id}Attachment"),
        "AWS::SecretsManager::SecretTargetAttachment",
        json!({
            "SecretId": secret_arn(&id),
            "TargetId": reference("Database"),
            "TargetType": "AWS::RDS::DBInstance",
        }),
    );
}

/// The password alone first, since the user needs it before there is a host; then all that leads to Valkey.
fn cache(template: &mut Template, environment: &Environment, imports: &Imports) {
    let generate = json!({"PasswordLength": 64, "ExcludePunctuation": true});
    let description =
        "The password of Valkey's user taskhub; the secret cache repeats it for the programs";
    secret(
        template,
        environment,
        imports,
        "CachePassword",
        "cache-password",
        description,
        ("GenerateSecretString", generate),
    );
    let text = format!(
        "{{\"host\":\"${{Cache.PrimaryEndPoint.Address}}\",\"port\":{CACHE_PORT},\"username\":\"{CACHE_USER}\",\
         \"auth_token\":\"{{{{resolve:secretsmanager:${{CachePassword}}:SecretString}}}}\"}}"
    );
    let description = "Host, port and password of Valkey; read by the API and the worker";
    secret(
        template,
        environment,
        imports,
        "CacheSecret",
        "cache",
        description,
        ("SecretString", json!(sub(text))),
    );
}

fn secret(
    template: &mut Template,
    environment: &Environment,
    imports: &Imports,
    id: &str,
    name: &str,
    description: &str,
    content: (&str, Value),
) {
    template
        .add(
            id,
            "AWS::SecretsManager::Secret",
            json!({
                "Name": format!("taskhub/{}/{name}", environment.name),
                "Description": description,
                "KmsKeyId": imports.key,
                content.0: content.1,
            }),
        )
        .retained();
}
