# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Policy files: the documented one is good, a bad one is refused with its line.

case_policy_example() {
	expect_status 0 "$CAPSULE" policy check "$top/examples/policy.yaml"
	[ ! -s "$T/err" ] || fail "$(cat "$T/err")"
	for word in "container is 'payments-\*'" 'port 8080' 'status is at least 500' 'ECONNREFUSED 3 times within 10 seconds' 'at most 50 MiB' \
		'1 good one is kept every 10 minutes' 'crashes: ' 'not a byte of content' 'members of group adm'; do
		grep -- "$word" "$T/out" >/dev/null || fail "the words do not say '$word': $(cat "$T/out")"
	done
	expect_status 0 "$CAPSULE" policy check --json "$top/examples/policy.yaml"
	python3 - "$T/out" <<-'PY' || fail 'the JSON is not what the file says'
		import json, sys
		p = json.load(open(sys.argv[1]))
		assert p['host']['group'] == 'adm' and len(p['policies']) == 2
		a, b = p['policies']
		assert a['name'] == 'payments-5xx' and a['select'] == {'container': ['payments-*'], 'port': [8080]}
		assert a['when']['any'][1] == {'latency_ns': '> 500000000'} and a['then']['capture']['max_bytes'] == 50 << 20
		assert b['then']['capture']['level'] == 'metadata' and {'header': 'cookie', 'as': 'token'} in b['then']['redact']
	PY
	expect_status 0 "$CAPSULE" policy check -q "$top/examples/policy.yaml"
	[ ! -s "$T/out" ] || fail 'it is not quiet'
}

# A letter changed in any key of the example is refused, in the line where it is.
case_policy_misspelt() {
	local n=0 line word
	while IFS=: read -r line word; do
		sed "${line}s/\\b$word:/${word}x:/" "$top/examples/policy.yaml" >"$T/p.yaml"
		! cmp -s "$top/examples/policy.yaml" "$T/p.yaml" || fail "$word is not on line $line"
		expect_status 1 "$CAPSULE" policy check "$T/p.yaml"
		one_line "p.yaml:$line: unknown key '" "${word}x'"
		n=$((n + 1))
	done < <(grep -nvE '^ *#' "$top/examples/policy.yaml" | sed 's/ #.*//' | while IFS= read -r l; do
		for w in $(printf '%s\n' "${l#*:}" | grep -oE '\b[a-z_]+:' | tr -d :); do echo "${l%%:*}:$w"; done
	done)
	[ $n -gt 40 ] || fail "only $n keys were tried"
}

case_policy_refused() {
	expect_status 2 "$CAPSULE" policy
	expect_status 2 "$CAPSULE" policy chekc "$top/examples/policy.yaml"
	one_line "'chekc'"
	expect_status 1 "$CAPSULE" policy check "$T/nothing.yaml"
	one_line nothing.yaml 'No such file'
	expect_status 1 "$CAPSULE" policy check /dev/zero
	one_line /dev/zero:1: larger
	expect_status 1 "$CAPSULE" policy check "$CAPSULE"
	printf -- '- name: a\n  select: {binary: x}\n  when: {oom: true}\n  then:\n    history: {bytes: 900GiB}\n' >"$T/p.yaml"
	expect_status 1 "$CAPSULE" policy check "$T/p.yaml"
	one_line "p.yaml:5: bytes: 900GiB is too much; from 64KiB to 1048576KiB can be"
	printf -- '- name: a\n  select:\n    container: x\n    cgroup: /y\n  when: {oom: true}\n' >"$T/p.yaml"
	expect_status 1 "$CAPSULE" policy check "$T/p.yaml"
	one_line "p.yaml:4: " "not both"
	printf -- '- name: a\n  select: {binary: x}\n  when: {oom: true}\n  then:\n    redact:\n    - regex: "a("\n' >"$T/p.yaml"
	expect_status 1 "$CAPSULE" policy check "$T/p.yaml"
	one_line "p.yaml:6: " "at character"
}

# The unit's commands are ones that there are, with the prefix of the installation; the pre-check says no to a bad file.
case_policy_unit() {
	local line word words n=0
	make -s -C "$top" O="$O" DESTDIR="$T/dest" PREFIX=/usr install >"$T/log" 2>&1 || fail "$(tail -n 5 "$T/log")"
	cp "$T/dest/usr/lib/systemd/system/capsule-watch.service" "$T/unit"
	! grep /usr/local "$T/unit" || fail 'another prefix is in it'
	cp "$top/examples/policy.yaml" "$T/policy.yaml"
	while IFS= read -r line; do
		line=${line#*=}
		case $line in
		'/usr/bin/capsule policy check '*)
			words=${line#/usr/bin/capsule } words=${words//\/etc\/capsule/$T}
			# shellcheck disable=SC2086
			expect_status 0 "$CAPSULE" $words
			echo '- nonsense' >"$T/policy.yaml"
			# shellcheck disable=SC2086
			expect_status 1 "$CAPSULE" $words
			cp "$top/examples/policy.yaml" "$T/policy.yaml"
			;;
		'/usr/bin/capsule watch '*)
			for word in $line; do
				case $word in --*) "$CAPSULE" complete watch | cut -f 1 | grep -x -- "$word" >/dev/null || fail "watch has no $word" ;; esac
			done
			;;
		'kill -HUP '*) ;;
		*) fail "what is '$line'?" ;;
		esac
		n=$((n + 1))
	done < <(grep -E '^Exec' "$T/unit")
	[ $n -eq 4 ] || fail "$n commands"
	command -v systemd-analyze >/dev/null || return 0
	sed -i "s,/usr/bin/capsule,$CAPSULE," "$T/unit"
	mv "$T/unit" "$T/capsule-watch.service"
	systemd-analyze verify --man=no "$T/capsule-watch.service" >"$T/out" 2>&1 || fail "$(cat "$T/out")"
	! grep 'capsule-watch.service' "$T/out" || fail "$(cat "$T/out")"
}
