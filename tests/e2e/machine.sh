# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Machines and users that can't: exit 125 (record) or 4 (replay), with the mend.  And recordings that come to grief.

# mended WORD...: one line that says what is missing and what to do about it
mended() {
	one_line "$@"
	grep -qiE 'sysctl|root|setcap|boot|mount|built with|capsule doctor' "$T/err" || fail "no mend: $(cat "$T/err")"
}

case_record_as_an_ordinary_user() {
	needs_recording
	mkdir "$T/open" && chmod 777 "$T/open"
	expect_status 125 as_user nobody "$CAPSULE" record -o "$T/open/x.cap" -- echo hello
	mended "capsule record: "
	[ ! -s "$T/out" ] || fail "the command ran unrecorded"
}

case_record_without_cap_bpf() {
	needs_recording
	expect_status 125 setpriv --bounding-set=-bpf,-sys_admin --inh-caps=-bpf,-sys_admin \
		"$CAPSULE" record -o "$T/x.cap" -- echo hello
	mended CAP_BPF
}

case_record_without_cap_perfmon() {
	needs_recording
	expect_status 125 setpriv --bounding-set=-perfmon,-sys_admin --inh-caps=-perfmon,-sys_admin \
		"$CAPSULE" record -o "$T/x.cap" -- echo hello
	mended CAP_PERFMON
}

case_record_without_btf() {
	needs_recording
	expect_status 125 unshare -m --propagation private sh -c 'mount -t tmpfs none /sys/kernel/btf && exec "$@"' sh \
		"$CAPSULE" record -o "$T/x.cap" -- echo hello
	mended BTF
}

without_userns() {	# as an ordinary user in a user namespace that allows no others
	as_user nobody unshare -U -r sh -c 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"' sh "$@"
}

case_replay_without_user_namespaces() {
	record hello echo hello
	as_user nobody unshare -U -r sh -c 'echo 0 >/proc/sys/user/max_user_namespaces' || skip "can't forbid user namespaces here"
	expect_status 4 without_userns "$CAPSULE" replay "$T/hello.cap"
	mended max_user_namespaces
	[ ! -s "$T/out" ] || fail "the command ran without its walls"
}

case_doctor() {
	[ "$(id -u)" = 0 ] || skip "needs root to be two users"
	expect_status 0 "$ASAN_CAPSULE" doctor
	expect_status 4 as_user nobody "$ASAN_CAPSULE" doctor
	grep -q 'missing  CAP_BPF' "$T/out" || fail "doctor does not see that CAP_BPF is missing"
	grep -q 'setcap' "$T/out" || fail "doctor names no mend"
	local s=0
	without_userns "$CAPSULE" doctor --json >"$T/out" || s=$?
	[ $s -eq 4 ] || fail "status $s without user namespaces"
	python3 - "$T/out" <<-'PY'
		import json, sys
		d = json.load(open(sys.argv[1]))
		assert d["replay"] is False and d["record"] is False, d
		bad = {c["check"]: c for c in d["checks"] if not c["ok"]}
		assert "max_user_namespaces" in bad["user namespaces"]["mend"], bad
		assert all(c["why"] for c in bad.values())
	PY
}

descendants() { ps -e -o pid=,ppid=,stat=,args= | awk -v p="$1" '{ up[$1] = $2; line[$1] = $0 } END { for (i in up) { for (j = i; j in up && j != p; j = up[j]); if (j == p && i != p) print line[i] } }'; }

case_recorder_killed() {
	needs_recording
	local i rec
	for i in 1 2 3; do
		"$CAPSULE" record -q -o "$T/killed$i.cap" -- sh -c 'for i in $(seq 40); do date +%N; sleep 0.05; sh -c :; done; echo end' >"$T/killed$i.out" 2>"$T/killed$i.err" </dev/null &
		rec=$!
		wait_for test -s "$T/killed$i.out"
		sleep "0.$((i * 3))"
		local tree
		tree=$(descendants $rec | awk '{ print $1 }')
		kill -KILL $rec
		wait $rec 2>/dev/null || :
		sleep 0.3
		local p
		for p in $tree; do
			case $(sed 's/.*) //' "/proc/$p/stat" 2>/dev/null) in [Tt]*) fail "process $p was left stopped" ;; esac
		done
		local s=0
		"$ASAN_CAPSULE" show --events "$T/killed$i.cap" >"$T/events" 2>"$T/err" || s=$?
		[ $s -eq 0 ] || [ $s -eq 3 ] || fail "show ended with $s: $(head -c 500 "$T/err")"
		[ $i -eq 1 ] || grep -q clock_gettime "$T/events" || fail "the capsule holds nothing of what went before: $(head -c 300 "$T/events" "$T/err")"
		"$CAPSULE" show "$T/killed$i.cap" >"$T/shown" 2>&1 || :
		grep -qi 'cut short' "$T/shown" || fail "show does not say that it is cut short"
		expect_status 3 "$CAPSULE" replay "$T/killed$i.cap"
		one_line "capsule replay: "
		for p in $tree; do kill -KILL "$p" 2>/dev/null || :; done
	done
}

