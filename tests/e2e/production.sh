# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# The production recorder, whole: services in podman containers, with redis and PostgreSQL behind them, under load; one request in a few
# hundred fails by a bug that depends on time, on randomness and on what the others say.

# shellcheck source=tests/e2e/containers.sh
. "$top/tests/e2e/containers.sh"
# shellcheck source=tests/e2e/watch.sh
. "$top/tests/e2e/watch.sh"

# shellcheck source=tests/payments.sh
. "$top/tests/payments.sh"
HOST=10.88.0.1 REDIS=6379 PG=5432 AT=10.88.0.2 PORT=8080

# production LANGUAGE FIX: what that language's service in a container does, and its replay when all else is gone
production() {
	needs_containers
	needs redis-server redis-cli python3
	container_network
	start_behind
	"$1_image" pay:1
	pod save -q --format docker-archive -o "$T/one.tar" pay:1 >/dev/null
	"$1_image" pay:2 "$2"
	pod save -q --format docker-archive -o "$T/two.tar" pay:2 >/dev/null
	policy fives 'container: pay*, port: 8080' request '{any: [{http.status: ">= 500"}]}' 'max_capsules: 1' 'redact: [{header: [authorization]}, {json: [$.card]}]'
	"$CAPSULE" watch --socket "$T/socket" "$T/policy.yaml" 2>"$T/watch.log" &
	WATCH=$!
	pod run -d --name pay --network "$NETWORK" "${LIMITS[@]}" localhost/pay:1 >/dev/null 2>"$T/run.err" || fail "podman run: $(cat "$T/run.err")"
	wait_long grep -q 'watching container pay' "$T/watch.log"
	payments_load 90 >"$T/load" || fail "no failure, or another: $(cat "$T/load")"
	wait_long has_capsules 1
	stop_watch
	the_capsule pay
	"$CAPSULE" show "$T/pay.cap" >"$T/shown"
	! grep -q hole "$T/shown" || fail "it is not whole: $(cat "$T/shown")"
	python3 "$top/tests/frames.py" "$T/pay.cap" 4111111111111111 abcdefsecret987 || fail "secrets are in it"
	pod kill pay >/dev/null && pod rm -f pay >/dev/null
	pod_gone
	unset CONTAINERS_STORAGE_CONF
	chmod -R a+rX "$T"/*.tar
	stop_servers
	mkdir "$T/images" && mv "$T/one.tar" "$T/images"
	replay_once pay --images "$T/images"
	[ "$REPLAY_STATUS" = 0 ] || fail "$(why_not pay)"
	shows_again pay
	expect_status 0 as_stranger "$CAPSULE" check --image "docker-archive:$T/two.tar" "$T/pay.cap"
}

limit_production_python=420
case_production_python() { production python 'lucky = False'; }

limit_production_go=420
case_production_go() {
	needs go
	production go 'lucky = false'
}
