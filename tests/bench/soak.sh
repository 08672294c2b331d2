#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# soak.sh [SECONDS]: redis-benchmark at full speed for ten minutes (600) into one capsule, then its replay.  Tells what the
# recorder and the replayer hold in memory each half a minute, what was lost, and the verdict.  As root; SOAK_RECORD: options of record.
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin	# Debian's programs, as in tests/run
seconds=${1:-600}
capsule=$(realpath "${O:-build}")/capsule
D=$(mktemp -d "${TMPDIR:-/var/tmp}/capsule-soak.XXXXXX")
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
stop=
trap '[ -z "$stop" ] || kill $stop 2>/dev/null; rm -rf "$D"' EXIT
trap 'exit 130' INT TERM

descendants() { local p; for p in $(pgrep -P "$1"); do echo "$p"; descendants "$p"; done; }

# watch WHAT PID: its memory, and that of its descendants which are the same program, while it runs.
watch() {
	local p
	while kill -0 "$2" 2>/dev/null; do
		printf '%s %s' "$(date +%T)" "$1"
		for p in "$2" $(descendants "$2"); do
			[ "$(readlink "/proc/$p/exe")" != "$capsule" ] || sed -n 's/^VmRSS:[^0-9]*/, /p' "/proc/$p/status" 2>/dev/null | tr -d '\n'
		done
		echo ", capsule $(($(stat -c %s "$D/redis.cap" 2>/dev/null || echo 0) >> 20)) MiB"
		sleep 30
	done
}

"$capsule" record -v ${SOAK_RECORD:-} -o "$D/redis.cap" -- redis-server --bind 127.0.0.1 --port "$port" --save '' --dir "$D" \
	>"$D/out" 2>"$D/err" &
recorder=$!
stop=$recorder
until redis-cli -p "$port" ping >/dev/null 2>&1; do sleep 0.1; done
watch recorder "$recorder" &
timeout "$seconds" redis-benchmark -p "$port" -c 50 -n 1000000000 -t set -q >/dev/null || :
redis-cli -p "$port" info stats | sed -n 's/\r$//; s/^total_commands_processed:/commands: /p'
pkill -TERM -P "$recorder" -x redis-server
wait "$recorder" || echo "record ended with $?"
cat "$D/err"
stop=
"$capsule" replay --timeout 1000000 --json "$D/json" "$D/redis.cap" >"$D/replay.out" 2>"$D/replay.err" &
replayer=$!
stop=$replayer
watch replayer "$replayer" &
status=0
wait "$replayer" || status=$?
stop=
tail -n 3 "$D/replay.err"
cat "$D/json"
cmp "$D/out" "$D/replay.out"
exit $status
