# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What a reading of the clock costs in a replay, by the supervisor's clock: the guest has none but the record's.
# A recording with a few readings is replayed with few and with many, and the difference is what the many cost.

# wall CAPSULE CMD...: ns that this replay takes
wall() {
	local cap=$1
	shift
	rm -f "$D/receipts/json"
	as_nobody "$capsule" replay -q --json "$D/receipts/json" "$cap" -- "$@" >/dev/null 2>&1 || :
	sed 's/.*"wall_ns":\([0-9]*\).*/\1/' "$D/receipts/json"
}

# reading NAME MANY PROGRAM [ARG]: ns of one, into $D/reading.NAME, and the same natively
reading() {
	local name=$1 many=$2 program=$3 i few lots
	shift 3
	"$capsule" record -q -o "$D/$name.cap" -- "$program" 10 "$@" >/dev/null 2>&1
	chmod 644 "$D/$name.cap"
	for i in $(seq "$ROUNDS"); do
		few=$(wall "$D/$name.cap" "$program" 10 "$@")
		lots=$(wall "$D/$name.cap" "$program" "$many" "$@")
		awk -v a="$lots" -v b="$few" -v n="$many" 'BEGIN { printf "%.1f\n", (a - b) / n }' >>"$D/reading.$name"
		few=$(date +%s%N); "$program" "$many" "$@" >/dev/null; lots=$(date +%s%N)
		awk -v a="$lots" -v b="$few" -v n="$many" 'BEGIN { printf "%.1f\n", (a - b) / n }' >>"$D/native.$name"
	done
}

measure_readings() {
	mkdir -p "$D/receipts" && chmod 777 "$D/receipts"
	cp "$O"/tests/programs/readings* "$D/"
	reading dynamic 5000000 "$D/readings"
	reading static 5000000 "$D/readings-static"
	[ ! -x "$D/readings-musl" ] || reading musl 5000000 "$D/readings-musl"
	[ ! -x "$D/readings-go" ] || reading go 5000000 "$D/readings-go"
	reading inline 50000 "$D/readings" syscall
}

# One row each: natively, in a replay.
readings_rows() {
	local name
	for name in dynamic:'glibc' static:'static glibc' musl:'static musl' go:'static Go' inline:'a `syscall` instruction of the program'"'s own"; do
		[ ! -e "$D/reading.${name%%:*}" ] || row "clock reading in a replay: ${name#*:}" "$(m "native.${name%%:*}") ns" "$(m "reading.${name%%:*}") ns" ''
	done
}
