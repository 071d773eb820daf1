use std::collections::BTreeSet;

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::{
    support::{Service, User, problem, success},
    tasks::add,
};

async fn get(service: &Service, user: &User, query: &str) -> Response {
    let request = service.by(user, Method::GET, &format!("/v1/tasks{query}"));
    request.send().await.unwrap()
}

async fn page(service: &Service, user: &User, query: &str) -> Value {
    success(get(service, user, query).await, StatusCode::OK).await
}

fn titles(page: &Value) -> Vec<&str> {
    let tasks = page["data"].as_array().unwrap();
    tasks
        .iter()
        .map(|task| task["title"].as_str().unwrap())
        .collect()
}

async fn with_tasks(titles: &[&str]) -> (Service, User) {
    let service = Service::start().await;
    let user = service.user().await;
    for title in titles {
        add(&service, &user, &json!({"title": title})).await;
    }
    (service, user)
}

#[tokio::test]
async fn the_newest_come_first_and_links_lead_through_all_pages() {
    let (service, user) = with_tasks(&["a", "b", "c", "d", "e"]).await;
    let mut path = "/v1/tasks?limit=2&include_total=true".to_owned();
    let mut seen = Vec::new();
    loop {
        let answer = service.by(&user, Method::GET, &path).send().await.unwrap();
        let link = answer
            .headers()
            .get("link")
            .map(|link| link.to_str().unwrap().to_owned());
        let page = success(answer, StatusCode::OK).await;
        seen.extend(titles(&page).into_iter().map(str::to_owned));
        assert_eq!(
            (&page["total"], &page["total_is_lower_bound"]),
            (&json!(5), &json!(false))
        );
        assert_eq!(page["has_more"], link.is_some());
        assert_eq!(page["next_cursor"].is_string(), link.is_some());
        let Some(link) = link else { break };
        let cursor = page["next_cursor"].as_str().unwrap();
        assert!(
            link.contains(cursor) && link.ends_with("; rel=\"next\""),
            "{link}"
        );
        link[1..link.find('>').unwrap()].clone_into(&mut path);
    }
    assert_eq!(seen, ["e", "d", "c", "b", "a"]);
}

#[tokio::test]
async fn an_empty_list_is_a_page_too() {
    let (service, user) = with_tasks(&[]).await;
    let expected = json!({
        "data": [], "next_cursor": null, "has_more": false, "total": null, "total_is_lower_bound": null,
    });
    assert_eq!(page(&service, &user, "").await, expected);
}

