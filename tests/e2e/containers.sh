# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Containers that an engine has made: recorded from their first instruction by a hook, or while they run; replayed without the engine.

# shellcheck source=tests/e2e/images.sh
. "$top/tests/e2e/images.sh"

needs_containers() { needs_images; needs runc python3 ip nsenter; own_cache; storage_conf; }

# pod, with the hook that "make install" installs.
hooked() {
	if [ ! -d "$T/hooks" ]; then
		mkdir "$T/hooks"
		make -s -C "$top" O="$O" DESTDIR="$T/dest" install >"$T/install.log" 2>&1 || fail "make install: $(tail -n 3 "$T/install.log")"
		sed "s,/usr/local/bin/capsule,$CAPSULE," "$T/dest/usr/share/containers/oci/hooks.d/capsule.json" >"$T/hooks/capsule.json"
	fi
	pod --hooks-dir "$T/hooks" "$@"
}
LIMITS=(--ulimit nofile=1024:1024 --ulimit nproc=100:100)

# A network of its own for a container, "ns:FILE": it is 10.88.0.2, and the client outside is 10.88.0.1.
container_network() {
	mkdir -p /run/netns
	mount -t tmpfs tmpfs /run/netns
	ip netns add box
	ip link add out0 type veth peer name eth0 netns box
	ip addr add 10.88.0.1/24 dev out0 && ip link set out0 up
	ip -n box addr add 10.88.0.2/24 dev eth0
	ip -n box link set lo up && ip -n box link set eth0 up
	NETWORK=ns:/run/netns/box
}

# run_hooked NAME OPTION... IMAGE [ARG]...: in the background, recorded into NAME.cap by the hook.
run_hooked() {
	local name=$1
	shift
	(status=0
	hooked run --rm --name "$name" --annotation capsule.record="$T/$name.cap" "${LIMITS[@]}" "$@" </dev/null >"$T/$name.out" 2>"$T/$name.err" || status=$?
	echo $status >"$T/$name.status") &
	SERVING=$!
	SERVERS+=("$SERVING")
}

# It has ended: the capsule is there as soon as podman returns.
end_hooked() {	# end_hooked NAME STATUS
	wait "$SERVING" || :
	SERVERS=()
	[ "$(cat "$T/$1.status")" = "$2" ] || fail "the container ended with $(cat "$T/$1.status"): $(head -c 800 "$T/$1.err") $(cat "$T/$1.cap.err" 2>/dev/null)"
	[ ! -e "$T/$1.cap.err" ] || fail "the hook complains: $(cat "$T/$1.cap.err")"
	"$CAPSULE" show "$T/$1.cap" >"$T/$1.shown" || fail "the capsule is not whole"
	[ "$(stat -c %a "$T/$1.cap")" = 600 ] || fail "the capsule's mode is $(stat -c %a "$T/$1.cap")"
	chmod 644 "$T/$1.cap"
	[ -z "$(ls /run/capsule/hook-* 2>/dev/null)" ] || fail "left behind: $(ls /run/capsule)"
}

# ---- a service of three layers ------------------------------------------------------

