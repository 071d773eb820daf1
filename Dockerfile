# One image for everything: the command chooses between the API, the worker and the migration.
# Nothing here needs a database, a shell at run time, or root.

ARG RUST_IMAGE=rust:1.95.0-slim-bookworm
ARG RUNTIME_IMAGE=debian:12.12-slim

FROM ${RUST_IMAGE} AS build
WORKDIR /build
ENV CARGO_TERM_COLOR=never SQLX_OFFLINE=true

# The dependencies, in a layer that only a manifest changes: the crates stand in as empty ones.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY taskhub/Cargo.toml taskhub/
COPY api/Cargo.toml api/
COPY worker/Cargo.toml worker/
COPY xtask/Cargo.toml xtask/
RUN for crate in taskhub api worker xtask; do \
        mkdir -p "$crate/src" && touch "$crate/src/lib.rs" && echo 'fn main() {}' > "$crate/src/main.rs" || exit 1; \
    done \
    && cargo build --release --locked -p taskhub-api -p taskhub-worker

# The code. Cargo goes by modification times, and those of the stand-ins are younger.
COPY .sqlx .sqlx
COPY migrations migrations
COPY taskhub taskhub
COPY api api
COPY worker worker
ARG TASKHUB_COMMIT=""
RUN rm -f taskhub/src/main.rs \
    && find taskhub api worker migrations -type f -exec touch {} + \
    && TASKHUB_COMMIT="$TASKHUB_COMMIT" cargo build --release --locked -p taskhub-api -p taskhub-worker \
    && mkdir -p /image/bin /image/mail \
    && cp target/release/taskhub-api target/release/taskhub-worker /image/bin/

FROM ${RUNTIME_IMAGE}
ARG TASKHUB_COMMIT=""
ARG TASKHUB_VERSION=""
ARG TASKHUB_CREATED=""
ARG TASKHUB_SOURCE=""
LABEL org.opencontainers.image.title="TaskHub" \
      org.opencontainers.image.description="Task-management API and its worker" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="${TASKHUB_VERSION}" \
      org.opencontainers.image.revision="${TASKHUB_COMMIT}" \
      org.opencontainers.image.created="${TASKHUB_CREATED}" \
      org.opencontainers.image.source="${TASKHUB_SOURCE}"
# What AWS, Redis and mail servers are verified against, and what PostgreSQL on RDS is.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY infra/rds-ca.pem /etc/ssl/certs/rds.pem
COPY --from=build /image/bin/ /usr/local/bin/
# Collects e-mails where MAIL_URL says so; everything else may be read-only.
COPY --from=build --chown=65532:65532 /image/mail/ /var/lib/taskhub/mail/
USER 65532:65532
WORKDIR /var/lib/taskhub
EXPOSE 8000 9000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["taskhub-api", "healthcheck"]
CMD ["taskhub-api", "serve"]
