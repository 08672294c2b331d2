# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The runtimes that people write their clients in, each with its own way to the network, its threads and its clocks.

case_wget() {
	needs wget
	start_nginx
	record wget wget -nv -O - "http://127.0.0.1:$HTTP/live"
	ended 0
	replays_the_same wget
}

case_wget_to_files() {
	needs wget
	start_nginx
	mkdir "$T/down"
	for i in 1 2 3; do head -c 200000 /dev/urandom >"$T/www/file$i"; done
	record wget wget -P "$T/down" "http://127.0.0.1:$HTTP/file1" "http://127.0.0.1:$HTTP/file2" "http://127.0.0.1:$HTTP/file3"
	ended 0
	cmp "$T/www/file3" "$T/down/file3"
	take_away "$T/www" "$T/down"
	replays_the_same wget
}

case_perl_http_tiny() {
	needs perl
	start_nginx
	record perl perl -MHTTP::Tiny -MTime::HiRes=time -e 'srand; my $r = HTTP::Tiny->new->get($ARGV[0]);
		print $r->{status}, $r->{content}, time, " ", rand, " $$\n"; print "$_ $ENV{$_}\n" for keys %ENV' "http://127.0.0.1:$HTTP/live"
	ended 0
	says perl '^200'
	replays_the_same perl
}

case_perl_lwp() {
	needs perl
	perl -MLWP::UserAgent -e 1 2>/dev/null || skip "libwww-perl is not installed"
	start_nginx
	record lwp perl -MLWP::UserAgent -e 'print LWP::UserAgent->new->get($ARGV[0])->as_string' "http://127.0.0.1:$HTTP/live"
	ended 0
	says lwp '^HTTP/1.1 200'
	replays_the_same lwp
}

case_ruby() {
	needs ruby
	start_nginx
	record ruby ruby -rnet/http -rsecurerandom -e 'r = Net::HTTP.get_response(URI(ARGV[0]))
		puts r.code, r.body, Time.now.to_f, rand, SecureRandom.hex, Process.pid, "x".hash' "http://127.0.0.1:$HTTP/live"
	ended 0
	says ruby '^200$'
	replays_the_same ruby
}

case_ruby_threads() {
	needs ruby
	start_nginx
	record ruby ruby -rnet/http -e 't = 4.times.map { |i| Thread.new { [i, Net::HTTP.get(URI(ARGV[0]))] } }
		t.each { |x| p x.value }' "http://127.0.0.1:$HTTP/live"
	ended 0
	replays_the_same ruby
}

case_php() {
	needs php
	start_nginx
	record php php -r 'echo file_get_contents($argv[1]), microtime(true), " ", mt_rand(), " ", bin2hex(random_bytes(8)), " ", uniqid("", true), "\n"; print_r($http_response_header);' \
		-- "http://127.0.0.1:$HTTP/live"
	ended 0
	says php 'HTTP/1.1 200'
	replays_the_same php
}

case_lua() {
	needs lua5.4
	lua5.4 -e 'require "socket.http"' 2>/dev/null || skip "lua-socket is not installed"
	start_nginx
	record lua lua5.4 -e 'local h = require "socket.http"; print(h.request(arg[1])); print(os.time(), os.clock(), math.random(), {})' /dev/null "http://127.0.0.1:$HTTP/live"
	ended 0
	replays_the_same lua
}

case_node_hello() {
	needs node
	# Not the monotonic clock: how often the runtime itself reads that is not the program's doing, and ARCHITECTURE.md says so.
	record node node -e 'console.log("hello", Date.now(), Math.random(), require("crypto").randomUUID(), process.pid)'
	ended 0
	replays_the_same node
}

case_node_http() {
	needs node
	start_nginx
	record node node -e 'require("http").get(process.argv[1], r => { console.log(r.statusCode, r.headers); r.on("data", d => console.log(String(d), Date.now())) })' \
		"http://127.0.0.1:$HTTP/live"
	ended 0
	says node '^200'
	replays_the_same node
}

