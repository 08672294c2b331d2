# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Every row of format/syscalls.def: its program (tests/calls) makes the call, here as a family a recording, with a machine
# around it that differs from the one that replays.
USUAL_REPLAYS=3

# a_machine HOST: its name; what a process inherits: umask, limits, niceness, priority for disks, CPUs, groups
a_machine() {
	if [ "$1" = recorded ]; then
		HERE=(unshare -u -i sh -c 'hostname recorded; umask 027; ulimit -n 400; exec nice -n 3 ionice -c 2 -n 5 taskset -c $(($(nproc) - 1)) setpriv --groups 7,8,9 "$@"' sh)
	else
		ELSEWHERE=(unshare -u -i sh -c 'hostname elsewhere; umask 077; ulimit -n 300; ulimit -c 0; exec nice -n 7 taskset -c 0 "$@"' sh)
	fi
}

# A directory as each program wants it: files that were there, the peer's sockets
a_directory() {
	cd "$T"
	if [ ! -d fresh ]; then
		mkdir fresh fresh/given-dir
		ln -s ../peers/peer.stream ../peers/peer.seq ../peers/peer.dgram fresh
		ln -s given fresh/given-link
		echo 'was there' >fresh/given
		touch fresh/given-dir/inside-it
	fi
	rm -rf work
	cp -a fresh work
	cd work
}

# Without its call, a program must notice: so it makes it, and looks at what came of it.
each_makes_its_call() {
	local name
	for name in $("$BIN/calls" --list "$1"); do
		a_directory
		"${HERE[@]}" "$BIN/calls" "$name" <"$T/$1.in" >"$T/alone" 2>&1 || fail "alone, the program for $name fails: $(tail -n 3 "$T/alone")"
		a_directory
		! "${HERE[@]}" "$BIN/calls" --without "$name" <"$T/$1.in" >"$T/without" 2>&1 || fail "the program for $name can do without it"
	done
}

# family NAME: its programs are right, and recorded in one go they replay
family() {
	local f=$1 name
	mkdir "$T/peers" && chmod 755 "$T/peers"
	start_peer calls "$T/peers"
	export PEER
	a_machine recorded
	a_machine elsewhere
	head -c 1000 /dev/urandom | base64 >"$T/$f.in"
	each_makes_its_call "$f"
	a_directory
	record "$f" "$BIN/calls" "$f"
	grep -qx EXIT-SUCCESS "$T/$f.out" || fail "$f: $(tail -n 3 "$T/$f.out" "$T/$f.err")"
	cd "$T"
	"$CAPSULE" show --events "$T/$f.cap" >"$T/events"
	for name in $("$BIN/calls" --events "$f"); do
		grep -qa "\] $name(" "$T/events" || fail "the capsule does not hold $name"
	done
	stop_servers
	take_away "$T/work" "$T/peers" "$T/$f.in"
	replays_the_same "$f"
}

case_io() { family io; }
case_sockets() { family sockets; }
case_waits() { family waits; }
case_clocks() { family clocks; }
case_timers() { family timers; }
case_identity() { family identity; }
case_sched() { family sched; }
case_paths() { family paths; }
case_attributes() { family attributes; }
case_files() { family files; }
case_events() { family events; }
case_memory() { family memory; }
case_tasks() { family tasks; }
case_signals() { family signals; }
case_queues() { family queues; }
case_walls() { family walls; }

# What is not supported: where it works it is a hole, for the reason that its row gives; a replay answers ENOSYS.
case_refused() {
	local name
	record refused "$BIN/calls" refused
	grep -qx EXIT-SUCCESS "$T/refused.out" || fail "$(cat "$T/refused.err")"
	"$CAPSULE" show --events "$T/refused.cap" >"$T/shown"
	replay_once refused
	[ "$REPLAY_STATUS" -eq 1 ] || fail "a replay of them ended with $REPLAY_STATUS"
	for name in $("$BIN/calls" --list refused); do
		grep -q "^$name: .*: ENOSYS" "$T/refused.replay.out" || fail "$name was not refused: $(grep "^$name" "$T/refused.replay.out")"
		grep -q "^$name: .*works" "$T/refused.out" || continue
		grep -qF "HOLE call at $name: $("$BIN/calls" --reason "$name")" "$T/shown" || fail "no hole for $name: $(grep HOLE "$T/shown")"
	done
	[ "$(grep -c ': works' "$T/refused.out")" -ge 10 ] || fail "hardly any works here: $(cat "$T/refused.out")"
}

# The kernel asks no filter about uprobe and uretprobe.
case_refused_in_vain() {
	local n
	record vain "$BIN/calls" --refused
	replay_once vain
	n=$(grep -c 'SC_REFUSE\|SC_DECLINE' "$top/format/syscalls.def")
	[ "$(grep -c ': ENOSYS$' "$T/vain.replay.out")" -ge $((n - 2)) ] || fail "of $n: $(grep -v ENOSYS "$T/vain.replay.out")"
}
