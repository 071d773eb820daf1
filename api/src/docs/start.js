// Starts the user interface whose script the page has loaded.
const swagger = document.getElementById("swagger-ui");
const redoc = document.getElementById("redoc");
if (swagger) {
  window.ui = SwaggerUIBundle({
    url: "/openapi.json",
    domNode: swagger,
    deepLinking: true,
    displayRequestDuration: true,
    filter: true,
    persistAuthorization: true,
    // Its default sends the document's address to a validator elsewhere.
    validatorUrl: null,
  });
  window.ui.initOAuth({ scopes: "" });
}
if (redoc) {
  Redoc.init("/openapi.json", { expandResponses: "200,201", requiredPropsFirst: true }, redoc);
}
