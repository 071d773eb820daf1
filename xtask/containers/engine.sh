#!/usr/bin/env bash
# A private Docker Engine for a machine with Debian 12 that reaches Debian's packages, but no registry of images.
# Needs root.
#
#   exports=$(xtask/containers/engine.sh) && eval "$exports" && docker compose up --build
#   xtask/containers/engine.sh stop
#
# `hold` is for `cargo xtask test --compose`: it does not end, and stops what it started when it is asked to end.
#
# The engine, Compose and BuildKit come from Debian. So do stand-ins for the images that Dockerfile and
# docker-compose.yml start from: they bear the same names and hold Debian's versions. All of it lies in one
# folder. Whatever is there already stays, so the first start takes minutes and every other one seconds.
set -eu
exec 3>&1 >&2 # standard output is for the variables alone
checkout=$(cd "$(dirname "$0")/../.." && pwd)
home=${XDG_CACHE_HOME:-$HOME/.cache}/taskhub-containers
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
export DOCKER_HOST="unix://$home/docker.sock" DOCKER_CONFIG="$home/cli" DOCKER_BUILDKIT=1 DEBIAN_FRONTEND=noninteractive
action=${1:-start}

stop_engine() {
    local pid
    pid=$(cat "$home/docker.pid" 2>/dev/null) || return 0
    # The number may have outlived its process and be another's by now.
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ] || return 0
    kill "$pid"
    while kill -0 "$pid" 2>/dev/null; do sleep 0.2; done
}

case $action in
start | hold) ;;
stop) stop_engine; exit ;;
*) echo "usage: $0 [start|hold|stop]"; exit 2 ;;
esac

[ "$(id -u)" = 0 ] || { echo "only root can start a Docker Engine"; exit 1; }
umask 022 # what is copied into an image is for everybody
mkdir -p "$home" "$DOCKER_CONFIG"

if ! hash dockerd docker debootstrap iptables 2>/dev/null || [ ! -f "$keyring" ]; then
    apt-get update -q
    apt-get install -q -y --no-install-recommends docker.io debootstrap iptables debian-archive-keyring
fi
mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | sed -n '/^Debian /{s///p;q}')
[ -n "$mirror" ] || { echo "APT knows no mirror of Debian: try apt-get update"; exit 1; }