# service.go, whose answers are $1's; a line is a request, its answer is one line.
go_service() {	# go_service WORD TARGET
	cat >"$T/service.go" <<-GO
		package main

		import (
			"bufio"
			"crypto/rand"
			"fmt"
			"net"
			"os"
			"os/exec"
			"strings"
			"time"
		)

		const word = "$1"

		func file(path string) string {
			b, err := os.ReadFile(path)
			if err != nil {
				return err.Error()
			}
			return strings.TrimSpace(string(b))
		}

		func run(cmd ...string) string {
			b, err := exec.Command(cmd[0], cmd[1:]...).CombinedOutput()
			if err != nil {
				return err.Error() + " " + string(b)
			}
			return strings.Join(strings.Fields(string(b)), " ")
		}

		func log(line string) string {
			f, err := os.OpenFile("/data/log", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0644)
			if err != nil {
				return err.Error()
			}
			fmt.Fprintln(f, line)
			f.Close()
			return fmt.Sprint(strings.Count(file("/data/log"), "\n"), " lines before this")
		}

		func answer(line string) string {
			switch verb, rest, _ := strings.Cut(line, " "); verb {
			case "time":
				return fmt.Sprint(time.Now().UnixNano())
			case "random":
				b := make([]byte, 8)
				rand.Read(b)
				return fmt.Sprintf("%x", b)
			case "who":
				host, _ := os.Hostname()
				return fmt.Sprint("pid ", os.Getpid(), " parent ", os.Getppid(), " user ", os.Getuid(), " on ", len(host), " ", os.Getenv("GREETING"))
			case "read":
				return word + " " + file(rest)
			case "log":
				return log(rest)
			case "shell":
				return run("/bin/sh", "-c", rest)
			case "report":
				return run("python3", "/srv/report.py")
			}
			return "what?"
		}

		func main() {
			l, err := net.Listen("tcp4", ":8080")
			if err != nil {
				panic(err)
			}
			fmt.Println("listening as", os.Getpid())
			done := make(chan bool)
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go func() {
						defer c.Close()
						s := bufio.NewScanner(c)
						for s.Scan() {
							if s.Text() == "end" {
								fmt.Fprintln(c, "bye", c.LocalAddr(), c.RemoteAddr().(*net.TCPAddr).IP)
								done <- true
								return
							}
							fmt.Fprintln(c, answer(s.Text()))
						}
					}()
				}
			}()
			<-done
			fmt.Println("ended at", time.Now().UnixNano())
		}
	GO
	compile_go service
	mv "$T/service" "$2"
}

make_go_context() {	# make_go_context DIR
	make_context "$1"
	rm "$1/service/srv/teller"
	go_service first "$1/service/srv/service"
	sed -i 's,^ENTRYPOINT.*,ENTRYPOINT ["/srv/service"],; s,^CMD.*,,' "$1/Dockerfile"
}

say() {	# say LINE...: to 10.88.0.2, from 10.88.0.1; the answers
	python3 - "$@" <<-'PY'
		import socket, sys
		c = socket.create_connection(("10.88.0.2", 8080), source_address=("10.88.0.1", 0))
		f = c.makefile("rw")
		for line in sys.argv[1:]:
		    f.write(line + "\n"); f.flush()
		    print(f.readline(), end="")
	PY
}
serves() { [ "$(say random 2>/dev/null | wc -c)" -gt 10 ]; }

# A volume, which is not the image's: what was there before, and what comes.
make_volume() {
	mkdir -p "$T/volume/sub"
	echo 'the words of the volume' >"$T/volume/words"
	printf 'old\nlines\n' >"$T/volume/log"
	ln "$T/volume/words" "$T/volume/sub/same"
	chown -R 1234:1234 "$T/volume"
}

# What a client hears of the service in the container.
ask_service() {
	say who time random 'read /srv/data' 'read /data/words' 'log one' 'log two' report time
	say random 'read /data/sub/same' 'shell echo $PPID; ls -la /data; cat /etc/hosts /etc/hostname | wc -l; id; echo more >/tmp/made; cat /tmp/made; hostname' who
	say end
}

