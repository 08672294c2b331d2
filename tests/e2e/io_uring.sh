# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# io_uring is declined: programs take their other way, in the recording as in the replay.

case_io_uring_or_read() {
	echo 'what the file says' >"$T/file"
	record uring "$BIN/uring" "$T/file" or-read
	printf 'io_uring: Function not implemented\nread: what the file says\nEXIT-SUCCESS\n' >"$T/want"
	same_bytes "$T/want" "$T/uring.out" "the recorded run" || fail "it did not fall back"
	"$CAPSULE" show "$T/uring.cap" | grep '^declined   1 request for io_uring' >/dev/null || fail "show does not say so: $("$CAPSULE" show "$T/uring.cap")"
	"$CAPSULE" show --json "$T/uring.cap" | grep '"declines":true.*"declined":1' >/dev/null || fail "show --json does not say so"
	take_away "$T/file"
	replays_the_same uring
}

case_io_uring_or_nothing() {
	echo 'what the file says' >"$T/file"
	record uring "$BIN/uring" "$T/file"
	[ "$(cat "$T/uring.out")" = 'io_uring: Function not implemented' ] && [ "$STATUS" -eq 1 ] || fail "it printed $(cat "$T/uring.out")"
	replays_the_same uring
}

# Programs that were not asked to do without it are told so only where it matters.
case_io_uring_is_not_mentioned() {
	record true true
	! "$CAPSULE" show "$T/true.cap" | grep '^declined' >/dev/null || fail "nobody asked for it"
}

case_io_uring_of_node() {
	echo 'what the file says' >"$T/file"
	cat >"$T/read.js" <<'JS'
const fs = require('fs');
fs.promises.readFile(process.argv[2], 'utf8').then((s) => fs.promises.writeFile(process.argv[3], s.toUpperCase()))
	.then(() => fs.promises.readFile(process.argv[3], 'utf8')).then((s) => process.stdout.write(s));
JS
	record node env UV_USE_IO_URING=1 node "$T/read.js" "$T/file" "$T/copy"
	[ "$(cat "$T/node.out")" = 'WHAT THE FILE SAYS' ] || fail "it printed $(cat "$T/node.out")"
	"$CAPSULE" show "$T/node.cap" | grep '^declined' >/dev/null || fail "it did not ask for it"
	take_away "$T/file" "$T/copy"
	replays_the_same node
}

case_io_uring_allowed() {
	echo 'what the file says' >"$T/file"
	RECORD_OPTS=--io-uring=allow record uring "$BIN/uring" "$T/file" or-read
	[ "$(head -n 1 "$T/uring.out")" = 'ring: what the file says' ] || fail "it is not allowed: $(cat "$T/uring.out")"
	"$CAPSULE" show "$T/uring.cap" | grep 'hole: call at io_uring_setup' >/dev/null || fail "there is no hole: $("$CAPSULE" show "$T/uring.cap")"
	replay_once uring
	[ "$REPLAY_STATUS" -eq 1 ] || { why_not uring; fail "it diverges, as the replay has no io_uring"; }
	[ "$(receipt uring holes)" -gt 0 ] || { why_not uring; fail "the replay is silent about the hole"; }
	expect_status 125 "$CAPSULE" record --io-uring=perhaps -- true
	one_line 'decline or allow'
}

# The filter is in the way of nobody else's.
case_io_uring_and_a_filter_of_its_own() {
	record filter python3 -c '
import ctypes, os, struct
libc = ctypes.CDLL(None, use_errno=True)
def bpf(*words): return ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *w) for w in words))
code = bpf((0x20, 0, 0, 0), (0x15, 0, 1, 96), (6, 0, 0, 0x50000 | 13), (6, 0, 0, 0x7fff0000))	# gettimeofday: EACCES
prog = ctypes.create_string_buffer(struct.pack("HxxxxxxQ", 4, ctypes.addressof(code)))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, prog) == 0
assert libc.syscall(96, 0, 0) == -1
print(os.strerror(ctypes.get_errno()))
assert libc.syscall(425, 8, 0) == -1
print(os.strerror(ctypes.get_errno()))'
	printf 'Permission denied\nFunction not implemented\n' >"$T/want"
	same_bytes "$T/want" "$T/filter.out" "two filters" || fail "it printed something else"
	replays_the_same filter
}
