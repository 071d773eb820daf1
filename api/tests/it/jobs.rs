//! Jobs over HTTP, as those see them whom they concern.

mod admin;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Service, User, problem, success};

/// A user whom a job concerns that `columns` describes, and its id.
async fn someone_with_a_job(service: &Service, columns: &str, values: &str) -> (User, Uuid) {
    let user = service.user().await;
    let statement = format!(
        "
        insert into job (kind, args_version, args, user_id {columns})
        select 'welcome_email', 1, '{{\"secret\": 1}}', id {values} from user_account where username = $1
        returning public_id
        "
    );
    let id = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
        .bind(&user.username)
        .fetch_one(&service.database.pool)
        .await
        .unwrap();
    (user, id)
}

async fn get(service: &Service, user: &User, id: Uuid) -> Value {
    let request = service.by(user, Method::GET, &format!("/v1/jobs/{id}"));
    success(request.send().await.unwrap(), StatusCode::OK).await
}

#[tokio::test]
async fn a_job_is_shown_to_whom_it_concerns() {
    let service = Service::start().await;
    let (user, id) = someone_with_a_job(&service, "", "").await;
    let job = get(&service, &user, id).await;
    assert_eq!(job["id"], id.to_string());
    assert_eq!(job["kind"], "welcome_email");
    assert_eq!(job["status"], "queued");
    assert_eq!(
        (&job["error"], &job["finished_at"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn someone_elses_job_does_not_exist() {
    let service = Service::start().await;
    let (_, id) = someone_with_a_job(&service, "", "").await;
    let stranger = service.user().await;
    for id in [id, Uuid::new_v4()] {
        let request = service.by(&stranger, Method::GET, &format!("/v1/jobs/{id}"));
        problem(
            request.send().await.unwrap(),
            StatusCode::NOT_FOUND,
            "not-found",
        )
        .await;
    }
    // Nor does it for an operator, at this address.
    let operator = service.operator().await;
    let request = service.by(&operator, Method::GET, &format!("/v1/jobs/{id}"));
    problem(
        request.send().await.unwrap(),
        StatusCode::NOT_FOUND,
        "not-found",
    )
    .await;
}

#[tokio::test]
async fn a_job_says_where_it_stands_and_nothing_from_inside() {
    let service = Service::start().await;
    let cases = [
        (
            ", state, run_at",
            ", 'scheduled', now() + interval '1 hour'",
            "queued",
            Value::Null,
        ),
        (
            ", state, attempt, last_error",
            ", 'scheduled', 1, 'db.internal: refused'",
            "failed",
            json!("attempt-failed"),
        ),
        (
            ", state, attempt, lease_token, lease_until, progress",
            ", 'running', 1, gen_random_uuid(), now() + interval '1 hour', '{\"done\": 3}'",
            "running",
            Value::Null,
        ),
        (
            ", state, attempt, finished_at, result",
            ", 'done', 1, now(), '{\"sent\": true}'",
            "succeeded",
            Value::Null,
        ),
        (
            ", state, attempt, finished_at, last_error",
            ", 'dead', 10, now(), 'db.internal: refused'",
            "dead",
            json!("given-up"),
        ),
        (
            ", state, finished_at",
            ", 'cancelled', now()",
            "cancelled",
            Value::Null,
        ),
    ];
    for (columns, values, status, error) in cases {
        let (user, id) = someone_with_a_job(&service, columns, values).await;
        let job = get(&service, &user, id).await;
        assert_eq!(job["status"], status, "{job}");
        assert_eq!(job["error"]["code"], error, "{job}");
        let text = job.to_string();
        assert!(
            !text.contains("internal") && !text.contains("secret"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn asking_again_for_an_unchanged_job_costs_no_body() {
    let service = Service::start().await;
    let (user, id) = someone_with_a_job(&service, "", "").await;
    let path = format!("/v1/jobs/{id}");
    let first = service.by(&user, Method::GET, &path).send().await.unwrap();
    let tag = first.headers()["etag"].clone();
    let again = async || {
        let request = service.by(&user, Method::GET, &path);
        request.header("If-None-Match", &tag).send().await.unwrap()
    };
    assert_eq!(again().await.status(), StatusCode::NOT_MODIFIED);
    sqlx::query("update job set progress = '1'")
        .execute(&service.database.pool)
        .await
        .unwrap();
    let changed = again().await;
    assert_ne!(changed.headers()["etag"], tag);
    assert_eq!(success(changed, StatusCode::OK).await["progress"], 1);
}
