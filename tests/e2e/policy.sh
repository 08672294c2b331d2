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
}
