//! One API that makes poem-openapi do all the things that must be corrected.

use chrono::NaiveDate;
use poem_openapi::{
    ApiResponse, Enum, Object, OpenApi, OpenApiService, SecurityScheme, Union,
    auth::Bearer,
    param::{Path, Query},
    payload::Json,
    types::MaybeUndefined,
};
use serde_json::{Value, json};

use super::{ANY_TEXT, Document, build, operations, order, parse, roles, schemas};

#[derive(Enum)]
#[oai(rename_all = "snake_case")]
enum Colour {
    Red,
    Green,
}

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct Sort {
    key: String,
}

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct Size {
    width: u32,
}

#[derive(Union)]
#[oai(discriminator_name = "by", one_of)]
enum Order {
    Sort(Sort),
    Size(Size),
}

#[derive(Object)]
#[oai(deny_unknown_fields)]
struct ThingChanges {
    #[oai(validator(min_length = 1, max_length = 500))]
    name: Option<String>,
    /// Any of them.
    colour: Option<Colour>,
    note: MaybeUndefined<String>,
    owner: MaybeUndefined<Sort>,
    order: Option<Order>,
    /// How it sounds.
    #[oai(default)]
    loud: bool,
}

#[derive(Object)]
struct Thing {
    name: String,
    /// What one sees.
    colour: Colour,
    shade: Option<Colour>,
    note: Option<String>,
    /// Whose it is.
    owner: Option<Sort>,
    made: Option<NaiveDate>,
    count: u8,
    version: i64,
}

#[derive(ApiResponse)]
#[expect(dead_code, reason = "only what it says of itself matters")]
enum Changed {
    #[oai(status = 200)]
    Yes(
        Json<Thing>,
        #[oai(header = "ETag")] String,
        #[oai(header = "Idempotency-Replayed")] Option<bool>,
    ),
}

#[derive(SecurityScheme)]
#[oai(ty = "bearer", key_name = "access_token")]
struct Caller(#[expect(dead_code, reason = "nobody is called")] Bearer);

struct Api;

#[OpenApi(prefix_path = "/v1/tasks")]
impl Api {
    /// Show a thing
    #[oai(path = "/:id", method = "get", operation_id = "get_task")]
    async fn get(&self, _caller: Caller, #[oai(name = "id")] _id: Path<i64>) -> Changed {
        unreachable!()
    }

    /// Change a thing
    #[oai(path = "/:id", method = "patch", operation_id = "update_task")]
    async fn update(
        &self,
        _caller: Caller,
        #[oai(name = "id")] _id: Path<i64>,
        _body: Json<ThingChanges>,
    ) -> Changed {
        unreachable!()
    }

    /// List things
    #[oai(path = "/", method = "get", operation_id = "list_tasks")]
    async fn list(
        &self,
        _caller: Caller,
        #[oai(name = "colour")] _colour: Query<Option<Vec<Colour>>>,
        #[oai(
            name = "limit",
            validator(minimum(value = "1"), maximum(value = "200"))
        )]
        _limit: Query<Option<i32>>,
        #[oai(name = "word", default = "word")] _word: Query<String>,
    ) -> Json<Vec<Thing>> {
        unreachable!()
    }
}

fn word() -> String {
    "a".to_owned()
}

struct Other;

#[OpenApi]
impl Other {
    #[oai(path = "/v1/tasks", method = "post", operation_id = "create_task")]
    async fn create(&self) {}
}

struct Stranger;

#[OpenApi]
impl Stranger {
    #[oai(path = "/strange", method = "get", operation_id = "be_strange")]
    async fn be_strange(&self) {}
}

fn spec(api: impl OpenApi) -> String {
    OpenApiService::new(api, "Test", "1").spec()
}

fn document() -> Document {
    build(&spec(Api), "https://tasks.example").unwrap()
}

fn refusal(raw_spec: &str) -> String {
    format!(
        "{:#}",
        build(raw_spec, "https://tasks.example").unwrap_err()
    )
}

