# One image for everything: the command chooses between the API, the worker and the migration.
# Nothing here needs a database, a shell at run time, or root.

# Debian 12 with Rust. The programs are compiled in it, and what they run on is taken from it.
ARG RUST_IMAGE=rust:1.95.0-slim-bookworm

FROM ${RUST_IMAGE} AS build
WORKDIR /build
ENV CARGO_TERM_COLOR=never SQLX_OFFLINE=true
# .dockerignore lists what this copies.
COPY . .
ARG TASKHUB_COMMIT=""
# Cargo reads these two itself. Without a value, Cargo.toml decides.
ARG CARGO_PROFILE_RELEASE_OPT_LEVEL
ARG CARGO_PROFILE_RELEASE_LTO
# The two caches outlive a build, so that a change of the code compiles no dependency again. Both secrets
# may be absent: `build_ca` holds certificate authorities beside the public ones, `cargo_config` says where
# cargo finds crates. Cargo goes by modification times, and another checkout may have filled the cache after
# these files were written: touching them has our own crates compiled anew.
RUN --mount=type=cache,id=taskhub-registry,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,id=taskhub-target,target=/build/target,sharing=locked \
    --mount=type=secret,id=build_ca \
    --mount=type=secret,id=cargo_config,target=/usr/local/cargo/config.toml \
    if [ -s /run/secrets/build_ca ]; then \
        cat /etc/ssl/certs/ca-certificates.crt /run/secrets/build_ca > /tmp/authorities.pem \
        && export CARGO_HTTP_CAINFO=/tmp/authorities.pem; \
    fi \
    && find . -path ./target -prune -o -type f -exec touch {} + \
    && cargo build --release --locked -p taskhub-api -p taskhub-worker \
    && mkdir -p /programs /mail \
    && cp target/release/taskhub-api target/release/taskhub-worker /programs/

# What the programs run on: the same packages as in `cargo xtask image build --engine none`, without what is
# for people and shells, but with each licence, and with the descriptions that scanners look for.
FROM ${RUST_IMAGE} AS base
RUN mkdir -p /base/etc/ssl/certs /base/var/lib/dpkg/status.d && install -d -m 1777 /base/tmp \
    && packages="base-files ca-certificates gcc-12-base libc6 libgcc-s1" \
    && dpkg -L $packages | grep -E '\.so\.|/copyright$|/common-licenses/|/(debian_version|host.conf|os-release)$' \
        | tar --create --dereference --hard-dereference --no-recursion --files-from=- | tar --extract --directory=/base \
    && for package in $packages; do dpkg -s "$package" > "/base/var/lib/dpkg/status.d/$package"; done \
    && cp /etc/ssl/certs/ca-certificates.crt /base/etc/ssl/certs/ \
    && printf '%s\n' root:x:0:0:root:/root:/sbin/nologin nobody:x:65534:65534:nobody:/nonexistent:/sbin/nologin \
        taskhub:x:65532:65532:taskhub:/var/lib/taskhub:/sbin/nologin > /base/etc/passwd \
    && printf '%s\n' root:x:0: nogroup:x:65534: taskhub:x:65532: > /base/etc/group \
    && printf '%s\n' 'passwd: files' 'group: files' 'hosts: files dns' > /base/etc/nsswitch.conf

FROM scratch
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
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# With what AWS, Redis and mail servers are verified against; PostgreSQL on RDS has authorities of its own.
COPY --from=base /base/ /
COPY infra/rds-ca.pem /etc/ssl/certs/rds.pem
COPY --from=build /programs/ /usr/local/bin/
# Collects e-mails where MAIL_URL says so; everything else may be read-only.
COPY --from=build --chown=65532:65532 /mail/ /var/lib/taskhub/mail/
USER 65532:65532
WORKDIR /var/lib/taskhub
EXPOSE 8000 9000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["taskhub-api", "healthcheck"]
CMD ["taskhub-api", "serve"]