# Debian 12 has neither Compose nor buildx: they are unpacked from Debian 13, and not installed.
if [ ! -x "$DOCKER_CONFIG/cli-plugins/docker-compose" ]; then
    apt=$home/apt
    rm -rf "$apt" && mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/sources"
    echo "deb [signed-by=$keyring] $mirror trixie main" >"$apt/sources/trixie.list"
    private=(-q -o APT::Sandbox::User=root -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$apt/sources"
        -o Dir::State::Lists="$apt/lists" -o Dir::Cache="$apt/cache")
    apt-get "${private[@]}" update
    (cd "$apt" && apt-get "${private[@]}" download docker-compose docker-buildx)
    for package in "$apt"/*.deb; do dpkg -x "$package" "$apt/root"; done
    rm -rf "$DOCKER_CONFIG/cli-plugins"
    mv "$apt/root/usr/libexec/docker/cli-plugins" "$DOCKER_CONFIG/" && rm -rf "$apt"
fi

if ! docker version >/dev/null 2>&1; then
    [ "$action" != hold ] || trap 'kill $(jobs -p) 2>/dev/null; stop_engine; exit' EXIT TERM INT HUP
    # If the daemon had to do this, it would also drop whatever else the machine forwards.
    echo 1 >/proc/sys/net/ipv4/ip_forward
    setsid dockerd --host "$DOCKER_HOST" --data-root "$home/data" --exec-root "$home/exec" --pidfile "$home/docker.pid" \
        >"$home/dockerd.log" 2>&1 </dev/null 3>&- &
    for _ in $(seq 150); do docker version >/dev/null 2>&1 && break || sleep 0.2; done
    docker version >/dev/null || { tail -n 20 "$home/dockerd.log"; exit 1; }
fi

new=$home/new
debian=taskhub-stand-in/debian:12
install='apt-get update -q && apt-get install -q -y --no-install-recommends'
clean='apt-get clean && rm -rf /var/lib/apt/lists/*'
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# missing NAME: is it? Then with an empty folder to make it in.
missing() { ! docker image inspect "$1" >/dev/null 2>&1 && echo "== stand-in for $1" && rm -rf "$new" && mkdir "$new"; }
# build NAME ...: from that folder, and from what tar is told to add.
build() { tar -c -C "$new" . "${@:2}" | docker build -t "$1" -; }
# The image of docker-compose.yml that has this name.
image() { sed -n "s/^ *image: \($1:.*\)/\1/p" "$checkout/docker-compose.yml"; }

if missing "$debian"; then
    debootstrap --variant=minbase --keyring="$keyring" bookworm "$new" "$mirror" >"$home/debootstrap.log"
    rm -rf "$new"/var/cache/apt/archives/*.deb "$new"/var/lib/apt/lists/* "$new"/usr/share/{locale,man}/*
    # As in Debian's slim images, only licences stay of the documents.
    find "$new/usr/share/doc" -type f ! -name copyright -delete
    apt-config dump | grep -E '^Acquire::(https?|Check-)' >"$new/etc/apt/apt.conf.d/99machine" || true
    tar -c -C "$new" --exclude='./dev/*' . | docker import -c 'CMD ["bash"]' - "$debian"
fi

rust=$(sed -n 's/^ARG RUST_IMAGE=//p' "$checkout/Dockerfile")
if missing "$rust"; then
    cat >"$new/Dockerfile" <<END
FROM $debian
RUN $install ca-certificates gcc libc6-dev && $clean
ENV CARGO_HOME=/usr/local/cargo PATH=/usr/local/rust/bin:$path
COPY rust /usr/local/rust
END
    # With this machine's own toolchain.
    toolchain=$(rustc --print sysroot); toolchain=${toolchain#/}
    build "$rust" --transform="flags=rh;s,^$toolchain,rust," --exclude="$toolchain/share" -C / "$toolchain"
fi

postgres=$(image postgres)
if missing "$postgres"; then
    cat >"$new/entrypoint" <<'END'
#!/bin/sh
set -eu
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --username="$POSTGRES_USER" --auth-local=trust --auth-host="$POSTGRES_HOST_AUTH_METHOD"
    echo "host all all all $POSTGRES_HOST_AUTH_METHOD" >>"$PGDATA/pg_hba.conf"
    pg_ctl -w start -o "-c listen_addresses=''" # as in the real image, not yet over TCP
    createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
    pg_ctl -w stop
fi
exec "$@"
END
    cat >"$new/Dockerfile" <<END
FROM $debian
ENV LANG=C.UTF-8 PGDATA=/var/lib/postgresql/data PATH=/usr/lib/postgresql/15/bin:$path
RUN groupadd -r -g 999 postgres && useradd -r -g 999 -u 999 -d /var/lib/postgresql postgres \
    && $install postgresql-15 && $clean && rm -rf /etc/postgresql/15 /var/lib/postgresql/15 \
    && sed -i "s/^#listen_addresses = .*/listen_addresses = '*'/" /usr/share/postgresql/15/postgresql.conf.sample \
    && install -d -o postgres -g postgres -m 3777 /var/lib/postgresql/data /run/postgresql
COPY --chmod=755 entrypoint /usr/local/bin/
ENTRYPOINT ["entrypoint"]
CMD ["postgres"]
END
    build "$postgres"
fi

redis=$(image redis)
if missing "$redis"; then
    # The real image is built with its protected mode off; Debian's server has to be told.
    cat >"$new/Dockerfile" <<END
FROM $debian
RUN groupadd -r -g 999 redis && useradd -r -g 999 -u 999 redis && $install redis-server && $clean
WORKDIR /data
ENTRYPOINT ["sh", "-c", "exec \"\$@\" --protected-mode no", "redis"]
CMD ["redis-server"]
END
    build "$redis"
fi
rm -rf "$new"

# Builds reach crates as this machine does: see "Behind a company's network" in docs/deployment.md.
variables=(DOCKER_HOST DOCKER_CONFIG DOCKER_BUILDKIT)
: "${TASKHUB_BUILD_CA:=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}}"
: "${TASKHUB_BUILD_CARGO_CONFIG:=${CARGO_HOME:-$HOME/.cargo}/config.toml}"
[ ! -f "$TASKHUB_BUILD_CA" ] || variables+=(TASKHUB_BUILD_CA)
[ ! -f "$TASKHUB_BUILD_CARGO_CONFIG" ] || variables+=(TASKHUB_BUILD_CARGO_CONFIG)
format='export %s=%q\n'
[ "$action" != hold ] || format='%s=%s\n'
for name in "${variables[@]}"; do printf "$format" "$name" "${!name}" >&3; done
[ "$action" != hold ] || echo >&3 # an empty line: everything is there
exec 3>&-
if [ "$action" = hold ]; then
    sleep infinity &
    wait
fi