fn field(name: &str) -> Value {
    document().v30["components"]["schemas"]["Thing"]["properties"][name].clone()
}

#[test]
fn a_path_in_two_implementations_is_refused() {
    assert!(refusal(&spec((Api, Other))).contains("must stand in one"));
}

#[test]
fn an_operation_that_the_overlay_does_not_know_is_refused() {
    assert!(refusal(&spec(Stranger)).contains("does not say who may call be_strange"));
}

#[test]
fn an_operation_that_forgets_its_token_is_refused() {
    assert!(refusal(&spec(Other)).contains("disagree about whether it needs a token"));
}

#[test]
fn both_versions_name_themselves_and_the_relative_server_first() {
    let document = document();
    assert_eq!(document.v30["openapi"], "3.0.3");
    assert_eq!(document.v31["openapi"], "3.1.0");
    assert_eq!(
        document.v30["servers"],
        json!([{ "url": "/" }, { "url": "https://tasks.example" }])
    );
}

#[test]
fn webhooks_stand_in_the_newer_version_only() {
    let mut raw = parse(&spec(Api)).unwrap();
    raw["webhooks"] = json!({ "task.created": {} });
    let document = build(&raw.to_string(), "").unwrap();
    assert!(document.v30.get("webhooks").is_none());
    assert_eq!(document.v31["webhooks"], json!({ "task.created": {} }));
}

#[test]
fn media_types_have_no_charset() {
    let document = document();
    let operation = &document.v30["paths"]["/v1/tasks/{id}"]["patch"];
    for content in ["/requestBody/content", "/responses/200/content"] {
        let content = operation.pointer(content).unwrap().as_object().unwrap();
        assert_eq!(content.keys().collect::<Vec<_>>(), ["application/json"]);
    }
}

#[test]
fn headers_are_spelt_as_their_specifications_do() {
    let mut raw = parse(&spec(Api)).unwrap();
    operations::tidy(&mut raw).unwrap();
    let headers = &raw["paths"]["/v1/tasks/{id}"]["get"]["responses"]["200"]["headers"];
    let names: Vec<_> = headers.as_object().unwrap().keys().collect();
    assert_eq!(names, ["ETag", "Idempotency-Replayed"]);
}

#[test]
fn parameters_say_nothing_that_goes_without_saying() {
    let document = document();
    let parameters = &document.v30["paths"]["/v1/tasks"]["get"]["parameters"];
    assert_eq!(
        parameters[1],
        json!({
            "name": "limit", "in": "query", "required": false,
            "schema": { "type": "integer", "format": "int32", "minimum": 1, "maximum": 200 },
        })
    );
}

#[test]
fn a_described_field_of_a_named_type_keeps_its_type() {
    let mut raw = parse(&spec(Api)).unwrap();
    schemas::standardise(&mut raw).unwrap();
    assert_eq!(
        raw["components"]["schemas"]["Thing"]["properties"]["colour"],
        json!({ "allOf": [{ "$ref": "#/components/schemas/Colour" }], "description": "What one sees." })
    );
}

#[test]
fn an_answer_has_every_field_and_the_optional_ones_may_be_null() {
    let thing = &document().v30["components"]["schemas"]["Thing"];
    assert_eq!(
        thing["required"].as_array().unwrap().len(),
        thing["properties"].as_object().unwrap().len()
    );
    assert_eq!(field("name"), json!({ "type": "string" }));
    assert_eq!(field("note"), json!({ "type": "string", "nullable": true }));
}

#[test]
fn null_beside_a_reference_has_the_form_that_generators_read() {
    let expected = json!({
        "oneOf": [{ "$ref": "#/components/schemas/Sort" }, { "type": "string", "nullable": true, "enum": [null] }],
        "description": "Whose it is.",
    });
    assert_eq!(field("owner"), expected);
    let newer = &document().v31["components"]["schemas"]["Thing"]["properties"];
    assert_eq!(
        newer["owner"]["oneOf"],
        json!([{ "$ref": "#/components/schemas/Sort" }, { "type": "null" }])
    );
    assert_eq!(newer["note"], json!({ "type": ["string", "null"] }));
}

