#!/bin/sh
# `sh infra/new-env.sh > .env`: the settings of a new installation for docker-compose.yml, with secrets of
# its own. `sh infra/new-env.sh demo > .env`: one whose brokers are SIMULATED, and which says so.
# Keep what it prints: without COPYPRO_SECRET_KEYS no stored password of an account opens again.
set -eu
# The file that it is written to was made by the caller's shell, for everybody to read.
if [ -f /dev/stdout ]; then chmod 600 /dev/stdout; fi

random() { # bytes; base64 that is safe in URLs, in file names and in YAML
    head -c "$1" /dev/urandom | base64 | tr -d '\n' | tr '+/' '-_'
}

name() { # of letters and digits only
    head -c 64 /dev/urandom | base64 | tr -dc 'A-Za-z0-9' | cut -c1-"$1"
}

case "${1-}" in
"" | demo) ;;
*) echo "usage: sh infra/new-env.sh [demo] > .env" >&2 && exit 2 ;;
esac

if [ "${1-}" = demo ]; then
    cat <<END
# SIMULATED: brokers and money of this installation are not real, and every line and page says so.
COMPOSE_PROJECT_NAME=copypro-demo
COMPOSE_PROFILES=demo
COPYPRO_SIMULATED=1
COPYPRO_SIGN_UP=open
ApiMT4=http://simulator:5004
ApiMT5=http://simulator:5005
END
else
    cat <<END
# Addresses of your mt4rest and mt5rest; leave them empty with docker-compose.bridges.yml.
ApiMT4=
ApiMT5=
END
fi
cat <<END
# Newest first, comma between: an older one stays until nothing is sealed by it any more.
COPYPRO_SECRET_KEYS=$(random 32)
# Operators' key.
COPYPRO_MANAGER_KEY=$(name 40)
# Where the proxy in front of the gateway comes from, else all its callers count as one address. For one on
# this machine that is 172.16.0.0/12, Docker's networks; not where COPYPRO_PUBLISH lets others in as well,
# who could then write themselves any address.
COPYPRO_TRUSTED_PROXIES=
# smtp://user:password@host:587 or smtps://…: letters for a forgotten password.
COPYPRO_MAIL=
# Alerts are posted here as JSON.
COPYPRO_ALERT_URL=
# Never changes: the log and the database know each other by it.
KAFKA_CLUSTER_ID=$(name 22)
MONGO_PASSWORD=$(name 40)
MONGO_ROOT_PASSWORD=$(name 40)
MONGO_REPLICA_KEY=$(name 60)
GRAFANA_PASSWORD=$(name 20)
END
