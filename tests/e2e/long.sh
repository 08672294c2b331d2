# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Long recordings: what the replayer holds of one is a window, however long it is.

# busy_redis NAME REQUESTS: a server that was asked so often, recorded without loss.
busy_redis() {
	local port
	port=$(free_port)
	mkdir -p -m 777 "$T/db"
	RECORD_OPTS="--on-overflow pause" serve "$1" redis-server --bind 127.0.0.1 --port "$port" --save '' --appendonly no --dir "$T/db"
	wait_for redis-cli -p "$port" ping
	redis-benchmark -p "$port" -n "$2" -c 50 -q -t set >/dev/null
	end_server "$1" redis-server 0
}

# memory NAME: KiB that its replay, an identical one, had at most, of a window of 1 MiB.
memory() {
	replay_once "$1" --window 1M
	check_replay "$1" || fail "$1: its replay is not the same"
	echo $(($(receipt "$1" memory) / 1024))
}

limit_memory_does_not_grow=400
case_memory_does_not_grow() {
	needs redis-server redis-cli redis-benchmark
	local short long
	busy_redis short 10000
	busy_redis long 40000
	short=$(memory short)
	long=$(memory long)
	echo "$short KiB, and $long KiB of four times as much"
	[ "$long" -lt $((short + 2048)) ] || fail "$short KiB became $long KiB"
}
