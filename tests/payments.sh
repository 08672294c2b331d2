# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# A payments service with redis and PostgreSQL behind it, in several languages, for tests/e2e/production.sh and tests/demo-watch.sh: one request
# in some two hundred fails, by a bug that needs a time, a random number and what the other two say at once.
#
# $HOST:$REDIS and $HOST:$PG are those behind it, $AT:$PORT is the service; $T is a directory for all this. Whoever includes it has start,
# wait_for, fail and skip of tests/lib.sh, and for images build_image of tests/e2e/images.sh.

# ---- what is behind it ---------------------------------------------------------------

start_behind() {
	start redis.log redis-server --bind "$HOST" --port "$REDIS" --requirepass sesame --save '' --appendonly no --dir "$T" --daemonize no --protected-mode no
	wait_for redis-cli -h "$HOST" -p "$REDIS" -a sesame ping
	local bin
	bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -n 1)
	[ -n "$bin" ] || skip "postgresql is not installed"
	mkdir "$T/pg" && chown postgres "$T/pg"
	(cd "$T/pg" && setpriv --reuid=postgres --regid=postgres --clear-groups "$bin/initdb" -D "$T/pg/data" -A trust -N -E UTF8 --locale=C >"$T/initdb.log" 2>&1) || fail "initdb: $(tail -n 3 "$T/initdb.log")"
	echo "host all all $HOST/24 trust" >>"$T/pg/data/pg_hba.conf"
	start postgres.log setpriv --reuid=postgres --regid=postgres --clear-groups "$bin/postgres" -D "$T/pg/data" -k "$T/pg" \
		-c listen_addresses="$HOST" -c port="$PG" -c fsync=off -c max_connections=50 -c shared_buffers=8MB
	wait_for "$bin/pg_isready" -q -h "$T/pg" -p "$PG"
	"$bin/psql" -q -h "$T/pg" -p "$PG" -U postgres -c 'CREATE TABLE payments(id serial PRIMARY KEY, "order" int, number int)' >/dev/null
}

# ---- services --------------------------------------------------------------------------

