//! What a task tells of its parent and its subtasks.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{add, call, header, patch, path, post};
use crate::support::{Service, User, problem, success};

async fn get(service: &Service, user: &User, task: &Value) -> Value {
    let answer = call(service, user, Method::GET, &path(task)).await;
    success(answer, StatusCode::OK).await
}

async fn delete(service: &Service, user: &User, task: &Value) {
    let answer = call(service, user, Method::DELETE, &path(task)).await;
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
}

async fn below(service: &Service, user: &User, parent: &Value) -> Value {
    let task = json!({"title": "Below", "parent_id": parent["id"]});
    add(service, user, &task).await
}

#[tokio::test]
async fn a_task_counts_its_subtasks() {
    let service = Service::start().await;
    let user = service.user().await;
    let parent = add(&service, &user, &json!({"title": "Parent"})).await;
    assert_eq!(parent["children"], json!({"total": 0, "open": 0}));
    let mut children = Vec::new();
    for _ in 0..4 {
        children.push(below(&service, &user, &parent).await);
    }
    below(&service, &user, &children[3]).await;
    let done = path(&children[0]) + "/complete";
    success(
        post(&service, &user, &done, &json!({})).await,
        StatusCode::OK,
    )
    .await;
    let cancelled = json!({"status": "cancelled"});
    let cancelled = patch(&service, &user, &children[1], &cancelled).await;
    success(cancelled, StatusCode::OK).await;
    delete(&service, &user, &children[2]).await;

    let expected = json!({"total": 3, "open": 1});
    let found = get(&service, &user, &parent).await;
    assert_eq!(found["children"], expected);
    assert_eq!(found["version"], 1, "it is no change of the parent");
    let list = call(&service, &user, Method::GET, "/v1/tasks?sort=created_at").await;
    let list = success(list, StatusCode::OK).await;
    assert_eq!(list["data"][0], found);
    let changed = patch(&service, &user, &parent, &json!({"title": "P"})).await;
    let changed = success(changed, StatusCode::OK).await;
    assert_eq!(changed["children"], expected);
}

#[tokio::test]
async fn the_entity_tag_changes_with_the_relatives_and_the_version_still_matches() {
    let service = Service::start().await;
    let user = service.user().await;
    let parent = add(&service, &user, &json!({"title": "Parent"})).await;
    let child = below(&service, &user, &parent).await;
    let get = |task: &Value, known: &str| {
        let request = service.by(&user, Method::GET, &path(task));
        request.header("if-none-match", known).send()
    };

    let answer = get(&parent, "\"1\"").await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "it has a subtask by now");
    let tag = header(&answer, "etag").to_owned();
    for same in [
        tag.clone(),
        format!("W/{tag}"),
        tag.replace("1\"", "1-gzip\""),
    ] {
        let answer = get(&parent, &same).await.unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_MODIFIED, "{same}");
    }
    delete(&service, &user, &child).await;
    let answer = get(&parent, &tag).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "the subtask is deleted");

    let child = below(&service, &user, &parent).await;
    for condition in ["\"1\"".to_owned(), tag.replace("\"1", "\"2")] {
        let request = service.by(&user, Method::PATCH, &path(&parent));
        let request = request.header("if-match", &condition);
        let answer = request.json(&json!({"title": condition})).send();
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{condition}");
    }
    delete(&service, &user, &parent).await;
    let answer = get(&child, "\"1\"").await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK, "the parent is deleted");
    for nonsense in ["\"1-\"", "\"1-x\"", "\"-1.1\""] {
        let request = service.by(&user, Method::DELETE, &path(&child));
        let answer = request.header("if-match", nonsense).send().await.unwrap();
        problem(answer, StatusCode::BAD_REQUEST, "invalid-header").await;
    }
}

#[tokio::test]
async fn a_subtask_says_that_its_parent_is_in_the_trash() {
    let service = Service::start().await;
    let user = service.user().await;
    let parent = add(&service, &user, &json!({"title": "Parent"})).await;
    let child = below(&service, &user, &parent).await;
    assert_eq!(child["parent_deleted_at"], Value::Null);
    delete(&service, &user, &parent).await;

    let orphan = get(&service, &user, &child).await;
    assert!(orphan["parent_deleted_at"].is_string());
    assert_eq!(orphan["parent_id"], parent["id"]);
    let list = call(&service, &user, Method::GET, "/v1/tasks").await;
    let list = success(list, StatusCode::OK).await;
    assert_eq!(list["data"], json!([orphan]));

    let same = json!({"parent_id": parent["id"]});
    let unchanged = patch(&service, &user, &child, &same).await;
    assert_eq!(
        success(unchanged, StatusCode::OK).await,
        orphan,
        "what stands may be repeated"
    );
    let both = json!({"parent_id": parent["id"], "title": "Renamed"});
    let renamed = success(patch(&service, &user, &child, &both).await, StatusCode::OK).await;
    assert_eq!(renamed["title"], "Renamed");
    assert_eq!(renamed["parent_deleted_at"], orphan["parent_deleted_at"]);

    let another = add(&service, &user, &json!({"title": "Another"})).await;
    let refused = patch(&service, &user, &another, &same).await;
    let refused = problem(
        refused,
        StatusCode::UNPROCESSABLE_ENTITY,
        "validation-failed",
    )
    .await;
    assert_eq!(refused["errors"][0]["code"], "deleted-parent");

    let restore = path(&parent) + "/restore";
    let restored = call(&service, &user, Method::POST, &restore).await;
    let restored = success(restored, StatusCode::OK).await;
    assert_eq!(restored["children"], json!({"total": 1, "open": 1}));
    let child = get(&service, &user, &child).await;
    assert_eq!(child["parent_deleted_at"], Value::Null);
}

#[tokio::test]
async fn an_id_in_ones_own_trash_leads_to_its_restoration() {
    let service = Service::start().await;
    let (user, stranger) = (service.user().await, service.user().await);
    let offline = json!({"id": Uuid::now_v7(), "title": "Made offline"});
    let task = add(&service, &user, &offline).await;
    delete(&service, &user, &task).await;

    let answer = post(&service, &user, "/v1/tasks", &offline).await;
    let document = problem(answer, StatusCode::CONFLICT, "already-exists").await;
    assert!(document["deleted_at"].is_string());
    let restore = document["restore"].as_str().unwrap();
    let restored = call(&service, &user, Method::POST, restore).await;
    let restored = success(restored, StatusCode::OK).await;
    assert_eq!(
        (&restored["id"], &restored["deleted_at"]),
        (&offline["id"], &Value::Null)
    );

    delete(&service, &user, &task).await;
    let answer = post(&service, &stranger, "/v1/tasks", &offline).await;
    let document = problem(answer, StatusCode::CONFLICT, "already-exists").await;
    assert_eq!(
        (&document["deleted_at"], &document["restore"]),
        (&Value::Null, &Value::Null)
    );
}