case_disk_full() {
	needs_recording
	private_network		# for its mount namespace
	mkdir "$T/small"
	mount -t tmpfs -o size=256k none "$T/small"
	head -c 3000000 /dev/urandom >"$T/stdin"
	local s=0
	"$CAPSULE" record -o "$T/small/full.cap" -- sh -c 'cat; exit 6' <"$T/stdin" >"$T/out" 2>"$T/err" || s=$?
	cmp "$T/out" "$T/stdin" || fail "the command did not go on"
	[ $s -eq 6 ] || fail "the command's own status is 6, not $s: $(cat "$T/err")"
	grep -qi 'space' "$T/err" || fail "nothing was said: $(cat "$T/err")"
	"$CAPSULE" show "$T/small/full.cap" >"$T/shown" 2>&1 || :
	grep -qiE 'disk|space|cut short' "$T/shown" || fail "the capsule does not say so: $(cat "$T/shown")"
	expect_status 3 "$CAPSULE" replay "$T/small/full.cap"
}

# A ring that is far too small: what was lost is counted, and no replay calls it identical without saying so.
case_lost_is_counted() {
	head -c 30000000 /dev/zero >"$T/zeros.in"
	RECORD_OPTS="--ring 64K" record zeros sh -c 'dd bs=65536 status=none; for i in 1 2 3; do date +%N; done'
	[ "$STATUS" -eq 0 ] || fail "status $STATUS: $(cat "$T/zeros.err")"
	[ "$(stat -c %s "$T/zeros.out")" -gt 30000000 ] || fail "the command was hindered"
	"$CAPSULE" show --json "$T/zeros.cap" >"$T/shown" || fail "show"
	replay_once zeros
	if python3 -c 'import json, sys; sys.exit(json.load(open(sys.argv[1]))["holes"] == 0)' "$T/zeros.replay.json"; then
		[ "$REPLAY_STATUS" -ne 0 ] || grep -qi hole "$T/zeros.replay.err" || fail "identical, and not a word of the holes"
	else
		check_replay zeros || fail "nothing was lost, and yet"
	fi
}

# A burst that the same small ring does not hold: with --on-overflow pause the command waits, and the capsule is whole.
case_pause_instead_of_loss() {
	local lost
	needs_recording
	printf '%s\n' 'import time' 'for i in range(300000): time.clock_gettime(1)' 'print(time.time_ns())' >"$T/burst.py"
	"$CAPSULE" record -v --ring 64K -o "$T/lost.cap" -- python3 "$T/burst.py" >"$T/lost.out" 2>"$T/lost.err"
	lost=$(sed -n 's/.*, \([0-9]*\) records* lost$/\1/p' "$T/lost.err")
	"$CAPSULE" show --json "$T/lost.cap" >"$T/shown" || fail "show"
	python3 -c 'import json, sys; sys.exit(json.load(open(sys.argv[1]))["lost"] != int(sys.argv[2]))' "$T/shown" "$lost" ||
		fail "record and show differ in what was lost"
	[ "$lost" -gt 0 ] || echo "nothing was lost: this machine is too fast for a test of the other half"
	RECORD_OPTS="--ring 64K --on-overflow pause" record paused python3 "$T/burst.py"
	"$CAPSULE" show --json "$T/paused.cap" >"$T/shown" || fail "show"
	python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); sys.exit(d["lost"] or d["holes"])' "$T/shown" || fail "lost all the same: $(cat "$T/shown")"
	replays_the_same paused
}
