#!/usr/bin/env bash
# A MariaDB, a Toxiproxy in front of it, and the shop behind both. Ctrl-C ends all three.
set -euo pipefail
cd "$(dirname "$0")"
database_port=${DATABASE_PORT:-33306} proxy_port=${PROXY_PORT:-33307}
toxiproxy_port=${TOXIPROXY_PORT:-8474} shop_port=${PORT:-8080}
python=${PYTHON:-python3}
PATH=$PATH:/usr/sbin:/usr/local/sbin

data=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null; wait; rm -rf "$data"' EXIT
trap 'exit 1' INT TERM
as=()
[ "$(id -u)" = 0 ] && as=(--user=root)

mariadb-install-db --no-defaults --datadir="$data/db" --auth-root-authentication-method=normal \
    --skip-test-db "${as[@]}" >"$data/install.log" 2>&1 || { cat "$data/install.log"; exit 1; }
mariadbd --no-defaults --datadir="$data/db" --socket="$data/socket" --pid-file="$data/pid" \
    --port="$database_port" --bind-address=127.0.0.1 "${as[@]}" >"$data/mariadb.log" 2>&1 &
sql() { mariadb --no-defaults --socket="$data/socket" --user=root "$@" 2>/dev/null; }
until sql -e "SELECT 1" >/dev/null; do
    jobs -r | grep -q . || { cat "$data/mariadb.log"; exit 1; }
    sleep 0.2
done
sql -e "CREATE DATABASE shop; CREATE USER shop@'127.0.0.1' IDENTIFIED BY 'local-only';
        GRANT ALL ON shop.* TO shop@'127.0.0.1'"

gameday toxiproxy --port "$toxiproxy_port" &
until curl -sf "http://127.0.0.1:$toxiproxy_port/version" >/dev/null; do sleep 0.2; done
curl -sf -X POST "http://127.0.0.1:$toxiproxy_port/proxies" -d "{\"name\": \"mariadb\",
    \"listen\": \"127.0.0.1:$proxy_port\", \"upstream\": \"127.0.0.1:$database_port\"}" >/dev/null

[ -f users.csv ] || "$python" members.py users 2000
DATABASE_URL=mysql://shop:local-only@127.0.0.1:$proxy_port/shop PORT=$shop_port "$python" members.py &
until curl -sf "http://127.0.0.1:$shop_port/health" >/dev/null; do
    kill -0 $! 2>/dev/null || exit 1
    sleep 0.2
done
echo "ready"
wait