#[test]
fn formats_are_standard_ones() {
    assert_eq!(
        field("made"),
        json!({ "type": "string", "format": "date", "nullable": true })
    );
    assert_eq!(
        field("count"),
        json!({ "type": "integer", "format": "int32", "minimum": 0 })
    );
    let mut schema = json!({ "schema": { "type": "string", "format": "event-stream" } });
    schemas::standardise(&mut schema).unwrap();
    assert_eq!(schema["schema"], json!({ "type": "string" }));
}

#[test]
fn requests_are_closed_and_answers_are_open() {
    let document = document();
    let schemas = &document.v30["components"]["schemas"];
    assert_eq!(schemas["ThingChanges"]["additionalProperties"], false);
    assert!(schemas["Thing"].get("additionalProperties").is_none());
}

#[test]
fn a_request_may_leave_out_any_field_and_clear_what_can_be_empty() {
    let document = document();
    let changes = &document.v30["components"]["schemas"]["ThingChanges"];
    assert!(changes.get("required").is_none());
    assert_eq!(
        changes["properties"]["note"],
        json!({ "type": "string", "nullable": true, "pattern": ANY_TEXT })
    );
    assert!(changes["properties"]["owner"]["oneOf"].is_array());
    assert_eq!(
        changes["properties"]["name"],
        json!({ "type": "string", "minLength": 1, "maxLength": 500, "pattern": ANY_TEXT })
    );
}

/// Generators of types take a field with a default for one that is always there.
#[test]
fn what_a_missing_field_counts_as_is_told_and_parameters_keep_their_defaults() {
    let document = document();
    let changes = &document.v30["components"]["schemas"]["ThingChanges"]["properties"];
    assert_eq!(
        changes["loud"],
        json!({ "type": "boolean", "description": "How it sounds.\n\nDefault: `false`." })
    );
    let parameters = &document.v30["paths"]["/v1/tasks"]["get"]["parameters"];
    assert_eq!(parameters[2]["schema"]["default"], "a");
}

#[test]
fn only_requests_forbid_what_cannot_be_stored() {
    let document = document();
    let sort = &document.v30["components"]["schemas"]["Sort"]["properties"];
    assert_eq!(sort["key"]["pattern"], ANY_TEXT);
    assert!(field("name").get("pattern").is_none());
}

#[test]
fn sections_stand_as_readers_need_them() {
    let mut document = json!({ "tags": [{ "name": "Operations" }, { "name": "New" }, { "name": "Authentication" }] });
    order::tags(&mut document).unwrap();
    let names = ["Authentication", "Operations", "New"].map(|name| json!({ "name": name }));
    assert_eq!(document["tags"], json!(names));
}

#[test]
fn enumerations_are_closed_where_they_are_sent_and_open_where_they_are_received() {
    let document = document();
    let schemas = &document.v30["components"]["schemas"];
    assert_eq!(schemas["Colour"]["enum"], json!(["red", "green"]));
    let sent = json!({ "allOf": [{ "$ref": "#/components/schemas/Colour" }], "description": "Any of them." });
    assert_eq!(schemas["ThingChanges"]["properties"]["colour"], sent);
    let open = json!(["red", "green"]);
    assert_eq!(
        field("colour"),
        json!({ "type": "string", "x-extensible-enum": open, "description": "What one sees." })
    );
    assert_eq!(
        field("shade"),
        json!({ "type": "string", "x-extensible-enum": open, "nullable": true })
    );
}

#[test]
fn a_variant_of_a_union_is_one_closed_object() {
    let document = document();
    let schemas = &document.v30["components"]["schemas"];
    let variant = &schemas["Order_Sort"];
    assert!(variant.get("allOf").is_none(), "{variant}");
    assert_eq!(variant["additionalProperties"], false);
    let fields: Vec<_> = variant["properties"].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["by", "key"]);
}

