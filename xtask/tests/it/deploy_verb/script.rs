//! What the test decides of an account, and what AWS then says.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicI32, Ordering},
};

use serde_json::{Value, json};

use super::{between::Exchange, states::States};
use crate::support::eventually;

/// What the test decides of the account.
#[derive(Default)]
pub(crate) struct Script {
    /// Of the migration; a negative one means that it does not end.
    pub(crate) migration: AtomicI32,
    /// No worker does a job.
    pub(crate) is_idle: AtomicBool,
    /// An image whose tasks never get healthy.
    pub(crate) sick: Mutex<String>,
    /// ECS has gone back to a former task definition without a word.
    pub(crate) is_taken_back: AtomicBool,
    /// AWS refuses the credentials.
    pub(crate) is_denied: AtomicBool,
    /// The database is to be replaced.
    pub(crate) replaces_data: AtomicBool,
    /// Stacks in states that the emulator does not reach.
    pub(crate) states: States,
    /// S3 refuses to note that a release is proven.
    pub(crate) ledger_is_closed: AtomicBool,
    /// CloudFormation does not say what a change set would change.
    pub(crate) keeps_reckoning: AtomicBool,
    /// Somebody else executes each change set first.
    pub(crate) is_outrun: AtomicBool,
    /// Both services have a deployment under way.
    pub(crate) is_rolling: AtomicBool,
    /// How tasks end while the services go back: what ECS says, and the exit code.
    pub(crate) ends: Mutex<Vec<(&'static str, i32)>>,
    /// The data stack's template protects the database against deletion.
    pub(crate) protects_database: AtomicBool,
    /// Somebody took that off by hand.
    pub(crate) is_unprotected: AtomicBool,
    /// Every version of a secret is an hour old.
    pub(crate) secrets_are_old: AtomicBool,
    /// Of what somebody runs once as a service; a negative one means that it does not end until it is stopped.
    pub(crate) once: AtomicI32,
    /// The services let commands into their tasks.
    pub(crate) lets_in: AtomicBool,
    /// Where ECR says that the repository is, and its password in base 64.
    pub(crate) repository: Mutex<Option<(String, String)>>,
}

/// What the emulator must not hear of.
pub(super) fn answer(script: &Script, operation: &str, request: &str) -> Option<(u16, String)> {
    let is = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
    match operation {
        "DescribeChangeSet" if is(&script.keeps_reckoning) => {
            eventually("it reckons no more", || !is(&script.keeps_reckoning));
        }
        "ExecuteChangeSet" if is(&script.is_outrun) => {
            let why = "ChangeSet cannot be executed in its current execution status of OBSOLETE";
            return Some(refusal("InvalidChangeSetStatus", why));
        }
        "DetectStackResourceDrift" => return Some((200, protection(is(&script.is_unprotected)))),
        "ListServiceDeployments" if is(&script.is_rolling) => {
            let deployment =
                "arn:aws:ecs:eu-central-1:000000000000:service-deployment/taskhub-staging/api/1";
            let under_way = json!({"serviceDeployments": [{"serviceDeploymentArn": deployment}]});
            return Some((200, under_way.to_string()));
        }
        "StopServiceDeployment" if is(&script.is_rolling) => return Some((200, "{}".to_owned())),
        "ListTasks" | "DescribeTasks" => {
            let ends = script.ends.lock().expect("no panic").clone();
            let goes_back = script.states.says("service", "UPDATE_ROLLBACK_IN_PROGRESS");
            if !ends.is_empty() && goes_back && request.contains("STOPPED") {
                let arns: Vec<String> = (0..ends.len()).map(ended).collect();
                return Some((200, json!({"taskArns": arns}).to_string()));
            }
            if request.contains(ENDED) {
                return Some((200, ended_tasks(&ends)));
            }
        }
        _ if is(&script.ledger_is_closed)
            && operation.starts_with("PUT ")
            && operation.contains("/release.json")
            && request.contains("\"ok\"") =>
        {
            return Some((403, "<Error><Code>AccessDenied</Code></Error>".to_owned()));
        }
        _ => {}
    }
    script.states.answer(operation, request)
}

/// As CloudFormation words it.
pub(super) fn refusal(code: &str, message: &str) -> (u16, String) {
    let text = format!(
        "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    );
    (400, text)
}

/// How the database differs from its template.
fn protection(is_off: bool) -> String {
    let difference = "<PropertyDifferences><member><PropertyPath>/DeletionProtection</PropertyPath>\
                      <ExpectedValue>true</ExpectedValue><ActualValue>false</ActualValue>\
                      <DifferenceType>NOT_EQUAL</DifferenceType></member></PropertyDifferences>";
    let difference = if is_off { difference } else { "" };
    format!(
        "<DetectStackResourceDriftResponse><DetectStackResourceDriftResult><StackResourceDrift>\
         <LogicalResourceId>Database</LogicalResourceId>{difference}</StackResourceDrift>\
         </DetectStackResourceDriftResult></DetectStackResourceDriftResponse>"
    )
}

/// Begins the names of tasks that have ended.
const ENDED: &str = "arn:aws:ecs:eu-central-1:000000000000:task/taskhub-staging/0ddba11-";

fn ended(number: usize) -> String {
    format!("{ENDED}{number}")
}

fn ended_tasks(ends: &[(&str, i32)]) -> String {
    let tasks = ends.iter().enumerate().map(|(number, (reason, code))| {
        json!({
            "taskArn": ended(number),
            "lastStatus": "STOPPED",
            "stoppedReason": reason,
            "containers": [{"name": "api", "exitCode": code}],
        })
    });
    json!({"tasks": tasks.collect::<Vec<Value>>()}).to_string()
}

pub(super) fn change(script: &Script, exchange: &mut Exchange) {
    let is = |flag: &AtomicBool| flag.load(Ordering::SeqCst);
    match exchange.operation.as_str() {
        "GET /health" => (exchange.status, exchange.answer) = (200, "{}".to_owned()),
        "GET /v1/meta" => {
            let meta = json!({"commit": "0123abc"});
            (exchange.status, exchange.answer) = (200, meta.to_string());
        }
        "DescribeTasks" => change_tasks(script, exchange),
        "StopTask" => script.once.store(STOPPED, Ordering::SeqCst),
        "GetLogEvents" if exchange.request.contains("api/api/") => {
            (exchange.status, exchange.answer) = (200, written(&exchange.request));
        }
        "DescribeServices" if is(&script.lets_in) => let_in(exchange),
        "DescribeRepositories" | "GetAuthorizationToken" => change_registry(script, exchange),
        "GetTemplate" if is(&script.protects_database) => {
            for quote in ["\"", "&quot;"] {
                let of = |value: bool| format!("DeletionProtection{quote}: {value}");
                exchange.answer = exchange.answer.replace(&of(false), &of(true));
            }
        }
        "ListSecretVersionIds" if is(&script.secrets_are_old) => age(exchange),
        "DescribeTargetHealth" => exchange.answer = targets(),
        "DescribeServices" if is(&script.is_denied) => {
            exchange.status = 400;
            let error = json!({"__type": "ExpiredTokenException", "message": "The security token is expired"});
            exchange.answer = error.to_string();
        }
        "DescribeServices" if is(&script.is_taken_back) => take_back(exchange),
        "DescribeStacks" if is(&script.is_denied) => {
            exchange.status = 403;
            exchange.answer = "<ErrorResponse><Error><Type>Sender</Type><Code>ExpiredToken</Code>\
                               <Message>The security token is expired</Message></Error></ErrorResponse>"
                .to_owned();
        }
        "DescribeChangeSet" if is(&script.replaces_data) && exchange.request.contains("-data") => {
            exchange.answer = replacement();
        }
        "DescribeStacks" => script.states.change(exchange),
        _ => {}
    }
}

fn age(exchange: &mut Exchange) {
    let mut answer: Value = serde_json::from_str(&exchange.answer).expect("JSON");
    for version in answer["Versions"].as_array_mut().expect("versions") {
        let created = version["CreatedDate"].as_i64().expect("a time");
        version["CreatedDate"] = json!(created - 3600);
    }
    exchange.answer = answer.to_string();
}

/// The emulator's tasks have neither addresses nor an end of their own choosing.
fn change_tasks(script: &Script, exchange: &mut Exchange) {
    let mut answer: Value = serde_json::from_str(&exchange.answer).expect("JSON");
    let sick = script.sick.lock().expect("no panic").clone();
    let lets_in = script.lets_in.load(Ordering::SeqCst);
    for task in answer["tasks"].as_array_mut().expect("tasks") {
        let container = &mut task["containers"][0];
        let image = container["image"].as_str().unwrap_or_default().to_owned();
        let is_sick = !sick.is_empty() && image.ends_with(&sick);
        let address = if is_sick { "10.0.0.2" } else { "10.0.0.1" };
        container["networkInterfaces"] = json!([{"privateIpv4Address": address}]);
        container["imageDigest"] = json!(image.rsplit('@').next());
        let by = task["startedBy"].as_str().unwrap_or_default().to_owned();
        let code = if by.ends_with("-run") {
            Some(script.once.load(Ordering::SeqCst))
        } else if by.ends_with("-smoke") {
            Some(i32::from(script.is_idle.load(Ordering::SeqCst)))
        } else {
            let is_migration = task["containers"][0]["name"] == "migrate";
            is_migration.then(|| script.migration.load(Ordering::SeqCst))
        };
        task["enableExecuteCommand"] = json!(lets_in);
        if let Some(code) = code {
            let has_ended = code >= 0;
            let code = if has_ended { json!(code) } else { Value::Null };
            task["containers"][0]["exitCode"] = code;
            task["lastStatus"] = json!(if has_ended { "STOPPED" } else { "RUNNING" });
            task["stoppedReason"] = json!("Essential container in task exited");
        }
    }
    exchange.answer = answer.to_string();
}

/// SIGTERM's.
const STOPPED: i32 = 143;

/// What a task of the API writes that is run once: two lines, the second of which is no JSON.
fn written(request: &str) -> String {
    let is_first = !request.contains("nextToken");
    let line = |message: &str| json!({"timestamp": 1, "ingestionTime": 1, "message": message});
    let lines = [
        line("{\"level\":\"INFO\",\"message\":\"done once\"}"),
        line("half a {"),
    ];
    let lines = if is_first { lines.to_vec() } else { Vec::new() };
    json!({"events": lines, "nextForwardToken": "f/2", "nextBackwardToken": "b/0"}).to_string()
}

fn let_in(exchange: &mut Exchange) {
    let mut answer: Value = serde_json::from_str(&exchange.answer).expect("JSON");
    for service in answer["services"].as_array_mut().expect("services") {
        service["enableExecuteCommand"] = json!(true);
    }
    exchange.answer = answer.to_string();
}

/// The account's repository is a registry on loopback.
fn change_registry(script: &Script, exchange: &mut Exchange) {
    let scripted = script.repository.lock().expect("no panic").clone();
    let Some((address, token)) = scripted else {
        return;
    };
    let mut answer: Value = serde_json::from_str(&exchange.answer).expect("JSON");
    if exchange.operation == "GetAuthorizationToken" {
        answer["authorizationData"][0]["authorizationToken"] = json!(token);
    } else {
        answer["repositories"][0]["repositoryUri"] = json!(address);
    }
    exchange.answer = answer.to_string();
}

/// The load balancer knows one task that is healthy and one that is not.
fn targets() -> String {
    let target = |id: &str, state: &str| {
        format!(
            "<member><Target><Id>{id}</Id><Port>8000</Port></Target>\
             <TargetHealth><State>{state}</State></TargetHealth></member>"
        )
    };
    format!(
        "<DescribeTargetHealthResponse xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/\">\
         <DescribeTargetHealthResult><TargetHealthDescriptions>{}{}</TargetHealthDescriptions>\
         </DescribeTargetHealthResult></DescribeTargetHealthResponse>",
        target("10.0.0.1", "healthy"),
        target("10.0.0.2", "unhealthy")
    )
}

/// As after a circuit breaker that CloudFormation has not heard of.
fn take_back(exchange: &mut Exchange) {
    let mut answer: Value = serde_json::from_str(&exchange.answer).expect("JSON");
    for service in answer["services"].as_array_mut().expect("services") {
        let family = service["taskDefinition"]
            .as_str()
            .expect("an ARN")
            .rsplit_once(':');
        let (family, _) = family.expect("a revision");
        service["deployments"][0]["taskDefinition"] = json!(format!("{family}:1"));
    }
    exchange.answer = answer.to_string();
}

fn replacement() -> String {
    "<DescribeChangeSetResponse xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\">\
     <DescribeChangeSetResult><Status>CREATE_COMPLETE</Status><Changes><member><Type>Resource</Type>\
     <ResourceChange><Action>Modify</Action><LogicalResourceId>Database</LogicalResourceId>\
     <ResourceType>AWS::RDS::DBInstance</ResourceType><Replacement>True</Replacement><Details><member><Target>\
     <Attribute>Properties</Attribute><Name>Engine</Name></Target></member></Details>\
     </ResourceChange></member></Changes></DescribeChangeSetResult></DescribeChangeSetResponse>"
        .to_owned()
}
