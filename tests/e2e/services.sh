# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The machine's own services are peers like others: names, messages, the log.  They run in a mount namespace of the case's own.

own_run() {	# /run and /dev/log are the case's own
	private_network
	mount -t tmpfs -o mode=755 none /run
	mkdir "$T/dev"
	mount -t tmpfs -o mode=755 none "$T/dev"
}

fine() { [ "$STATUS" -eq 0 ] || fail "$1 ended with $STATUS: $(head -c 500 "$T/$1.err")"; }

start_nscd() {	# start_nscd SHARED: whether its clients may look into its memory
	needs nscd getent
	own_run
	mkdir /run/nscd
	printf 'enable-cache passwd yes\nshared passwd %s\npersistent passwd no\nenable-cache group yes\nshared group %s\npersistent group no\nenable-cache hosts yes\nshared hosts %s\npersistent hosts no\n' \
		"$1" "$1" "$1" >"$T/nscd.conf"
	start nscd.log nscd -d -f "$T/nscd.conf"
	wait_for test -S /run/nscd/socket
	wait_for getent passwd root
}

case_nscd() {
	start_nscd no
	record names getent passwd root nobody daemon
	fine names
	record ids id daemon
	fine ids
	record hosts getent ahosts localhost
	fine hosts
	record absent getent passwd nobody-of-that-name
	[ "$STATUS" -eq 2 ] || fail "getent ended with $STATUS"
	"$CAPSULE" show --events "$T/names.cap" | grep 'nscd/socket' >/dev/null || fail "it did not ask nscd"
	stop_servers
	local n
	for n in names ids hosts absent; do replays_the_same $n; done
}

start_bus() {
	needs dbus-daemon dbus-send
	start bus.log dbus-daemon --session --address="unix:path=$T/bus" --print-address --nofork --nopidfile
	wait_for grep -q 'unix:' "$T/bus.log"
	export DBUS_SESSION_BUS_ADDRESS="unix:path=$T/bus"
}

case_dbus() {
	start_bus
	record names dbus-send --session --print-reply --dest=org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus.ListNames
	fine names
	grep -q 'org.freedesktop.DBus' "$T/names.out" || fail "no names: $(cat "$T/names.out")"
	record id dbus-send --session --print-reply --dest=org.freedesktop.DBus / org.freedesktop.DBus.GetId
	fine id
	record error dbus-send --session --print-reply --dest=org.example.Nobody / org.example.Nothing
	[ "$STATUS" -eq 1 ] || fail "it ended with $STATUS"
	local n
	for n in names id error; do replays_the_same $n; done
}

# Signals of others that come while it listens.
case_dbus_monitor() {
	needs dbus-monitor
	start_bus
	needs_recording
	local s=0 rec i
	"$CAPSULE" record -q -o "$T/monitor.cap" -- dbus-monitor --session "interface='org.example'" </dev/null >"$T/monitor.out" 2>"$T/monitor.err" &
	rec=$!
	wait_for pgrep -P $rec -x dbus-monitor
	for i in 1 2 3; do
		sleep 1
		dbus-send --session / org.example.Word "string:word $i"
	done
	sleep 1
	kill -TERM "$(pgrep -P $rec -x dbus-monitor)"
	wait $rec || s=$?
	echo $s >"$T/monitor.status"
	chmod 644 "$T/monitor.cap"
	[ $s -eq 143 ] || fail "it ended with $s: $(cat "$T/monitor.err")"
	grep -q 'word 3' "$T/monitor.out" || fail "it has not heard all: $(cat "$T/monitor.out")"
	replays_the_same monitor
}

case_gdbus() {
	needs gdbus
	start_bus
	record call gdbus call --session --dest org.freedesktop.DBus --object-path /org/freedesktop/DBus --method org.freedesktop.DBus.GetId
	fine call
	replays_the_same call
}

start_log() {	# a receiver of the log at /run/log.sock and, where nobody has it, at /dev/log
	needs python3
	own_run
	start log.log python3 -c 'import os, socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind("/run/log.sock")
os.chmod("/run/log.sock", 0o666)
print("ready", flush=True)
while True: print(s.recv(65536), flush=True)'
	wait_for grep -q ready "$T/log.log"
	cp -a /dev/null /dev/urandom /dev/zero /dev/full /dev/tty "$T/dev/"
	ln -s /run/log.sock "$T/dev/log"
	mount --bind "$T/dev" /dev
}

case_syslog() {
	start_log
	record script python3 -c 'import syslog
syslog.openlog("py", syslog.LOG_PID, syslog.LOG_DAEMON)
syslog.syslog("one")
syslog.syslog(syslog.LOG_ERR, "two: %m")
print("done")'
	fine script
	grep -q 'one' "$T/log.log" || fail "the log has it not: $(cat "$T/log.log")"
	grep -q 'two' "$T/log.log" || fail "the log has half of it: $(cat "$T/log.log")"
	replays_the_same script
}

case_logger() {
	needs logger
	start_log
	record logger logger -i -t tag -s "hello there"
	fine logger
	grep -q 'hello there' "$T/log.log" || fail "the log has it not: $(cat "$T/log.log")"
	printf 'a line\nand another\n' >"$T/lines.in"
	record lines logger -u /run/log.sock -p local0.notice
	fine lines
	grep -q 'and another' "$T/log.log" || fail "the log has it not: $(cat "$T/log.log")"
	replays_the_same logger
	replays_the_same lines
}

# rsyslogd, the one that most machines have.
case_rsyslog() {
	needs rsyslogd logger
	start_log
	stop_servers
	printf 'module(load="imuxsock" SysSock.Use="off")\ninput(type="imuxsock" Socket="/run/real.sock" CreatePath="on")\n*.* action(type="omfile" file="%s/messages")\n' "$T" >"$T/rsyslog.conf"
	start rsyslog.log rsyslogd -n -f "$T/rsyslog.conf" -i /run/rsyslog.pid
	wait_for test -S /run/real.sock
	ln -sf /run/real.sock /dev/log
	record logger logger -t tag "to the real one"
	fine logger
	wait_for grep -q 'to the real one' "$T/messages"
	replays_the_same logger
}