#[test]
fn two_variants_of_one_schema_are_refused() {
    let mapping = json!({ "a": "#/components/schemas/X", "b": "#/components/schemas/X" });
    let mut document =
        json!({ "schema": { "discriminator": { "propertyName": "kind", "mapping": mapping } } });
    let error = schemas::standardise(&mut document).unwrap_err().to_string();
    assert!(error.contains("give each its own type"), "{error}");
}

#[test]
fn an_object_with_optional_fields_has_one_direction() {
    let body = json!({ "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Both" } } } });
    let mut document = json!({
        "paths": { "/": { "post": { "requestBody": body, "responses": { "200": body } } } },
        "components": { "schemas": { "Both": { "type": "object", "properties": { "a": { "type": "string" } } } } },
    });
    let error = roles::apply(&mut document).unwrap_err().to_string();
    assert!(error.contains("Both is both sent and received"), "{error}");
}

#[test]
fn examples_are_data_whatever_their_keys_are_called() {
    let mut document = json!({ "example": { "schema": { "deprecated": false, "minimum": 1.0 } } });
    let before = document.clone();
    schemas::standardise(&mut document).unwrap();
    assert_eq!(document, before);
}

#[test]
fn bounds_that_exclude_are_numbers_in_the_newer_version() {
    let older = json!({ "schema": { "type": "integer", "minimum": 1, "exclusiveMinimum": true } });
    let newer = super::v31::derive(&older, None);
    assert_eq!(
        newer["schema"],
        json!({ "type": "integer", "exclusiveMinimum": 1 })
    );
}

#[test]
fn what_has_a_version_can_be_read_and_changed_on_condition() {
    let document = document();
    let item = &document.v30["paths"]["/v1/tasks/{id}"];
    let names = |operation: &Value| {
        let shared = operation["parameters"].as_array().unwrap().iter();
        shared
            .filter_map(|p| Some(p["$ref"].as_str()?.rsplit('/').next()?.to_owned()))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&item["get"]), ["If-None-Match"]);
    assert_eq!(names(&item["patch"]), ["Idempotency-Key", "If-Match"]);
    assert!(item["get"]["responses"].get("304").is_some());
    for status in [
        "400", "401", "403", "404", "409", "412", "413", "415", "422", "428", "429", "503",
    ] {
        assert!(item["patch"]["responses"].get(status).is_some(), "{status}");
    }
    assert!(
        item["get"]["responses"]["200"]["headers"]
            .get("Idempotency-Replayed")
            .is_none()
    );
}

#[test]
fn reading_comes_before_changing() {
    let written = String::from_utf8(document().v30_json.to_vec()).unwrap();
    let place = |key: &str| written.find(&format!("\"{key}\":{{")).unwrap();
    assert!(written.starts_with("{\"openapi\":\"3.0.3\",\"info\":"));
    assert!(place("get") < place("patch"));
    assert!(place("paths") < place("components"));
}

#[test]
fn a_sample_can_be_pasted_into_a_shell() {
    let document = document();
    let sample = &document.v30["paths"]["/v1/tasks/{id}"]["patch"]["x-codeSamples"][0]["source"];
    let expected = "curl -X PATCH \"$API/v1/tasks/$ID\" \\\n  -H \"Authorization: Bearer $TOKEN\" \\\n  \
        -H \"Content-Type: application/json\" \\\n  -d ''";
    assert_eq!(sample, expected);
}

#[test]
fn the_overlay_speaks_of_operations_that_exist() {
    let committed = include_str!("../../../docs/openapi.json");
    for id in super::overlay::operation_ids() {
        assert!(
            committed.contains(&format!("\"operationId\": \"{id}\"")),
            "{id} does not exist"
        );
    }
}

#[test]
fn an_operation_names_its_scope() {
    let document = document();
    let operation = &document.v30["paths"]["/v1/tasks/{id}"]["patch"];
    assert_eq!(operation["x-required-scopes"], json!(["tasks:write"]));
    assert_eq!(
        operation["security"],
        json!([{ "access_token": [] }, { "password": ["tasks:write"] }])
    );
}
