# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# capsule audit, on logs that something else wrote as watch/audit.h describes them.

# audit_log LINES: $T/audit and its head
audit_log() {
	python3 - "$T/audit" "$1" <<-'PY'
		import hashlib, os, sys
		path, lines = sys.argv[1], int(sys.argv[2])
		last = '0' * 64
		with open(path, 'w') as f:
		    for n in range(1, lines + 1):
		        body = '{"n":%d,"time":"2026-01-02T03:04:%02d.000000000Z","event":"capture","policy":"p%d"' % (n, n % 60, n)
		        last = hashlib.sha256((last + body).encode()).hexdigest()
		        f.write(body + ',"hash":"' + last + '"}\n')
		with open(path + '.head', 'w') as f: f.write('%d:%s\n' % (lines, last))
	PY
}

case_audit_chain() {
	local head
	audit_log 2000
	expect_status 0 "$CAPSULE" audit "$T/audit"
	grep '^2000 lines from 2026-01-02T03:04:01.000000000Z to 2026-01-02T03:04:20.000000000Z, unbroken; the last is 2000:' "$T/out" >/dev/null ||
		fail "$(cat "$T/out")"
	head=$(sed 's/.* //' "$T/out")
	[ "$head" = "$(cat "$T/audit.head")" ] || fail "the last hash is $head"
	expect_status 0 "$CAPSULE" audit -q --expect "$head" "$T/audit"
	[ ! -s "$T/out" ] || fail 'it is not quiet'

	cp "$T/audit" "$T/good"
	sed -i '700s/p700/p701/' "$T/audit"
	expect_status 1 "$CAPSULE" audit "$T/audit"
	one_line 'line 700 ' altered
	sed '900d' "$T/good" >"$T/audit"
	expect_status 1 "$CAPSULE" audit "$T/audit"
	one_line 'line 900 ' removed
	sed '1999p' "$T/good" >"$T/audit"
	expect_status 1 "$CAPSULE" audit "$T/audit"
	one_line 'line 2000 ' 'put in'
	sed '1d' "$T/good" >"$T/audit"
	expect_status 1 "$CAPSULE" audit "$T/audit"
	one_line 'line 1 ' removed
	head -n 1998 "$T/good" >"$T/audit"
	expect_status 1 "$CAPSULE" audit "$T/audit"
	one_line 'line 1999 is missing'
	rm "$T/audit.head"
	expect_status 0 "$CAPSULE" audit "$T/audit"
	expect_status 1 "$CAPSULE" audit --expect "$head" "$T/audit"
	one_line 'line 1999 is missing'
	head -c 1000 "$T/good" >"$T/audit"
	expect_status 1 "$CAPSULE" audit "$T/audit"
	one_line 'cut short'
}

case_audit_no_log() {
	expect_status 2 "$CAPSULE" audit
	expect_status 2 "$CAPSULE" audit a b
	expect_status 2 "$CAPSULE" audit --expect 7 a
	one_line "'7'"
	expect_status 1 "$CAPSULE" audit "$T/none"
	one_line 'No such file'
	expect_status 1 "$CAPSULE" audit /dev/zero
	one_line 'regular'
	expect_status 1 "$CAPSULE" audit "$CAPSULE"
	one_line 'line 1 '
	: >"$T/empty"
	expect_status 0 "$CAPSULE" audit "$T/empty"
}