#[tokio::test]
async fn pages_neither_repeat_nor_skip_while_tasks_are_added() {
    let (service, user) = with_tasks(&["d", "b", "a", "c", "e", "f"]).await;
    for key in [
        "created_at",
        "updated_at",
        "due",
        "priority",
        "position",
        "title",
    ] {
        for sort in [key.to_owned(), format!("-{key}")] {
            let there = page(&service, &user, "?limit=200").await;
            let there: BTreeSet<_> = there["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|task| task["id"].to_string())
                .collect();
            let (mut seen, mut query) = (Vec::new(), format!("?limit=4&sort={sort}"));
            loop {
                let page = page(&service, &user, &query).await;
                seen.extend(
                    page["data"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|task| task["id"].to_string()),
                );
                let Some(cursor) = page["next_cursor"].as_str() else {
                    break;
                };
                query = format!("?limit=4&sort={sort}&cursor={cursor}");
                add(&service, &user, &json!({"title": "c", "priority": "low"})).await;
            }
            let distinct: BTreeSet<_> = seen.iter().cloned().collect();
            assert_eq!(distinct.len(), seen.len(), "{sort} repeats");
            assert!(distinct.is_superset(&there), "{sort} skips");
        }
    }
}

#[tokio::test]
async fn a_cursor_fits_its_own_list_only() {
    let (service, user) = with_tasks(&["a", "b", "c"]).await;
    let other = service.user().await;
    let first = page(&service, &user, "?limit=1&sort=title").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let same = page(
        &service,
        &user,
        &format!("?sort=title&limit=2&cursor={cursor}"),
    )
    .await;
    assert_eq!(titles(&same), ["b", "c"]);

    for query in ["sort=-title", "sort=title&status=todo", "limit=1"] {
        let answer = get(&service, &user, &format!("?{query}&cursor={cursor}")).await;
        problem(answer, StatusCode::BAD_REQUEST, "invalid-cursor").await;
    }
    for made_up in [
        "",
        "AAAA",
        "%F0%9F%98%80",
        &cursor[1..],
        &format!("{cursor}A"),
    ] {
        let answer = get(
            &service,
            &user,
            &format!("?sort=title&limit=1&cursor={made_up}"),
        )
        .await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{made_up}");
    }
    let answer = get(
        &service,
        &other,
        &format!("?sort=title&limit=1&cursor={cursor}"),
    )
    .await;
    problem(answer, StatusCode::BAD_REQUEST, "invalid-cursor").await;
}

#[tokio::test]
async fn parameters_are_checked_one_and_all() {
    let (service, user) = with_tasks(&[]).await;
    for wrong in [
        "limit=0",
        "limit=201",
        "limit=x",
        "limit=1&limit=2",
        "sort=colour",
        "due=soon",
        "status=later",
        "priority=1",
        "project_id=1",
        "parent_id=null",
        "include_total=yes",
        "due_before=2026-12-01",
        "q=",
    ] {
        let answer = get(&service, &user, &format!("?{wrong}")).await;
        let document = problem(answer, StatusCode::BAD_REQUEST, "invalid-parameter").await;
        let name = wrong.split('=').next().unwrap();
        assert_eq!(document["errors"][0]["parameter"], name, "{document}");
    }
    for path in [
        "?assignee=me",
        "?Limit=1",
        "/count?limit=1",
        "/count?sort=title",
    ] {
        let answer = get(&service, &user, path).await;
        problem(answer, StatusCode::BAD_REQUEST, "unknown-parameter").await;
    }
}

#[tokio::test]
async fn every_filter_holds_in_list_and_count() {
    let (service, user) = with_tasks(&[]).await;
    let first = json!({
        "title": "Write the report", "status": "in_progress", "priority": "high", "labels": ["work", "desk"],
        "due": {"date": "2020-02-02"},
    });
    let first = add(&service, &user, &first).await;
    let second = json!({"title": "Send the report", "parent_id": first["id"], "labels": ["work"]});
    let second = add(&service, &user, &second).await;
    let third = json!({"title": "Rest", "status": "done", "due": {"at": "2999-01-01T00:00:00Z", "time_zone": "UTC"}});
    let third = add(&service, &user, &third).await;
    let gone = add(&service, &user, &json!({"title": "Gone"})).await;
    let path = format!("/v1/tasks/{}", gone["id"].as_str().unwrap());
    service
        .by(&user, Method::DELETE, &path)
        .send()
        .await
        .unwrap();

    let (project, parent) = (
        first["project_id"].as_str().unwrap(),
        first["id"].as_str().unwrap(),
    );
    let (later, last) = (
        second["created_at"].as_str().unwrap(),
        third["updated_at"].as_str().unwrap(),
    );
    let all = ["Write the report", "Send the report", "Rest"];
    for (query, expected) in [
        ("", &all[..]),
        (
            "include_deleted=true",
            &["Write the report", "Send the report", "Rest", "Gone"],
        ),
        ("include_deleted=false", &all),
        (&format!("project_id={project}"), &all),
        (&format!("project_id={parent}"), &[]),
        (&format!("parent_id={parent}"), &["Send the report"]),
        ("status=todo&status=done", &all[1..]),
        ("status=cancelled", &[]),
        ("priority=high&priority=urgent", &all[..1]),
        ("label=desk&label=home", &all[..1]),
        ("not_label=desk&not_label=home", &all[1..]),
        ("label=work&not_label=desk", &all[1..2]),
        ("label=work&status=done", &[]),
        ("due=none", &all[1..2]),
        ("due=any", &["Write the report", "Rest"]),
        ("due=overdue", &all[..1]),
        ("due=today", &[]),
        ("due=overdue&due=none", &all[..2]),
        ("due_before=2020-02-02T00:00:01Z", &all[..1]),
        ("due_before=2020-02-02T00:00:00Z", &[]),
        ("due_after=2998-12-31T23:00:00-01:00", &all[2..]),
        (&format!("created_after={later}"), &all[1..]),
        (&format!("updated_after={last}"), &all[2..]),
        ("q=REPORT", &all[..2]),
        ("q=report+-send", &all[..1]),
        ("q=%22the+report%22", &all[..2]),
    ] {
        let page = page(
            &service,
            &user,
            &format!("?sort=position&include_total=true&{query}"),
        )
        .await;
        assert_eq!(titles(&page), expected, "{query}");
        assert_eq!(page["total"], expected.len(), "{query}");
        let count = self::page(&service, &user, &format!("/count?{query}")).await;
        assert_eq!(
            count,
            json!({"total": expected.len(), "total_is_lower_bound": false}),
            "{query}"
        );
    }
}

#[tokio::test]
async fn today_is_where_the_account_is() {
    let (service, user) = with_tasks(&[]).await;
    let zone = json!({"time_zone": "Pacific/Kiritimati"});
    let answer = service
        .by(&user, Method::PATCH, "/v1/me")
        .json(&zone)
        .send()
        .await
        .unwrap();
    success(answer, StatusCode::OK).await;
    // Fourteen hours ahead of UTC.
    let there = chrono::Utc::now() + chrono::TimeDelta::hours(14);
    add(
        &service,
        &user,
        &json!({"title": "there", "due": {"date": there.date_naive()}}),
    )
    .await;
    let elsewhere = there.date_naive() - chrono::Days::new(1);
    add(
        &service,
        &user,
        &json!({"title": "here", "due": {"date": elsewhere}}),
    )
    .await;
    assert_eq!(
        titles(&page(&service, &user, "?due=today").await),
        ["there"]
    );
    assert_eq!(
        titles(&page(&service, &user, "?due=overdue").await),
        ["here"]
    );
}

#[tokio::test]
async fn a_total_above_ten_thousand_is_a_lower_bound() {
    let (service, user) = with_tasks(&["one"]).await;
    sqlx::query(
        "insert into task (id, workspace_id, project_id, title, position, seq, created_by)
         select gen_random_uuid(), workspace_id, id, 'many', '', 0, id from project, generate_series(1, 10000)",
    )
    .execute(&service.database.pool)
    .await
    .unwrap();
    let listed = page(&service, &user, "?limit=1&include_total=true").await;
    let counted = page(&service, &user, "/count").await;
    for answer in [listed, counted] {
        assert_eq!(
            (&answer["total"], &answer["total_is_lower_bound"]),
            (&json!(10_000), &json!(true))
        );
    }
}