limit_hook_three_layers=420
case_hook_three_layers() {
	needs_containers
	needs go
	container_network
	make_volume
	make_go_context "$T/context"
	mkdir "$T/context/shell/tmp" && chmod 1777 "$T/context/shell/tmp"
	build_image "$T/context" web:1
	pod save -q --format docker-archive -o "$T/one.tar" web:1 >/dev/null
	echo 'a patched build' >"$T/context/service/srv/CHANGES"
	build_image "$T/context" web:2
	pod save -q --format oci-archive -o "$T/two.tar" web:2 >/dev/null
	go_service second "$T/context/service/srv/service"
	build_image "$T/context" web:3
	pod save -q --format oci-archive -o "$T/three.tar" web:3 >/dev/null

	run_hooked svc --network "$NETWORK" -v "$T/volume:/data" localhost/web:1
	wait_for serves
	ask_service >"$T/answers"
	end_hooked svc 0
	grep -q 'pid 1 parent 0 user 1234 on 12 hello there' "$T/answers" || fail "the answers: $(cat "$T/answers")"
	grep -q 'first the words of the volume' "$T/answers" || fail "the answers: $(cat "$T/answers")"
	grep -q '"home": "/home/app"' "$T/answers" || fail "the answers: $(cat "$T/answers")"
	grep -q 'bye 10.88.0.2:8080 10.88.0.1' "$T/answers" || fail "the answers: $(cat "$T/answers")"
	grep -q '^listening as 1' "$T/svc.out" || fail "it printed: $(cat "$T/svc.out")"
	grep -q '^image *containers-storage:localhost/web:1' "$T/svc.shown" || fail "show: $(cat "$T/svc.shown")"
	[ "$(grep -c '^ *layer sha256:' "$T/svc.shown")" -eq 3 ] || fail "show does not name three layers"
	grep -q "mounted: .* /data rw from $T/volume" "$T/svc.shown" || fail "show does not name the volume: $(cat "$T/svc.shown")"
	grep -q 'namespaces: .*net net:\[.*pid pid:\[' "$T/svc.shown" || fail "show: $(cat "$T/svc.shown")"
	grep -q 'addresses: .*eth0 10.88.0.2' "$T/svc.shown" || fail "show: $(cat "$T/svc.shown")"
	grep -q '^fidelity *complete$' "$T/svc.shown" || fail "show: $(grep -A5 ^fidelity "$T/svc.shown")"

	# container, image and store are gone, an archive comes back under another name, in another form
	pod_gone
	rm -rf "$T/context" "$T/volume"
	mkdir "$T/restored"
	skopeo copy -q "docker-archive:$T/one.tar" "oci:$T/restored/thing:renamed"
	rm "$T/one.tar"
	unset CONTAINERS_STORAGE_CONF
	replay_once svc
	[ "$REPLAY_STATUS" -eq 4 ] || fail "without the image it ended with $REPLAY_STATUS: $(cat "$T/svc.replay.err")"
	chmod -R a+rX "$T/restored" "$T/two.tar" "$T/three.tar"
	replays_the_same svc --images "$T/restored"
	rm -rf "$T/restored"

	# a patched build: in its place on purpose; and one whose answers are others
	replays_the_same svc --image "oci-archive:$T/two.tar"
	replay_once svc --image "oci-archive:$T/three.tar"
	[ "$REPLAY_STATUS" -eq 1 ] || fail "another program ended with $REPLAY_STATUS, not as different"
	[ "$(receipt svc verdict)" = '"diverged"' ] || fail "another program's answers were not told"
}

# A container whose ids are others outside: the program sees those inside, and so does the replay, whose user has one id only.
case_user_mapping() {
	needs_containers
	build_small mapped:1 'RUN ["/bin/busybox", "sh", "-c", "/bin/busybox mkdir /d; echo kept >/d/roots; echo app >/d/apps; /bin/busybox chown 1234:1235 /d/apps; /bin/busybox chmod 600 /d/*"]'
	# shellcheck disable=SC2016
	run_hooked mapped --uidmap 0:100000:65536 --gidmap 0:200000:65536 --network=none localhost/mapped:1 /bin/busybox sh -c '
		busybox() { /bin/busybox "$@"; }
		busybox id; for map in uid_map gid_map; do read -r line </proc/self/$map; echo "$map" $line; done; busybox ls -lan /d; busybox cat /d/roots; echo new >/d/new; busybox ls -ln /d/new
		busybox chown 77:78 /d/new; busybox ls -ln /d/new'
	end_hooked mapped 0
	grep -q '^uid_map 0 100000 65536$' "$T/mapped.out" && grep -q '^gid_map 0 200000 65536$' "$T/mapped.out" || fail "its ids are not mapped: $(cat "$T/mapped.out")"
	grep -q ' 1234 *1235 ' "$T/mapped.out" && grep -q ' 77 *78 ' "$T/mapped.out" || fail "the owners: $(cat "$T/mapped.out")"
	grep -q 'user ids: *0 *100000 *65536' "$T/mapped.shown" && grep -q 'group ids: *0 *200000 *65536' "$T/mapped.shown" || fail "show: $(cat "$T/mapped.shown")"
	pod save -q --format oci-archive -o "$T/mapped.tar" mapped:1 >/dev/null
	pod_gone
	unset CONTAINERS_STORAGE_CONF
	chmod 644 "$T/mapped.tar"
	replays_the_same mapped --images "$T/mapped.tar"
}

