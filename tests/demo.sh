#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The main job, shown: record curl talking to a real nginx, take the server away, replay it.
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin	# Debian's programs, as in tests/run
top=$(cd "$(dirname "$0")/.." && pwd)
case ${O:=build} in /*) ;; *) O=$top/$O ;; esac

if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' plain=$'\e[0m'; else bold='' dim='' plain=''; fi
say() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }
show() {
	local word line=
	for word; do
		case $word in *' '*) word="'$word'" ;; esac
		line="$line $word"
	done
	printf '%s$%s%s\n' "$dim" "$line" "$plain"
}
run() { show "$@"; "$@"; }

# Where an ordinary user can reach it, wherever the checkout is.
D=$(mktemp -d "${TMPDIR:-/tmp}/capsule-demo.XXXXXX")
chmod 755 "$D"
nginx=
stop_nginx() { [ -z "$nginx" ] || { kill "$nginx" 2>/dev/null; wait "$nginx" 2>/dev/null; nginx=; } || :; }
trap 'stop_nginx; rm -rf "$D"' EXIT
cp "$O/capsule" "$D/capsule"
PATH=$D:$PATH
cd "$D"

if [ "$(id -u)" != 0 ]; then
	echo 'Recording needs privileges; run the demo as root. This is what the machine lets you do:'
	exec capsule doctor
fi

port=8800
while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
mkdir "$D/nginx"
cat >"$D/nginx.conf" <<CONF
daemon off; master_process off; pid $D/nginx/pid; error_log $D/nginx/error.log;
events {}
http {
	access_log off; default_type text/plain;
	client_body_temp_path $D/nginx/1; proxy_temp_path $D/nginx/2; fastcgi_temp_path $D/nginx/3;
	uwsgi_temp_path $D/nginx/4; scgi_temp_path $D/nginx/5;
	server {
		listen 127.0.0.1:$port;
		location = /price { return 200 "price at \$msec\n"; }
		location = /ticket { return 200 "ticket \$request_id\n"; }
	}
}
CONF
nginx -p "$D/nginx" -c "$D/nginx.conf" 2>/dev/null &
nginx=$!
for _ in $(seq 100); do (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.05; done

set -- curl -sS -w 'took %{time_total} s from port %{local_port}\n' "http://127.0.0.1:$port/price" "http://127.0.0.1:$port/ticket"
say '1. A web server on loopback answers differently at every request.'
run curl -sS "http://127.0.0.1:$port/price" "http://127.0.0.1:$port/ticket"

say '2. Record one run of curl. It prints what it always prints, and a file is left behind.'
show capsule record -o demo.cap -- "$@"
capsule record -o demo.cap -- "$@" 2>record.says | tee recorded
cat record.says
chmod 644 demo.cap

say '3. Stop the server. Without it curl fails:'
stop_nginx
run curl -sS "http://127.0.0.1:$port/price" 2>&1 && { echo 'the server still answers?'; exit 1; }

say '4. Replay the capsule, as the user nobody, in a sandbox without a network. The same curl really runs again.'
set -- setpriv --reuid=nobody --regid=nogroup --clear-groups capsule replay demo.cap
show "$@"
status=0
"$@" >replayed 2>replay.says || status=$?
cat replayed replay.says
if [ $status -eq 0 ] && cmp -s recorded replayed; then
	echo 'The same price, the same ticket, the same times: output and exit status are those of the recording.'
else
	echo "The replay differs from the recording (exit status $status)."
	status=1
fi

say '5. What the capsule holds:'
run capsule show demo.cap
exit $status
