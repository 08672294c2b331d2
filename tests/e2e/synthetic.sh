# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Files that the machine makes up when they are read: a replay sees them as they were, on whatever machine.

fine() { [ "$STATUS" -eq 0 ] || fail "$1 ended with $STATUS: $(head -c 500 "$T/$1.err")"; }

# replays_as NAME CMD...: records and replays
replays_as() {
	local name=$1
	shift
	record "$name" "$@"
	fine "$name"
	[ -s "$T/$name.out" ] || fail "$name printed nothing"
	replays_the_same "$name"
}

case_tools_about_the_machine() {
	needs free uptime nproc lscpu vmstat getconf
	# shellcheck disable=SC2046
	replays_as cat cat /proc/cpuinfo /proc/meminfo /proc/loadavg /proc/stat /proc/uptime /proc/vmstat /proc/version /proc/mounts /proc/interrupts \
		/proc/sys/kernel/random/uuid /proc/sys/kernel/random/boot_id /proc/net/dev $(ls /sys/devices/system/cpu/online /sys/devices/system/cpu/possible)
	replays_as free free -b -w
	replays_as uptime uptime
	replays_as nproc nproc --all
	replays_as lscpu lscpu
	replays_as vmstat vmstat -w
	replays_as conf getconf _NPROCESSORS_CONF
}