# ---- hooks that can't ---------------------------------------------------------------

# The container starts whatever is wrong, and a file says what; or it does not, where that was asked for.
case_hook_fails_softly() {
	needs_containers
	build_small soft:1 'CMD ["/bin/busybox", "echo", "it runs"]'
	soft() { hooked run --rm --network=none "${LIMITS[@]}" "$@" localhost/soft:1 >"$T/soft.out" 2>"$T/soft.err"; }
	soft --annotation other=1 || fail "without our annotation: $(cat "$T/soft.err")"
	echo precious >"$T/there.cap"
	soft --annotation capsule.record="$T/there.cap" || fail "it did not start: $(cat "$T/soft.err")"
	grep -qx 'it runs' "$T/soft.out" || fail "it did not run"
	grep -qx precious "$T/there.cap" || fail "a file that was there was written over"
	grep -q "creating the capsule '$T/there.cap': File exists" "$T/there.cap.err" || fail "nobody says why there is no capsule: $(cat "$T/there.cap.err")"
	! soft --annotation capsule.record="$T/there.cap" --annotation capsule.required=true || fail "it started, though it was to be recorded"
	[ ! -s "$T/soft.out" ] || fail "it ran"
	soft --annotation capsule.record="$T/small.cap" --annotation capsule.max-bytes=100 || fail "it did not start: $(cat "$T/soft.err")"
	grep -q 'capsule.max-bytes=100: a number of bytes' "$T/small.cap.err" || fail "a bad annotation is not told: $(cat "$T/small.cap.err" "$T/soft.err")"
	soft --annotation capsule.record=relative.cap || fail "it did not start: $(cat "$T/soft.err")"
	expect_status 2 "$CAPSULE" hook </dev/null
	one_line "no container's state"
	echo '{"id":"../x","status":"creating","pid":1,"annotations":{"capsule.record":"/x"}}' >"$T/state"
	expect_status 2 "$CAPSULE" hook <"$T/state"
	expect_status 2 "$CAPSULE" hook more </dev/null
	[ -z "$(ls /run/capsule/hook-* 2>/dev/null)" ] || fail "left behind: $(ls /run/capsule)"
}

# A container that runs already: its image, its own files and what is mounted into it; the service answers again as it did.
limit_attach_container=300
case_attach_container() {
	needs_containers
	container_network
	mkdir "$T/volume" && echo 'the words of the volume' >"$T/volume/words"
	mkdir -p "$T/small/bin"
	cp "$BIN/teller-static" "$T/small/bin/teller"
	build_small att:1 'CMD ["/bin/teller", "10.88.0.2:8080", "/data/words", "/own", "/bin/busybox", "sh", "-c", "echo pid $$ parent $PPID"]'
	pod run -d --name att --network "$NETWORK" -v "$T/volume:/data" "${LIMITS[@]}" localhost/att:1 >/dev/null 2>"$T/run.err" || fail "podman run: $(cat "$T/run.err")"
	pod exec att /bin/busybox sh -c 'echo what the container wrote >/own'
	wait_for serves
	"$CAPSULE" attach -o "$T/att.cap" --container att --for 3s 2>"$T/att.word" &
	local recorder=$! i
	wait_for test -s "$T/att.cap"
	for i in 1 2 3 4 5; do say report time random read "log $i" >>"$T/answers"; sleep 0.2; done
	wait $recorder || fail "attach: $(cat "$T/att.word")"
	[ "$(grep -c '^first the words of the volume' "$T/answers")" -eq 5 ] || fail "the answers: $(cat "$T/answers")"
	grep -q '^first 6 lines' "$T/answers" || fail "what the container had written before is not there: $(cat "$T/answers")"
	grep -q '^first pid [0-9]* parent 1$' "$T/answers" || fail "the answers: $(cat "$T/answers")"
	"$CAPSULE" show "$T/att.cap" >"$T/shown"
	grep -q '^attached *to container att, which ran already' "$T/shown" || fail "show: $(cat "$T/shown")"
	grep -q '^image *containers-storage:localhost/att:1' "$T/shown" || fail "show: $(cat "$T/shown")"
	grep -q '^container *podman att' "$T/shown" || fail "show: $(cat "$T/shown")"
	grep -q "mounted: .* /data rw from $T/volume" "$T/shown" || fail "show: $(cat "$T/shown")"
	grep -q 'addresses: .*eth0 10.88.0.2' "$T/shown" || fail "show: $(cat "$T/shown")"
	! grep -q 'image.*could not be found out' "$T/shown" || fail "show: $(cat "$T/shown")"
	"$CAPSULE" show --json "$T/att.cap" | python3 -c 'import json, sys
m = json.loads(sys.stdin.readline()); m = m.get("manifest", m); assert m["pid"] == 1 and m["ppid"] == 0, (m["pid"], m["ppid"])' || fail "its pids are not those inside"
	# where no engine answers, its cgroup tells which it is
	local id
	id=$(pod inspect --format '{{.Id}}' att)
	mkdir "$T/path"
	expect_status 0 env PATH="$T/path" "$CAPSULE" attach -o "$T/id.cap" --container "${id:0:12}" --for 1s
	"$CAPSULE" show "$T/id.cap" | grep "^container *podman ${id:0:12}" >/dev/null || fail "by its id: $("$CAPSULE" show "$T/id.cap")"
	expect_status 125 env PATH="$T/path" "$CAPSULE" attach --container "${id:0:11}"
	pod kill att >/dev/null && pod rm -f att >/dev/null
	expect_status 125 "$CAPSULE" attach --container att
	one_line att

	# container, volume and store are gone, an archive of the image comes back
	pod save -q --format oci-archive -o "$T/att.tar" att:1 >/dev/null
	pod_gone
	rm -rf "$T/volume"
	unset CONTAINERS_STORAGE_CONF
	chmod 644 "$T/att.tar" "$T/att.cap"
	echo 0 >"$T/att.status"
	replay_once att --images "$T/att.tar"
	answers_again att 15
}

