#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The production recorder, shown: a payments service in a container under load, with redis and PostgreSQL behind it, fails one request in some
# two hundred, by a bug that needs a time, a random number and their answers at once.  One capsule comes of it; everything is stopped; it
# fails again, offline, and a patched image does not.  Where there is no podman the service is a plain process.
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin	# Debian's programs, as in tests/run
top=$(cd "$(dirname "$0")/.." && pwd)
case ${O:=build} in /*) ;; *) O=$top/$O ;; esac
RUNS=${RUNS:-20}
[ "$(id -u)" = 0 ] || { echo 'Recording needs root.' >&2; exit 77; }

why=
for c in podman runc skopeo ip nsenter; do command -v $c >/dev/null || why="$c is not installed"; done
# The container's network, and podman's mounts, end with the demo.
if [ -z "$why" ] && [ -z "${IN_DEMO:-}" ]; then
	IN_DEMO=1 O=$O RUNS=$RUNS exec unshare -n -m --propagation private -- sh -c 'ip link set lo up && exec "$0"' "$0"
fi

if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi
title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
fail() { echo "$*" >&2; exit 1; }
skip() { fail "$*"; }
T=$(mktemp -d "${TMPDIR:-/tmp}/capsule-demo.XXXXXX")
chmod 755 "$T"
RUN=$T
PIDS=()
start() { local log=$1; shift; "$@" </dev/null >"$T/$log" 2>&1 & PIDS+=($!); }
wait_for() { local i; for i in $(seq 300); do "$@" >/dev/null 2>&1 && return; sleep 0.1; done; fail "waited in vain for: $*"; }
stop() {
	local p
	# The service first: PostgreSQL waits for its clients to go.
	[ -n "$why" ] || { pod rm -f -t 0 payments; umount -l "$T/store/overlay"; } >/dev/null 2>&1 || :
	for ((p = ${#PIDS[@]} - 1; p >= 0; p--)); do kill "${PIDS[p]}" 2>/dev/null && wait "${PIDS[p]}" 2>/dev/null || :; done
	PIDS=()
}
trap 'stop; rm -rf "$T"' EXIT
cp "$O/capsule" "$T/capsule"
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
stranger() { (cd / && env -i PATH="$PATH" HOME=/nonexistent XDG_CACHE_HOME="$T/users-cache" setpriv --reuid=nobody --regid=nogroup --clear-groups "$T/capsule" "$@"); }

# shellcheck source=tests/e2e/images.sh
. "$top/tests/e2e/images.sh"
# shellcheck source=tests/payments.sh
. "$top/tests/payments.sh"
mkdir "$T/users-cache" && chown nobody "$T/users-cache"
export XDG_CACHE_HOME=$T/cache
if [ -z "$why" ]; then
	# shellcheck source=tests/e2e/containers.sh
	. "$top/tests/e2e/containers.sh"
	storage_conf
	container_network
	HOST=10.88.0.1 REDIS=6379 PG=5432 AT=10.88.0.2 PORT=8080 select='container: payments, port: 8080'
else
	HOST=127.0.0.1 REDIS=$(port) PG=$(port) AT=127.0.0.1 PORT=$(port)
	select="port: $PORT"
fi
start_behind
cat >"$T/policy.yaml" <<YAML
- name: payments-5xx
  select: {$select}
  scope: request
  when: {any: [{http.status: ">= 500"}]}
  then:
    capture: {level: payload, max_capsules: 1}
    redact: [{header: [authorization]}, {json: [\$.card]}]
    store: $T/capsules
YAML

title '1. A payments service starts, and this is what is to be kept of it:'
"$T/capsule" policy check "$T/policy.yaml" | head -n 1
start watch.log "$T/capsule" watch --socket "$T/socket" "$T/policy.yaml"
if [ -z "$why" ]; then
	python_image payments:1
	pod save -q --format docker-archive -o "$T/image.tar" payments:1 >/dev/null
	python_image payments:2 'lucky = False'
	pod save -q --format docker-archive -o "$T/patched.tar" payments:2 >/dev/null
	pod run -d --name payments --network "$NETWORK" "${LIMITS[@]}" localhost/payments:1 >/dev/null 2>"$T/run.err" || fail "podman run: $(cat "$T/run.err")"
	chmod a+r "$T/image.tar" "$T/patched.tar"
else
	echo "(as a plain process: $why)"
	python_service >"$T/payments.py"
	start service.log /usr/bin/python3 "$T/payments.py"
fi
wait_for grep -q 'watching' "$T/watch.log"
grep 'watching' "$T/watch.log"

title '2. Load, until a request fails:'
payments_load 120 || fail 'none failed'
wait_for grep -q '\.cap: ' "$T/watch.log"
grep '\.cap: ' "$T/watch.log"

title '3. Everything is stopped; the container, redis and PostgreSQL are gone.'
stop
rm -rf "$T/payments.py" "$T/pg"
unset CONTAINERS_STORAGE_CONF
cp "$T"/capsules/*.cap "$T/failure.cap"
chmod 644 "$T/failure.cap"
python3 "$top/tests/frames.py" "$T/failure.cap" 4111111111111111 abcdefsecret987 && echo 'No card number and no token is in the capsule.'

title "4. The capsule fails again, offline and as nobody, $RUNS times of $RUNS:"
stranger replay ${NETWORK:+--images "$T/image.tar"} --runs "$RUNS" "$T/failure.cap"
check=0
stranger check "$T/failure.cap" || check=$?
[ "$check" = 1 ] || fail "check says $check"
if [ -z "$why" ]; then
	title '5. With the patched image it does not:'
	stranger check --image "docker-archive:$T/patched.tar" "$T/failure.cap" || fail "check of the patched image says $?"
fi
title 'Good for git bisect, a patch review, CI.'
