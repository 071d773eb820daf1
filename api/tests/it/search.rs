use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{
    support::{Service, User, problem, success},
    tasks::add,
};

async fn found(service: &Service, user: &User, parameters: &[(&str, &str)]) -> Vec<String> {
    let request = service.by(user, Method::GET, "/v1/tasks").query(parameters);
    let page = success(request.send().await.unwrap(), StatusCode::OK).await;
    let tasks = page["data"].as_array().unwrap();
    tasks
        .iter()
        .map(|task| task["title"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn prefixes_accents_scripts_and_addresses_are_found() {
    let service = Service::start().await;
    let user = service.user().await;
    let titles = [
        "milk",
        "牛乳を買う",
        "Café",
        "Ask bob@example.com",
        "МОЛОКО",
    ];
    for title in titles {
        add(&service, &user, &json!({"title": title})).await;
    }
    for (typed, title) in ["mil", "牛乳", "cafe", "bob", "молоко"]
        .into_iter()
        .zip(titles)
    {
        assert_eq!(found(&service, &user, &[("q", typed)]).await, [title]);
        let request = service
            .by(&user, Method::GET, "/v1/tasks/count")
            .query(&[("q", typed)]);
        let count = success(request.send().await.unwrap(), StatusCode::OK).await;
        assert_eq!(count["total"], 1, "{typed}");
    }
}

#[tokio::test]
async fn relevance_is_an_order_of_searches_only() {
    let service = Service::start().await;
    let user = service.user().await;
    for (title, description) in [("Milk", ""), ("Shopping", "milk and more"), ("Milkman", "")] {
        add(
            &service,
            &user,
            &json!({"title": title, "description": description}),
        )
        .await;
    }
    let by_relevance = [("q", "milk"), ("sort", "relevance")];
    assert_eq!(
        found(&service, &user, &by_relevance).await,
        ["Milk", "Milkman", "Shopping"]
    );
    assert_eq!(
        found(&service, &user, &[("q", "milk")]).await,
        ["Milkman", "Shopping", "Milk"]
    );

    // A cursor goes on in the same order.
    let request = |cursor: &str| {
        let page = [
            ("q", "milk"),
            ("sort", "relevance"),
            ("limit", "1"),
            ("cursor", cursor),
        ];
        let given = if cursor.is_empty() {
            &page[..3]
        } else {
            &page[..]
        };
        service
            .by(&user, Method::GET, "/v1/tasks")
            .query(given)
            .send()
    };
    let first = success(request("").await.unwrap(), StatusCode::OK).await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = success(request(cursor).await.unwrap(), StatusCode::OK).await;
    assert_eq!(second["data"][0]["title"], "Milkman");

    let answer = service
        .by(&user, Method::GET, "/v1/tasks?sort=relevance")
        .send()
        .await
        .unwrap();
    let refused = problem(answer, StatusCode::BAD_REQUEST, "invalid-parameter").await;
    let expected = json!([{
        "parameter": "sort", "code": "needs-search", "detail": "relevance needs a search: give q too",
    }]);
    assert_eq!(refused["errors"], expected);
}

#[tokio::test]
async fn any_text_can_be_searched_for() {
    let service = Service::start().await;
    let user = service.user().await;
    add(
        &service,
        &user,
        &json!({"title": "it's \\ 'quoted' @ 100%"}),
    )
    .await;
    let long = "a ".repeat(250);
    let unspaced = "牛".repeat(500);
    let expanding = "\u{FDFA}".repeat(500);
    for typed in [
        "'",
        "\\",
        "\"",
        "@",
        ":*",
        "'a':*",
        "&",
        "|",
        "!",
        "(",
        ")",
        "<->",
        "-",
        "--",
        "or",
        "or or",
        "\" \"",
        "%",
        "a:b",
        "@a'",
        "\u{301}",
        "\u{200D}",
        "'); drop table task; --",
        &long,
        &unspaced,
        &expanding,
    ] {
        for sort in ["-created_at", "relevance", "title", "due"] {
            let request = service.by(&user, Method::GET, "/v1/tasks");
            let answer = request
                .query(&[("q", typed), ("sort", sort)])
                .send()
                .await
                .unwrap();
            let page: Value = success(answer, StatusCode::OK).await;
            assert!(page["data"].is_array(), "{typed}");
        }
    }
    assert_eq!(
        found(&service, &user, &[("q", "quoted 100")]).await.len(),
        1
    );
}