# Inside of a container of this machine, without a right more than it has: doctor says what is missing and how to mend it, and a replay says no other;
# with the mend it replays.  The container sees the machine's programs, and the capsule is bound into it.
limit_replays_inside=240
case_replays_inside() {
	needs_containers
	local user mounts=()
	build_small shell:1 'RUN ["/bin/busybox", "mkdir", "-p", "/usr", "/etc", "/lib", "/lib64", "/sbin", "/c"]' 'CMD ["/bin/busybox", "true"]'
	record date sh -c 'date +%N; id -u; echo in >/tmp/made; cat /tmp/made'
	for user in usr bin lib lib64 sbin etc; do mounts+=(-v "/$user:/$user:ro"); done
	inside() {	# inside OPTION... -- CMD...
		local options=()
		while [ "$1" != -- ]; do options+=("$1"); shift; done
		shift
		pod run --rm --network=none "${LIMITS[@]}" "${mounts[@]}" -v "$T:/c" -v "$BIN:/b:ro" "${options[@]}" localhost/shell:1 "$@"
	}
	chmod 777 "$T"
	for user in root nobody; do
		expect_status 4 inside --user "$user" -- /b/capsule doctor
		sed -n '/^To replay/,$p' "$T/out" >"$T/missing"
		grep -q '^  missing  user namespaces' "$T/missing" || fail "doctor of $user does not say what is missing: $(cat "$T/missing")"
		grep -q 'mend: .*in a container: run it with --security-opt seccomp=unconfined' "$T/missing" || fail "doctor of $user says no mend: $(cat "$T/missing")"
		expect_status 4 inside --user "$user" -- /b/capsule replay /c/date.cap
		one_line 'host name: Operation not permitted' 'mend: ' 'seccomp=unconfined'

		inside --user "$user" --security-opt seccomp=unconfined -- /b/capsule doctor >"$T/out" 2>"$T/err" || :
		sed -n '/^To replay/,$p' "$T/out" >"$T/missing"
		! grep '^  missing' "$T/missing" || fail "with the mend something is missing for $user: $(cat "$T/missing")"
		expect_status 0 inside --user "$user" --security-opt seccomp=unconfined -- /b/capsule replay -q /c/date.cap
		same_bytes "$T/date.out" "$T/out" "the replay by $user inside" || fail "$(cat "$T/err")"
	done
}
