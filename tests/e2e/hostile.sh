# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Capsules that open, with all sums right, made by somebody who means harm (tests/forge.c): nothing of this machine changes, nothing
# hangs or crashes, and what is shown of them moves no terminal.

# forged KIND [ARG]: $T/KIND.cap, from $T/base.cap
forged() { "$BIN/forge" "$1" "$T/base.cap" "$T/$1.cap" "${2:-}" && chmod 644 "$T/$1.cap"; }

# ends_with STATUSES KIND [OPTION...]: replay by the plain and the sanitized tool, as an ordinary user
ends_with() {
	local want=$1 kind=$2 plain=$CAPSULE tool
	shift 2
	echo 0 >"$T/$kind.status"
	for tool in "$plain" "$ASAN_CAPSULE"; do
		CAPSULE=$tool REPLAY_LIMIT=${LONG:-30} replay_once "$kind" "$@"
		case " $want " in *" $REPLAY_STATUS "*) ;; *) why_not "$kind"; fail "$kind: status $REPLAY_STATUS, not $want" ;; esac
		timeout 60 "$tool" show "$T/$kind.cap" >"$T/$kind.shown" 2>"$T/err" || fail "show of $kind: $? $(cat "$T/err")"
	done
}

case_links() {
	mkdir "$T/target" && chmod 777 "$T/target" && echo mine >"$T/target/file" && chmod 666 "$T/target/file"
	record base sh -c 'for f in abs up proc/etc/passwd self; do echo evil >/tmp/forged/$f; done 2>/dev/null; cat /tmp/forged/up >/dev/null; echo done'
	forged links "$T/target/file"
	ends_with '0 1' links
	grep -qx 'done' "$T/links.replay.out" || fail "the program did not run: $(cat "$T/links.replay.err")"
	[ "$(cat "$T/target/file")" = mine ] || fail "the guest wrote through the capsule's link"
	[ ! -e /tmp/forged ] || fail "something was laid on the host"
}

case_devices() {
	record base sh -c 'for f in /tmp/device /tmp/fifo /tmp/sock /tmp/both /dev/sda; do test -b $f && echo block; test -c $f && echo character; done; test -c /dev/null && echo null; echo done'
	forged devices
	ends_with '0 1 3 4' devices
	! grep -E 'block|character' "$T/devices.replay.out" || fail "a capsule made a device node"
	[ "$REPLAY_STATUS" -gt 1 ] || grep -qx 'null' "$T/devices.replay.out" || fail "/dev/null is another one"
}

case_setuid() {
	record base sh -c '/tmp/forged/sh -p -c "id -u; grep NoNewPrivs /proc/self/status"; /usr/bin/forged -p -c "id -u; cat /etc/shadow"' 2>/dev/null
	forged setuid /bin/dash
	ends_with '0 1' setuid
	! grep -q 'root:' "$T/setuid.replay.out" || fail "the guest read what only root may"
	expect_status 1 "$CAPSULE" replay "$T/setuid.cap" -- /tmp/forged/sh -p -c 'grep -E "NoNewPrivs|CapEff" /proc/self/status'
	[ "$(tr -d '\t' <"$T/out" | sort)" = 'CapEff:0000000000000000
NoNewPrivs:1' ] || fail "a setuid program of a capsule has rights: $(cat "$T/out")"
}

limit_a_million_entries=500
case_a_million_entries() {
	record base echo hello
	forged million
	"$CAPSULE" show "$T/million.cap" >"$T/million.shown"
	grep -q '1000... in the capsule' "$T/million.shown" || fail "it has no million entries: $(grep ^files "$T/million.shown")"
	REPLAY_LIMIT=300 replay_once million --timeout 250
	case $REPLAY_STATUS in 0 | 1 | 4) ;; *) why_not million; fail "status $REPLAY_STATUS" ;; esac
}