# What $1 imports, and the libraries for it, into $2.
python_with() {
	local python
	python=$(PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -I -c "if True:
		import os, sys, $1, encodings.utf_8, encodings.ascii, encodings.idna, encodings.latin_1
		print(os.path.realpath(sys.executable))
		for m in list(sys.modules.values()):
		    if getattr(m, '__file__', None): print(m.__file__)")
	{ echo "$python"; grep -v '\.py$' <<<"$python" | xargs -d '\n' ldd | grep -o '/[^ )]*[^ ):]' || :; } | sort -u | xargs -d '\n' cp -L --parents -t "$2"
	ln -s "$(basename "$(head -n 1 <<<"$python")")" "$2/usr/bin/python3"
}

# payments.py; $1 is the bug's line.
python_service() {
	cat <<-PY
		import http.server, json, os, psycopg2, queue, redis, sys, time
		sys.dont_write_bytecode = True
		cache = redis.Redis(host="$HOST", port=$REDIS, password="sesame")
		book = queue.LifoQueue()	# connections that nobody uses
		def enter(order, number):
		    try:
		        c = book.get_nowait()
		    except queue.Empty:
		        c = psycopg2.connect("host=$HOST port=$PG user=postgres dbname=postgres")
		    with c, c.cursor() as cur:
		        cur.execute('INSERT INTO payments("order", number) VALUES (%s, %s) RETURNING id', (order, number))
		        row = cur.fetchone()[0]
		    book.put(c)
		    return row
		book.put(psycopg2.connect("host=$HOST port=$PG user=postgres dbname=postgres"))
		class Payments(http.server.BaseHTTPRequestHandler):
		    protocol_version = "HTTP/1.1"
		    def do_POST(self):
		        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
		        number = cache.incr("payments")
		        row = enter(order["id"], number)
		        now, nonce = time.time(), os.urandom(8)
		        lucky = (int(now * 1000) + nonce[0] + number + row) % 200 == 0
		        $1
		        body = json.dumps({"order": order["id"], "number": number, "row": row, "at": now, "nonce": nonce.hex(), "error": "rounding" if lucky else None}).encode() + b"\n"
		        self.send_response(500 if lucky else 200)
		        self.send_header("Content-Length", str(len(body)))
		        self.end_headers()
		        self.wfile.write(body)
		    def log_message(self, *a):
		        pass
		http.server.ThreadingHTTPServer(("0.0.0.0", $PORT), Payments).serve_forever()
	PY
}

# python_image NAME [FIX]
python_image() {
	local dir=$T/context
	if [ ! -d "$dir" ]; then
		mkdir -p "$dir/python" "$dir/service/srv"
		python_with 'http.server, json, psycopg2, queue, redis' "$dir/python"
		printf '%s\n' 'FROM scratch' 'COPY python /' 'COPY service /' 'ENV PYTHONDONTWRITEBYTECODE=1' 'WORKDIR /srv' 'CMD ["/usr/bin/python3", "/srv/payments.py"]' >"$dir/Dockerfile"
	fi
	python_service "${2:-}" >"$dir/service/srv/payments.py"
	build_image "$dir" "$1"
	printf '%s\n' "FROM localhost/$1" 'COPY service /' >"$dir/Dockerfile"	# of the next one
}

# About 200 requests a second for at most $1 s, until one fails: how many there were, and its answer.
payments_load() {
	python3 - "$HOST" "$AT" "$PORT" "$1" <<-'PY'
		import http.client, json, sys, threading, time
		failed, lock, count, end = [], threading.Lock(), 0, time.time() + float(sys.argv[4])
		def worker(k):
		    global count
		    while time.time() < end and not failed:
		        begun = time.time()
		        c = http.client.HTTPConnection(sys.argv[2], int(sys.argv[3]), timeout=30, source_address=(sys.argv[1], 0))
		        with lock:
		            count += 1
		            n = count
		        c.request("POST", "/pay", json.dumps({"id": n, "card": "4111111111111111"}), {"Authorization": "Bearer abcdefsecret987"})
		        r = c.getresponse()
		        body = r.read()
		        c.close()
		        if r.status == 500:
		            failed.append(body)
		        time.sleep(max(0, 0.02 - (time.time() - begun)))
		threads = [threading.Thread(target=worker, args=(k,)) for k in range(4)]
		[t.start() for t in threads]
		[t.join() for t in threads]
		print(f"{count} requests, failed: {failed[0].decode() if failed else 'none'}", end="")
		sys.exit(not failed)
	PY
}


# payments.go, with clients of its own for redis and PostgreSQL that keep their connections; $1 is the bug's line.
go_payments() {
	cat >"$T/payments.go" <<-GO
		package main

		import (
			"bufio"
			"crypto/rand"
			"encoding/binary"
			"encoding/json"
			"fmt"
			"io"
			"net"
			"net/http"
			"strconv"
			"time"
		)

		type conn struct {
			net.Conn
			r *bufio.Reader
		}

		func dial(addr string) *conn {
			c, err := net.Dial("tcp", addr)
			if err != nil {
				panic(err)
			}
			return &conn{c, bufio.NewReader(c)}
		}

		func redis(c *conn, words ...string) string {
			s := fmt.Sprintf("*%d\r\n", len(words))
			for _, w := range words {
				s += fmt.Sprintf("\$%d\r\n%s\r\n", len(w), w)
			}
			c.Write([]byte(s))
			line, err := c.r.ReadString('\n')
			if err != nil || line[0] == '-' {
				panic(line)
			}
			return line[1 : len(line)-2]
		}

		func openRedis() *conn {
			c := dial("$HOST:$REDIS")
			redis(c, "AUTH", "sesame")
			return c
		}

		// The first column of the last row, when the server is ready for the next query.
		func answer(c *conn) string {
			column := ""
			for {
				head := make([]byte, 5)
				if _, err := io.ReadFull(c.r, head); err != nil {
					panic(err)
				}
				body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
				io.ReadFull(c.r, body)
				switch head[0] {
				case 'D':
					column = string(body[6 : 6+binary.BigEndian.Uint32(body[2:])])
				case 'E':
					panic(string(body))
				case 'Z':
					return column
				}
			}
		}

		func query(c *conn, sql string) string {
			m := binary.BigEndian.AppendUint32([]byte("Q"), uint32(len(sql)+5))
			c.Write(append(append(m, sql...), 0))
			return answer(c)
		}

		func openBook() *conn {
			c := dial("$HOST:$PG")
			words := "user\x00postgres\x00database\x00postgres\x00\x00"
			m := binary.BigEndian.AppendUint32(nil, uint32(len(words)+8))
			c.Write(append(binary.BigEndian.AppendUint32(m, 196608), words...))
			answer(c)
			return c
		}

		func take(pool chan *conn, open func() *conn) *conn {
			select {
			case c := <-pool:
				return c
			default:
				return open()
			}
		}

		var caches, books = make(chan *conn, 100), make(chan *conn, 100)

		func pay(w http.ResponseWriter, r *http.Request) {
			var order struct{ Id int }
			json.NewDecoder(r.Body).Decode(&order)
			c := take(caches, openRedis)
			number, _ := strconv.Atoi(redis(c, "INCR", "payments"))
			caches <- c
			b := take(books, openBook)
			row, _ := strconv.Atoi(query(b, fmt.Sprintf("INSERT INTO payments(\"order\", number) VALUES (%d, %d) RETURNING id", order.Id, number)))
			books <- b
			now, nonce := time.Now(), make([]byte, 8)
			rand.Read(nonce)
			lucky := (int(now.UnixMilli())+int(nonce[0])+number+row)%200 == 0
			$1
			if lucky {
				w.WriteHeader(500)
			}
			fmt.Fprintf(w, "{\"order\": %d, \"number\": %d, \"row\": %d, \"at\": %d, \"nonce\": \"%x\"}\n", order.Id, number, row, now.UnixNano(), nonce)
		}

		func main() {
			books <- openBook()
			http.HandleFunc("/pay", pay)
			panic(http.ListenAndServe("0.0.0.0:$PORT", nil))
		}
	GO
	compile_go payments
}

go_image() {	# go_image NAME [FIX]
	mkdir -p "$T/context/srv"
	go_payments "${2:-}"
	cp "$T/payments" "$T/context/srv/payments"
	printf '%s\n' 'FROM scratch' 'COPY srv /srv' 'CMD ["/srv/payments"]' >"$T/context/Dockerfile"
	build_image "$T/context" "$1"
}