case_node_fetch() {
	needs node
	start_nginx
	record node node -e 'fetch(process.argv[1]).then(async r => console.log(r.status, r.headers, await r.text(), Date.now()))' "http://127.0.0.1:$HTTP/live"
	ended 0
	says node '^200'
	replays_the_same node
}

case_go_hello() {
	cat >"$T/hello.go" <<-'GO'
		package main
		import ("crypto/rand"; "fmt"; "os"; "time")
		func main() {
			b := make([]byte, 8)
			rand.Read(b)
			fmt.Printf("%d %x %d\n", time.Now().UnixNano(), b, os.Getpid())
			os.Exit(3)
		}
	GO
	compile_go hello
	record hello "$T/hello"
	ended 3
	replays_the_same hello
}

# Bare: a work tree's index holds its files' times and inode numbers, which a replay has not.
case_git_clone_bare() {
	needs git
	git init -q "$T/repo" && (cd "$T/repo" && for i in $(seq 20); do echo "$i $RANDOM" >"file$i"; git add . ; git -c user.name=a -c user.email=a@b commit -qm "$i"; done)
	GIT=$(free_port)
	touch "$T/repo/.git/git-daemon-export-ok"
	start git.log git daemon --listen=127.0.0.1 --port="$GIT" --base-path="$T" --reuseaddr
	wait_for listens 127.0.0.1 "$GIT"
	mkdir "$T/work"
	record clone git clone --bare "git://127.0.0.1:$GIT/repo" "$T/work/clone"
	ended 0
	take_away "$T/repo" "$T/work"
	replays_the_same clone
}

case_rsync() {
	needs rsync
	mkdir "$T/tree" "$T/to"
	for i in $(seq 30); do head -c $((i * 1000)) /dev/urandom >"$T/tree/file$i"; done
	RSYNC=$(free_port)
	printf 'pid file = %s/rsyncd.pid\nuse chroot = no\n[tree]\npath = %s/tree\nuid = root\n' "$T" "$T" >"$T/rsyncd.conf"
	start rsync.log rsync --daemon --no-detach --config="$T/rsyncd.conf" --address=127.0.0.1 --port="$RSYNC"
	wait_for listens 127.0.0.1 "$RSYNC"
	record rsync rsync -av "rsync://127.0.0.1:$RSYNC/tree/" "$T/to/new"
	ended 0
	cmp "$T/tree/file30" "$T/to/new/file30"
	take_away "$T/tree" "$T/to"
	replays_the_same rsync
}

case_ssh() {
	needs ssh ssh-keygen
	[ -x /usr/sbin/sshd ] || skip "sshd is not installed"
	SSH=$(free_port)
	mkdir -p /run/sshd "$T/ssh" && chmod 700 "$T/ssh"
	ssh-keygen -q -t ed25519 -N '' -f "$T/ssh/host" && ssh-keygen -q -t ed25519 -N '' -f "$T/ssh/key"
	cp "$T/ssh/key.pub" "$T/ssh/authorized"
	echo "[127.0.0.1]:$SSH $(cut -d' ' -f1,2 "$T/ssh/host.pub")" >"$T/ssh/known"
	start sshd.log /usr/sbin/sshd -D -e -f /dev/null -p "$SSH" -h "$T/ssh/host" -o ListenAddress=127.0.0.1 -o StrictModes=no \
		-o AuthorizedKeysFile="$T/ssh/authorized" -o PidFile="$T/ssh/pid" -o UsePAM=no
	wait_for listens 127.0.0.1 "$SSH"
	record ssh ssh -F /dev/null -i "$T/ssh/key" -p "$SSH" -o UserKnownHostsFile="$T/ssh/known" -o BatchMode=yes root@127.0.0.1 'date +%N; echo $SSH_CONNECTION; exit 5'
	ended 5
	replays_the_same ssh
}