case_a_process_about_itself() {
	needs python3
	replays_as self sh -c 'cd /proc/self && cat status stat statm maps limits cgroup mountinfo comm cmdline environ oom_score io sched'
	replays_as python python3 -c 'import os
for name in "status", "maps", "limits", "cgroup", "stat":
    print(open("/proc/self/" + name).read())
print(os.readlink("/proc/self/exe"), os.readlink("/proc/self/cwd"), os.readlink("/proc/self"), os.getpid())
print(open("/proc/%d/status" % os.getpid()).read())
print(sorted(os.listdir("/proc/self/task")), sorted(os.listdir("/proc/self/fd")))
pid = os.fork()
if pid == 0:
    print(open("/proc/%d/status" % os.getppid()).read(), open("/proc/self/stat").read(), flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print(os.path.exists("/proc/%d" % pid))'
}

# In every way in which a file can be read.
case_ways_of_reading() {
	needs python3
	replays_as ways python3 -c 'import os
def show(*what): print(*what, flush=True)
fd = os.open("/proc/stat", os.O_RDONLY)
show(os.read(fd, 20), os.read(fd, 20), os.lseek(fd, 0, 1))
show(os.pread(fd, 30, 5), os.lseek(fd, 0, 1))
a, b = bytearray(10), bytearray(50)
show(os.readv(fd, [a, b]), a, b, os.lseek(fd, 0, 1))
show(os.preadv(fd, [a, b], 7), a, b)
os.lseek(fd, 3, 0)
show(os.read(fd, 20))
other = os.dup(fd)
show(os.read(other, 11), os.read(fd, 11))
with open("/proc/uptime") as f:
    for _ in range(3):
        f.seek(0)
        show(f.readline())
with open("/proc/meminfo") as f:
    for line in f:
        show(line.split())
d = os.open("/proc/sys/kernel", os.O_RDONLY | os.O_DIRECTORY)
with os.fdopen(os.open("random/uuid", os.O_RDONLY, dir_fd=d)) as f: show(f.read())
show(os.stat("random/boot_id", dir_fd=d).st_mtime_ns, len(os.listdir(d)))'
}

# Directories, links, what is not there, and the processes of others.
case_trees_and_other_processes() {
	needs ps pgrep python3
	sleep 60 & local other=$!
	SERVERS+=($other)
	replays_as list sh -c 'ls /proc; ls -lR /sys/devices/system/cpu; ls -l /sys/class/net'
	replays_as links sh -c 'readlink /sys/class/net/lo; for f in /sys/class/net/*; do readlink "$f"; cat "$f/mtu" "$f/address"; done; test -e /sys/kernel/nothing || echo absent; cat /sys/class/net/none/mtu || echo none'
	sleep 60 & other=$!
	SERVERS+=($other)
	record ps ps -e -o pid,ppid,comm,args,rss
	fine ps
	grep -q "^ *$other .*sleep 60" "$T/ps.out" || fail "ps has not seen $other"
	record other sh -c 'cat "/proc/$1/status" "/proc/$1/cmdline"; ls "/proc/$1/task"; readlink "/proc/$1/exe"; kill -0 "$1" 2>/dev/null; test -d "/proc/$1" && echo there' x "$other"
	fine other
	stop_servers
	replays_the_same ps
	replays_the_same other
}

# The number of processors is what the recording machine says it is: here, in a mask of one, there, with a list of eight.
case_other_processors() {
	needs python3 nproc
	private_network
	mkdir "$T/fake"
	sed 's/^model name.*/model name\t: Another Processor 9000/; s/^cpu MHz.*/cpu MHz\t\t: 1234.567/' /proc/cpuinfo >"$T/fake/cpuinfo"
	sed 's/^MemTotal:.*/MemTotal:       123456789 kB/' /proc/meminfo >"$T/fake/meminfo"
	echo 0-7 >"$T/fake/online"
	mount --bind "$T/fake/cpuinfo" /proc/cpuinfo
	mount --bind "$T/fake/meminfo" /proc/meminfo
	mount --bind "$T/fake/online" /sys/devices/system/cpu/online
	record python taskset -c 0 python3 -c 'import os
print(os.cpu_count(), os.sched_getaffinity(0), os.sysconf("SC_NPROCESSORS_ONLN"), os.sysconf("SC_PHYS_PAGES"))
for name in "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system/cpu/online":
    print(open(name).read())'
	fine python
	record free free -k
	fine free
	umount /proc/cpuinfo /proc/meminfo /sys/devices/system/cpu/online
	rm -r "$T/fake"
	grep -q 'Another Processor 9000' "$T/python.out" || fail "it has seen the machine's own"
	grep -q 123456789 "$T/free.out" || fail "free has seen the machine's own"
	replays_the_same python
	replays_the_same free
}

# Limits of a container: files that no other machine has.
case_cgroup_that_is_gone() {
	needs python3
	private_network
	mount -t cgroup -o memory memory /sys/fs/cgroup 2>/dev/null || mount -t cgroup2 none /sys/fs/cgroup || skip "no cgroups"
	local group=/sys/fs/cgroup/capsule-tests-$$
	mkdir "$group"
	record cgroup python3 -c 'import os, sys
d = sys.argv[1]
for name in sorted(os.listdir(d)):
    if name.startswith(("memory.limit", "memory.max", "memory.stat", "cgroup.procs", "memory.usage")):
        try:
            print(name, os.stat(d + "/" + name).st_mode, open(d + "/" + name).read())
        except OSError as e:
            print(name, e)
print(os.path.exists(d + "/nothing"), os.path.isdir(d), sorted(os.listdir(d)))
print(open("/proc/self/cgroup").read())' "$group"
	fine cgroup
	rmdir "$group"
	umount /sys/fs/cgroup
	grep -q '^memory' "$T/cgroup.out" || fail "it has not seen a limit: $(cat "$T/cgroup.out")"
	replays_the_same cgroup
}

# Not made up, but the machine's all the same.
case_resolv_conf() {
	needs python3
	private_network
	printf 'nameserver 192.0.2.53\nsearch recorded.example\n' >"$T/resolv.conf"
	mount --bind "$T/resolv.conf" /etc/resolv.conf
	record resolver sh -c 'cat /etc/resolv.conf; python3 -c "print(open(\"/etc/resolv.conf\").read())"; hostname'
	fine resolver
	echo 'nameserver 198.51.100.1' >"$T/resolv.conf"
	replays_the_same resolver
	umount /etc/resolv.conf
	replays_the_same resolver
}

# What changed code reads of the machine and the recording does not have is never taken for recorded.
case_unrecorded_file_is_a_miss() {
	record uptime cat /proc/uptime
	replay_once uptime -- cat /proc/uptime /proc/loadavg /sys/devices/system/cpu/online
	receipt uptime miss_list | grep -q '/proc/loadavg was not read when recorded' || fail "$(receipt uptime miss_list)"
	receipt uptime miss_list | grep -q '/sys/devices/system/cpu/online was not read when recorded' || fail "$(receipt uptime miss_list)"
	! receipt uptime miss_list | grep -q '/proc/uptime' || fail "$(receipt uptime miss_list)"
}

# The C library may look at it when threads give memory back, by chance: then it is what it was on the recording machine.
case_overcommit_of_threads() {
	needs python3
	echo 2 >"$T/two"
	HERE=(unshare -m sh -c 'mount --bind "$0" /proc/sys/vm/overcommit_memory && exec "$@"' "$T/two")
	record threads python3 -c 'import threading; t = threading.Thread(target=print, args=("hello",)); t.start(); t.join()'
	fine threads
	replay_once threads -- head -c 9 /proc/sys/vm/overcommit_memory
	receipt threads miss_list | grep -q overcommit && fail "a miss: $(receipt threads miss_list)"
	[ "$(cat "$T/threads.replay.out")" = 2 ] || fail "it was told $(cat "$T/threads.replay.out")"
	replays_the_same threads
}

# Through links to /proc/self a name means what who opens it has there, be it a pipe, a file or a directory.
case_links_to_own_descriptors() {
	needs bash
	mkdir "$T/w"
	cd "$T/w"
	record links bash -c '
		ln -s /dev/stdout log; ln -s ../w/log again; ln -s /dev/fd fds
		{ echo one >/dev/stdout; echo two >>log; echo three >>again; echo four >/dev/stderr; echo five >/dev/fd/1; } 2>&1 | cat /dev/stdin
		cat <(echo six) fds/3 3< <(echo seven)
		echo eight | cat /proc/$$/cwd/fds/0
		exec 4</dev/null; for f in /dev/fd/*; do case $f in */[0124]) echo "$f" ;; esac; done
		echo nine | cat /dev/fd/0'
	fine links
	[ "$(wc -l <"$T/links.out")" -eq 13 ] || fail "it has not written all: $(cat "$T/links.out" "$T/links.err")"
	rm -f log again fds
	replays_the_same links
}
