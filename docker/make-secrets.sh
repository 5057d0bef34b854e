#!/bin/sh
# Makes the files of docker/secrets that are not there yet; what is there stays as it is.
# A name in the certificates: ./make-secrets.sh casewright.example
set -eu
cd "$(dirname "$0")"
host=${1:-localhost}
mkdir -p secrets
chmod 0711 secrets
cd secrets
# Each container reads them as an account of its own, so they are readable; nobody can list the folder.
umask 0133

random() { openssl rand -base64 36 | tr '+/' '-_' | tr -d '\n'; }
once() { [ -s "$1" ] || cat >"$1"; }
# A file that may stay empty: what it would hold is then not set.
empty() { [ -e "$1" ] || : >"$1"; }

random | once secret_key
random | once postgres_password
random | once redis_password
random | once elastic_password
printf 'postgres://casewright:%s@postgres:5432/casewright' "$(cat postgres_password)" | once database_url
printf 'redis://:%s@redis:6379/0' "$(cat redis_password)" | once redis_url
empty elasticsearch_detect_api_key
empty elasticsearch_pivot_api_key
empty elasticsearch_write_api_key
empty elasticsearch_canary_api_key
empty metrics_token

# An authority of our own for the proxy and the optional Elasticsearch. Put the files of a better one in place.
if [ ! -s ca.crt ]; then
    openssl req -x509 -newkey rsa:3072 -nodes -days 3650 -subj "/CN=Casewright's own authority" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
        -keyout ca.key -out ca.crt 2>/dev/null
    chmod 0600 ca.key
fi
certificate() {
    [ -s "$1.crt" ] && return
    case $2 in *[!0-9.]*) kind=DNS ;; *) kind=IP ;; esac
    extensions=$(mktemp)
    printf 'subjectAltName=%s:%s,DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\n' "$kind" "$2" >"$extensions"
    openssl req -newkey rsa:3072 -nodes -subj "/CN=$2" -keyout "$1.key" 2>/dev/null |
        openssl x509 -req -days 825 -CA ca.crt -CAkey ca.key -CAcreateserial -extfile "$extensions" \
            -out "$1.crt" 2>/dev/null
    rm -f "$extensions"
    # openssl keeps keys to their maker; the containers read this one as accounts of their own.
    chmod 0644 "$1.key"
}
certificate proxy "$host"
certificate elasticsearch elasticsearch