case_names() {
	record base echo hello
	forged names
	ends_with 4 names
	"$CAPSULE" show --events "$T/names.cap" >"$T/names.events"
	"$CAPSULE" show --json --events "$T/names.cap" >"$T/names.json"
	"$CAPSULE" replay --allow-changed "$T/names.cap" >/dev/null 2>"$T/names.allowed" || :
	"$CAPSULE" check --allow-changed "$T/names.cap" >"$T/names.checked" 2>&1 || :
	local f
	for f in shown events json replay.err allowed checked; do
		! LC_ALL=C grep -qP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80\xae' "$T/names.$f" || fail "$f has what a terminal obeys: $(cat -v "$T/names.$f" | head -n 20)"
		! grep -q '^forged' "$T/names.$f" || fail "$f has a line that the capsule forged"
	done
	grep -q 'forged: identical' "$T/names.replay.err" || fail "the name is not told at all: $(cat -v "$T/names.replay.err")"
}

limit_zeros=200
case_zeros() {
	record base echo hello
	forged zeros
	[ "$(stat -c %s "$T/zeros.cap")" -lt 1000000 ] || fail "the capsule is not small"
	LONG=100 ends_with 0 zeros --max-disk 64M	# holes of a file, which take no room
	forged letters
	[ "$(stat -c %s "$T/letters.cap")" -lt 1000000 ] || fail "the capsule is not small"
	LONG=100 ends_with 4 letters --max-disk 64M
	grep -qi 'no space' "$T/letters.replay.err" || fail "it does not say why: $(cat "$T/letters.replay.err")"
	forged liar
	ends_with '0 1 3 4' liar --max-disk 64M
}

# What the environment of a capsule asks for happens inside, if at all.
case_preload() {
	printf '%s\n' '#include <stdio.h>' '#include <stdlib.h>' \
		"__attribute__((constructor)) static void evil(void) { FILE *f = fopen(\"$T/evil/was-here\", \"w\"); if (f) { fputs(\"x\", f); fclose(f); } puts(\"evil inside\"); }" >"$T/evil.c"
	gcc -shared -fPIC -o "$T/evil.so" "$T/evil.c"
	mkdir "$T/evil" && chmod 777 "$T/evil"
	record base echo hello
	forged preload "$T/evil.so"
	ends_with 1 preload
	grep -q 'evil inside' "$T/preload.replay.out" || fail "the guest's environment is not the capsule's"
	[ ! -e "$T/evil/was-here" ] || fail "it ran outside of the sandbox"
	"$CAPSULE" check "$T/preload.cap" >/dev/null 2>&1 || :
	[ ! -e "$T/evil/was-here" ] || fail "it ran outside of the sandbox"
}

# Where it says that its image came from.
case_images() {
	needs skopeo
	local ref
	record base echo hello
	CACHE=$T/cache
	mkdir -m 777 "$T/cache" "$T/stores"
	mkfifo "$T/fifo" && chmod 666 "$T/fifo"
	for ref in docker-archive:/dev/zero "oci-archive:$T/fifo" "containers-storage:[vfs@$T/stores/new]x" docker://127.0.0.1:1/x --version "oci:$T" \
		"containers-storage:@0123" 'sha256:x' $'oci:\033[2J\n' 'docker-daemon:x' "dir:$T"; do
		forged image "$ref"
		ends_with 4 image
		grep -q 'is not here; mend:' "$T/image.replay.err" || fail "'$ref': $(cat -v "$T/image.replay.err")"
		[ "$(wc -l <"$T/image.replay.err")" -eq 1 ] || fail "not one line: $(cat -v "$T/image.replay.err")"
	done
	[ -z "$(ls -A "$T/stores")" ] || fail "a store was made"
	for ref in sha256:../../../etc 'sha256:' x "$(printf 'sha256:%064d/' 0)"; do
		forged digest "$ref"
		ends_with 4 digest
		grep -q 'by no digest' "$T/digest.replay.err" || fail "'$ref': $(cat -v "$T/digest.replay.err")"
	done
}
