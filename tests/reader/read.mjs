#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// read.mjs FILE: prints what `capsule show --events --json FILE` prints, from capsule(5) alone and with other people's libraries.
// Exit 0, or 3 and one line on stderr if the file is no capsule of version 1 or is damaged.
import { readFileSync, writeSync } from "node:fs";
import { createHash } from "node:crypto";
import { decode } from "@msgpack/msgpack";
import { decompress } from "fzstd";

const MAX_FRAME = 4 << 20, MAX_PIECE = 1 << 20, MAX_INLINE = 256 << 10;
const MANIFEST = 1, EVENTS = 2, BLOB = 3, END = 4;
const KINDS = ["call", "fork", "exec", "exit", "signal", "object", "file", "output", "hole"];
const OBJECTS = [null, "socket", "pipe", "tty", "chr", "file", "synth", "other", "inner"];
const STATES = ["absent", "regular", "dir", "symlink", "other"];
const U64 = (1n << 64n) - 1n, I64 = (1n << 63n) - 1n;

class Bad extends Error {}
const need = (truth, what) => { if (!truth) throw new Bad(what); };
const sha256 = (...parts) => parts.reduce((h, p) => h.update(p), createHash("sha256")).digest();

// The names are not in the file: they are those of x86-64, and `show` knows them from its table.
const names = new Map();
for (const [, nr, name] of readFileSync(new URL("../../format/syscalls.def", import.meta.url), "utf8").matchAll(/^SYSCALL\((\d+), (\w+),/gm))
	names.set(BigInt(nr), name);

// ---- the file -------------------------------------------------------------------

function* frames(file) {
	need(file.length > 0, "empty file");
	need(file.subarray(0, 8).toString("latin1") === "CAPSULE\n" && file.length >= 16, "not a capsule");
	need(file.readUInt32LE(8) === 1, `version ${file.readUInt32LE(8)}`);
	need(file.readUInt32LE(12) === 0, "reserved field");
	let at = 16;
	for (let ended = false; !ended;) {
		if (at === file.length || file.length - at < 32)
			return { cut: at === file.length ? `cut short at offset ${at}` : `cut short inside the frame at offset ${at}`, at };
		const type = file.readUInt32LE(at), stored = file.readBigUInt64LE(at + 8), raw = file.readBigUInt64LE(at + 16);
		need(type >= MANIFEST && type <= END && file.readUInt32LE(at + 4) === 0, `frame at offset ${at}`);
		need(raw > 0n && raw <= MAX_FRAME && stored > 0n && stored <= raw + (raw >> 8n) + 64n, `lengths at offset ${at}`);
		const end = at + 32 + Number(stored);
		if (end > file.length)
			return { cut: `cut short inside the frame at offset ${at}`, at };
		const payload = file.subarray(at + 32, end);
		need(sha256(file.subarray(at, at + 24), payload).subarray(0, 8).equals(file.subarray(at + 24, at + 32)), `checksum at offset ${at}`);
		const room = Buffer.alloc(Number(raw)), content = decompress(payload, room);
		need(content.length === room.length, `content at offset ${at}`);
		need((type === MANIFEST) === (at === 16), `manifest at offset ${at}`);
		yield { type, at, content };
		at = end;
		ended = type === END;
	}
	need(at === file.length, "bytes behind the end frame");
	return { at };
}

// Strings stay bytes: what the machine called a path or a variable need not be UTF-8.
const unpack = (content) => decode(content, { useBigInt64: true, rawStrings: true, mapKeyConverter: (key) => Buffer.from(key).toString() });

// ---- values ----------------------------------------------------------------------

// A number of JavaScript's or a BigInt, within bounds, as a BigInt; missing: 0.
function int(v, min, max) {
	v = v === undefined ? 0n : v;
	need(typeof v === "bigint" || Number.isInteger(v), "not an integer");
	v = BigInt(v);
	need(v >= min && v <= max, `${v} out of bounds`);
	return v;
}
const u8 = (v) => int(v, 0n, 0xffn), u16 = (v) => int(v, 0n, 0xffffn), u32 = (v) => int(v, 0n, 0xffffffffn), u64 = (v) => int(v, 0n, U64);
const u63 = (v) => int(v, 0n, I64), i32 = (v) => int(v, -(1n << 31n), (1n << 31n) - 1n), i64 = (v) => int(v, -I64 - 1n, I64);
const bool = (v) => { v = v ?? false; need(typeof v === "boolean", "not a boolean"); return v; };
const list = (v, of) => { v = v ?? []; need(Array.isArray(v), "not an array"); return v.map(of); };
const bytes = (v) => {
	v = v ?? Buffer.alloc(0);
	need(v instanceof Uint8Array, "not bytes");
	return Buffer.from(v.buffer, v.byteOffset, v.length);
};
const exactly = (v, n) => { const b = bytes(v); need(b.length === n, `not ${n} bytes`); return b; };
const text = (v) => { const b = bytes(v); need(!b.includes(0), "NUL in a string"); return b; };

function clean(b) {
	const s = b.toString("latin1");
	need(b.length < 4096 && (s === "/" || /^(\/[^/]+)+$/.test(s)) && !s.split("/").some((c) => c === "." || c === ".."), `path ${s}`);
	return b;
}

// ---- JSON as capsule(5) wants it -----------------------------------------------------

const hex4 = (c) => "\\u" + c.toString(16).padStart(4, "0");

// ASCII only; a byte that is no UTF-8 is the lone surrogate \udcXX.
function quoted(b) {
	let out = '"';
	for (let i = 0; i < b.length;) {
		const n = utf8(b, i);
		if (n === 0) {
			out += hex4(0xdc00 + b[i++]);
			continue;
		}
		const s = b.subarray(i, i + n).toString("utf8");
		for (let k = 0; k < s.length; k++) {
			const c = s.charCodeAt(k);
			out += c === 0x22 || c === 0x5c ? "\\" + s[k] : c >= 0x20 && c < 0x7f ? s[k] : hex4(c);
		}
		i += n;
	}
	return out + '"';
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
function utf8(b, i) {
	const n = b[i] < 0x80 ? 1 : b[i] < 0xc2 ? 0 : b[i] < 0xe0 ? 2 : b[i] < 0xf0 ? 3 : b[i] < 0xf5 ? 4 : 0;
	if (n === 0 || i + n > b.length)
		return 0;
	try {
		strict.decode(b.subarray(i, i + n));
		return n;
	} catch {
		return 0;
	}
}

class Hex {
	constructor(b) { this.b = b; }
}
function json(v) {
	if (v === null || typeof v === "boolean" || typeof v === "bigint")
		return String(v);
	if (typeof v === "string")
		return quoted(Buffer.from(v, "utf8"));
	if (v instanceof Hex)
		return `"${v.b.toString("hex")}"`;
	if (Buffer.isBuffer(v))
		return quoted(v);
	if (Array.isArray(v))
		return `[${v.map(json).join(",")}]`;
	return `{${Object.entries(v).filter(([, x]) => x !== undefined).map(([k, x]) => `${json(k)}:${json(x)}`).join(",")}}`;
}

// ---- manifest, events, end -------------------------------------------------------------

const signals = (v) => v === undefined ? 0n : i64(v);
const textsOf = (v) => list(v, text);
const MANIFEST_KEYS = {
	tool: text, uuid: text, created: i64, monotonic: i64, boottime: i64, clocks: text, rootfs: text, image_dirs: textsOf,
	argv: textsOf, env: textsOf, cwd: text, uid: u32, euid: u32, gid: u32, egid: u32, groups: (v) => list(v, u32), umask: u32,
	sig_ignored: signals, sig_blocked: signals,
	pid: u32, ppid: u32, pgid: u32, sid: u32, rlimits: (v) => list(v, (p) => { const [cur, max] = list(p, u64); return [cur, max]; }),
	hostname: text, domainname: text, sysname: text, release: text, version: text, machine: text, cpu_model: text,
	ncpus: u32, aslr: bool, declines: (v) => v === undefined ? false : bool(v), signature: text, attached: text, limits: text, replay_of: text,
	redacted: (v) => v === undefined ? [] : textsOf(v), traces: (v) => v === undefined ? [] : textsOf(v),
	upstream_traces: (v) => v === undefined ? [] : textsOf(v),
	image: text, image_manifest: text, image_config: text, image_layers: (v) => v === undefined ? [] : textsOf(v),
	container: text, mounts: (v) => v === undefined ? [] : textsOf(v), namespaces: (v) => v === undefined ? [] : textsOf(v),
	addresses: (v) => v === undefined ? [] : textsOf(v), uid_map: text, gid_map: text,
};
const OPTIONAL = new Set(["tool", "uuid", "sig_ignored", "sig_blocked", "hostname", "domainname", "sysname", "release", "version", "machine", "cpu_model", "declines",
	"signature", "attached", "limits", "replay_of", "redacted", "traces", "upstream_traces", "image", "image_manifest", "image_config", "image_layers",
	"container", "mounts", "namespaces", "addresses", "uid_map", "gid_map"]);

function manifest(map) {
	need(map && typeof map === "object" && !Array.isArray(map), "no map");
	const out = { kind: "manifest", format: 1n };
	for (const [key, of] of Object.entries(MANIFEST_KEYS)) {
		need(key in map || OPTIONAL.has(key), `manifest without '${key}'`);
		out[key] = of(map[key]);
	}
	need(out.argv.length > 0 && ["exact", "causal"].includes(out.clocks.toString()), "manifest");
	[out.rootfs, ...out.image_dirs].forEach(clean);
	if (out.cwd.length)
		clean(out.cwd);
	return out;
}

function segment(f) {
	const blob = f.length > 3;
	const out = { arg: u8(f[0]), index: u16(f[1]) };
	need(out.arg < 6n || (out.arg >= 0xe0n && out.arg <= 0xe6n), "segment");
	if (blob) {
		out.len = u63(f[2]);
		out.blob = new Hex(exactly(f[3], 32));
		need(out.len > 0n, "segment");
	} else {
		const b = bytes(f[2]);
		need(b.length <= MAX_INLINE, "segment");
		out.len = BigInt(b.length);
		out.bytes = new Hex(b);
	}
	return out;
}

// Name, NUL, length, value; for each.
function attributes(v) {
	const b = bytes(v ?? Buffer.alloc(0));
	need(b.length <= 128 << 10, "attributes");
	for (let at = 0; at < b.length;) {
		const nul = b.indexOf(0, at);
		need(nul >= 0 && nul + 5 <= b.length, "attributes");
		const name = b.toString("latin1", at, nul), len = b.readUInt32LE(nul + 1);
		need(/^user\../s.test(name) && name.length <= 255 && !name.startsWith("user.overlay.") && name !== "user.rootlesscontainers", "attributes");
		at = nul + 5 + (len === 0xffffffff ? 0 : len);
		need((len <= 65536 || len === 0xffffffff) && at <= b.length, "attributes");
	}
	return b.length ? new Hex(b) : null;
}

function file(f) {
	const out = {
		path: clean(text(f[0])), state: STATES[Number(u8(f[1]))], flags: u8(f[2]), mode: u32(f[3]), uid: u32(f[4]), gid: u32(f[5]),
		size: u63(f[6]), mtime: i64(f[7]), sha256: f[8] == null ? null : new Hex(exactly(f[8], 32)), target: text(f[9]), link: text(f[10]),
		...(attributes(f[11]) ? { attributes: attributes(f[11]) } : {}),
	};
	need(!out.attributes || out.state === "regular" || out.state === "dir", "file");
	if (out.link.length)
		clean(out.link);
	need((out.link.length === 0 || out.state === "regular") && out.state && out.mode <= 0o7777n && (out.target.length === 0 || out.state === "symlink"), "file");
	return out;
}

const BODIES = {
	call: (f) => ({
		nr: u16(f[0]), name: names.get(u16(f[0])), ret: i64(f[1]), args: [...list(f[2], u64), 0n, 0n, 0n, 0n, 0n, 0n].slice(0, 6),
		segs: list(f[3], segment), obj: u32(f[4]), obj2: u32(f[5]), flags: u16(f[6]),
	}),
	fork: (f) => ({ child: u32(f[0]), pid: u32(f[1]), tid: u32(f[2]), thread: bool(f[3]), goroutine: u32(f[4] ?? 0n), begins: u32(f[5] ?? 0n) }),
	exec: (f) => ({
		path: clean(text(f[0])), argv: list(f[1], text), env: list(f[2], text), cwd: text(f[3]),
		at_random: new Hex(f[4] == null ? Buffer.alloc(16) : exactly(f[4], 16)), vdso: u32(f[5]), goroutines: bool(f[6] ?? false),
	}),
	exit: (f) => ({ status: i32(f[0]), group: bool(f[1]), oom: bool(f[2] ?? false) }),
	signal: (f) => ({
		signo: i32(f[0]), code: i32(f[1]), pid: u32(f[2] ?? 0n), uid: u32(f[3] ?? 0n), value: u64(f[4] ?? 0n), group: bool(f[5] ?? false),
	}),
	object: (f) => ({
		id: u32(f[0]), object: OBJECTS[Number(u8(f[1]))], family: i32(f[2]), type: i32(f[3]), protocol: i32(f[4]),
		local: new Hex(bytes(f[5])), remote: new Hex(bytes(f[6])), path: text(f[7]), rdev: u64(f[8]), open_flags: u32(f[9]),
		offset: u64(f[10]), fds: list(f[11], i32),
	}),
	file, output: file,
	hole: (f) => ({ what: text(f[0]), where: text(f[1]), why: text(f[2]), count: u64(f[3]) }),
};

function event(f, since) {
	need(Array.isArray(f) && f.length >= 3, "no event");
	const kind = KINDS[Number(u8(f[0]))];
	need(kind, "unknown kind of event");
	const time = since + i64(f[1]);
	need(time >= 0n && time <= I64, "time");
	return { kind, time, task: u32(f[2]), ...BODIES[kind](f.slice(3)) };
}

// No path of a file event leads through another one that is a symbolic link.
const paths = { all: new Set(), links: new Set() };
function through(e) {
	if (e.kind !== "file")
		return;
	const path = e.path.toString("latin1");
	for (let at = path.lastIndexOf("/"); at > 0; at = path.lastIndexOf("/", at - 1)) {
		paths.all.add(path.slice(0, at));
		need(!paths.links.has(path.slice(0, at)), `'${path}' goes through a symbolic link`);
	}
	if (e.state === "symlink") {
		need(!paths.all.has(path), `another path goes through the symbolic link '${path}'`);
		paths.links.add(path);
	}
}

// The blob whose pieces are passing by, and all that have passed.
let blob = null;
const blobs = new Set();
function piece(f) {
	const name = exactly(f[0], 32).toString("hex"), at = u63(f[1]), total = u63(f[2]), b = bytes(f[3]);
	blob ??= { name, total, at: 0n, hash: createHash("sha256") };
	need(name === blob.name && total === blob.total && at === blob.at && b.length > 0 && b.length <= MAX_PIECE, "piece of a blob");
	blob.hash.update(b);
	blob.at += BigInt(b.length);
	need(blob.at <= total, "blob longer than it is");
	if (blob.at < total)
		return;
	need(!blobs.has(name) && blob.hash.digest("hex") === name, `blob ${name}`);
	blobs.add(name);
	blob = null;
}

function end(map, file, at, events, index) {
	const out = {
		kind: "end", complete: true, events: u64(map.events), blobs: u64(map.blobs), duration: u64(map.duration), lost: u64(map.lost),
		holes: u64(map.holes), status: i32(map.status), signature: text(map.signature), ...(map.stack === undefined ? {} : { stack: text(map.stack) }), ...(map.ended === undefined ? {} : { ended: text(map.ended) }), digest: new Hex(exactly(map.digest, 32)),
	};
	need(out.events === events && out.blobs === BigInt(blobs.size), "totals");
	need(out.digest.b.equals(sha256(file.subarray(0, at))), "digest");
	const listed = list(map.index, (e) => list(e, u64).join());
	need(listed.length === 0 || listed.join(";") === index.join(";"), "index");
	return out;
}

// ---- all of it ---------------------------------------------------------------------

function read(path) {
	const whole = readFileSync(path), lines = [], index = [], walk = frames(whole);
	let events = 0n, step;
	for (step = walk.next(); !step.done; step = walk.next()) {
		const { type, at, content } = step.value;
		need(type === BLOB || !blob, "a blob that is not whole");
		if (type === MANIFEST) {
			lines.push(manifest(unpack(content)));
		} else if (type === EVENTS) {
			let since = 0n;
			for (const f of unpack(content)) {
				const e = event(f, since);
				through(e);
				lines.push(e);
				since = e.time;
				events++;
			}
		} else if (type === BLOB) {
			piece(unpack(content));
		} else {
			lines.push(end(unpack(content), whole, at, events, index));
		}
		index.push(`${type},${at}`);
	}
	need(lines.length > 0, "cut short inside its manifest");
	if (step.value.cut)
		lines.push({ kind: "end", complete: false, why: step.value.cut, digest: new Hex(sha256(whole.subarray(0, step.value.at))) });
	return lines;
}

try {
	for (const line of read(process.argv[2]))
		writeSync(1, json(line) + "\n");
} catch (e) {
	process.stderr.write(`read.mjs: ${process.argv[2]}: ${e.message}\n`);
	process.exitCode = 3;
}
