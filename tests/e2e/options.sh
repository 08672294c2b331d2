# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the options promise; and the walls.

seconds() { python3 -c 'import sys; sys.exit(not eval(sys.argv[1]))' "$1"; }
now() { date +%s.%N; }

case_bind_a_changed_program() {
	mkdir "$T/program" && chmod 755 "$T/program"
	printf 'd=$(date +%%N); echo "$d"\n' >"$T/program/job"
	printf 'date +%%N >/dev/null\nd=$(date +%%N); echo "$d"\n' >"$T/program/reads-on"
	printf 'echo changed\n' >"$T/program/other"
	record job sh "$T/program/job"
	replays_the_same job --bind "$T/program/job:$T/program/job"
	replay_once job --bind "$T/program/other:$T/program/job"
	[ "$REPLAY_STATUS" -eq 1 ] || { why_not job; fail "another program prints something else"; }
	[ "$(cat "$T/job.replay.out")" = changed ] || { why_not job; fail "--bind did not put it there"; }
	replay_once job --bind "$T/program/reads-on:$T/program/job"
	[ "$(receipt job misses)" -gt 0 ] || { why_not job; fail "a clock reading more than recorded is a miss"; }
}

case_strict() {
	record clock sh -c 'date +%N; date >/dev/null'
	replay_once clock -- sh -c 'date +%N; date >/dev/null; date >/dev/null'
	[ "$REPLAY_STATUS" -eq 0 ] && [ "$(receipt clock misses)" -gt 0 ] || { why_not clock; fail "the same output with a miss is 0"; }
	replay_once clock --strict -- sh -c 'date +%N; date >/dev/null; date >/dev/null'
	[ "$REPLAY_STATUS" -eq 1 ] || { why_not clock; fail "with --strict it is 1"; }
	replay_once clock --strict
	[ "$REPLAY_STATUS" -eq 0 ] || { why_not clock; fail "without a miss --strict is 0"; }
}

case_speed() {
	local before
	record sleep sh -c 'sleep 1.5; date +%N'
	before=$(now)
	replay_once sleep
	check_replay sleep || fail "virtual"
	seconds "$(now) - $before < 1.2" || fail "a sleep took its time"
	before=$(now)
	replay_once sleep --speed real
	check_replay sleep || fail "real"
	seconds "$(now) - $before > 1.4" || fail "with --speed real a sleep took no time"
}

case_timeout() {
	local before
	record quick echo quick
	before=$(now)
	replay_once quick --timeout 2 -- sh -c 'while :; do :; done'
	[ "$REPLAY_STATUS" -eq 1 ] || { why_not quick; fail "an endless program"; }
	seconds "1.5 < $(now) - $before < 8" || fail "it was not given up after two seconds"
}

case_replay_as_root() {
	record date sh -c 'date +%N; id -u; cat /proc/self/status | grep -E "^(Cap|NoNew|Seccomp:)"'
	expect_status 1 "$CAPSULE" replay "$T/date.cap" -- sh -c 'id -u; grep -E "^(CapEff|CapPrm|CapBnd|NoNewPrivs|Seccomp):" /proc/self/status'
	printf '0\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n' >"$T/want"
	same_bytes "$T/want" "$T/out" "what the guest of a root's replay may do" || fail "privileges"
}

case_no_way_out() {
	start_peer text 'from the host'
	curl -sS "http://127.0.0.1:$PEER/" | grep -q 'from the host' || fail "the host's server does not answer"
	record nothing true
	replay_once nothing -- curl -sS -m 5 "http://127.0.0.1:$PEER/"
	! grep -q 'from the host' "$T/nothing.replay.out" || fail "the guest reached the host's server"
	mkdir "$T/open" && chmod 777 "$T/open"
	echo before >"$T/open/file" && chmod 666 "$T/open/file"
	replay_once nothing -- sh -c "echo evil >$T/open/file; echo evil >$T/open/new; rm -f $T/open/file; echo evil >/etc/capsule-evil; kill -9 -1; echo done"
	[ "$(cat "$T/open/file")" = before ] && [ ! -e "$T/open/new" ] && [ ! -e /etc/capsule-evil ] || fail "the guest wrote to the host's files"
	curl -sS "http://127.0.0.1:$PEER/" | grep -q 'from the host' || fail "the guest killed the host's server"
}

case_json_to_a_descriptor() {
	record date date +%N
	(as_stranger "$CAPSULE" replay -q --json 9 "$T/date.cap" 9>&1 >/dev/null) >"$T/out"
	python3 -c 'import json, sys; r = json.load(open(sys.argv[1])); sys.exit(r["verdict"] != "identical")' "$T/out" || fail "$(cat "$T/out")"
}

case_snapshot_limit() {
	head -c 200000 /dev/urandom >"$T/large"
	RECORD_OPTS="--snapshot-limit 100K" record large sha256sum "$T/large"
	"$CAPSULE" show "$T/large.cap" >"$T/shown"
	grep -q hole "$T/shown" || fail "nothing says that the file is not in the capsule: $(cat "$T/shown")"
	[ "$(stat -c %s "$T/large.cap")" -lt 100000 ] || fail "the file is in the capsule"
}

case_default_name() {
	needs_recording
	mkdir "$T/here" && cd "$T/here"
	expect_status 0 "$CAPSULE" record -- /bin/echo hello
	[ "$(ls ./*.cap | wc -l)" -eq 1 ] || fail "no capsule of a default name: $(ls)"
	expect_status 0 "$CAPSULE" replay "$(ls ./*.cap)"
}
