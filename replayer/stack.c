/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where in the source is a task of the guest?  Its frames by libdw, with lines
 * where there is debug information.
 *
 * A task that waits for our answer can't be stopped, so ptrace takes it as it
 * comes back from the call, with its registers and its stack as they were.  Its
 * programs and their debug information are untrusted: they are read in a
 * process of its own that has little time and memory, and of the guest only a
 * copy of its stack.
 */
#include <linux/types.h>

#include "replayer/replay.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STACK_BYTES = 256 << 10, PAGE = 4096, FRAMES = 24, SECONDS = 5, MEMORY = 1 << 30 };

struct unwinding {
	pid_t tid;
	struct user_regs_struct regs;
	uint8_t *stack;		/* from @from on */
	uint64_t from;
	size_t len;
	FILE *out;
	unsigned int frames;
	Dwfl *dwfl;
};

/* ---- in the process of its own ------------------------------------------------------ */

static pid_t looked_at;		/* libdw hands find_elf() nothing of ours */

/* Files by what the guest has at their names. */
static int find_elf(Dwfl_Module *mod, void **userdata, const char *name, Dwarf_Addr base, char **file, Elf **elf)
{
	char path[PATH_MAX];

	if (name[0] != '/')
		return dwfl_linux_proc_find_elf(mod, userdata, name, base, file, elf);
	if ((size_t)snprintf(path, sizeof(path), "/proc/%d/root%s", looked_at, name) >= sizeof(path))
		return -1;
	*file = strdup(name);
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

static pid_t next_thread(Dwfl *dwfl, void *ctx, void **at)
{
	struct unwinding *u = ctx;

	(void)dwfl;
	if (*at)
		return 0;
	*at = u;
	return u->tid;
}

static bool read_memory(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *ret, void *ctx)
{
	const struct unwinding *u = ctx;

	(void)dwfl;
	if (addr < u->from || addr - u->from > u->len || u->len - (addr - u->from) < sizeof(*ret))
		return false;
	memcpy(ret, u->stack + (addr - u->from), sizeof(*ret));
	return true;
}

static bool set_registers(Dwfl_Thread *thread, void *ctx)
{
	const struct user_regs_struct *r = &((struct unwinding *)ctx)->regs;
	/* In DWARF's order, see the psABI. */
	const Dwarf_Word words[] = { r->rax, r->rdx, r->rcx, r->rbx, r->rsi, r->rdi, r->rbp, r->rsp, r->r8,
				     r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15, r->rip };

	return dwfl_thread_state_registers(thread, 0, sizeof(words) / sizeof(words[0]), words);
}

static int tell_frame(Dwfl_Frame *frame, void *ctx)
{
	struct unwinding *u = ctx;
	const char *function = NULL, *file = NULL, *module = NULL;
	Dwfl_Module *mod;
	Dwarf_Addr pc;
	Dwfl_Line *line;
	bool active;
	int number = 0;

	if (u->frames == FRAMES || !dwfl_frame_pc(frame, &pc, &active))
		return DWARF_CB_ABORT;
	pc -= active ? 0 : 1;	/* the call, not what it returns to */
	mod = dwfl_addrmodule(u->dwfl, pc);
	if (mod) {
		function = dwfl_module_addrname(mod, pc);
		module = dwfl_module_info(mod, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
		line = dwfl_module_getsrc(mod, pc);
		file = line ? dwfl_lineinfo(line, NULL, &number, NULL, NULL, NULL) : NULL;
	}
	fprintf(u->out, "%s#%u %s", u->frames ? "\n" : "", u->frames, function ? function : "?");
	if (file)
		fprintf(u->out, " at %s:%d", file, number);
	else
		fprintf(u->out, " in %s", module ? module : "?");
	u->frames++;
	return function && strcmp(function, "main") == 0 ? DWARF_CB_ABORT : DWARF_CB_OK;
}

static void unwind(struct unwinding *u)
{
	static const Dwfl_Callbacks callbacks = { .find_elf = find_elf, .find_debuginfo = dwfl_standard_find_debuginfo };
	static const Dwfl_Thread_Callbacks thread = {
		.next_thread = next_thread, .memory_read = read_memory, .set_initial_registers = set_registers,
	};
	const struct rlimit memory = { MEMORY, MEMORY }, cpu = { SECONDS, SECONDS };

	setrlimit(RLIMIT_AS, &memory);
	setrlimit(RLIMIT_CPU, &cpu);
	unsetenv("DEBUGINFOD_URLS");	/* a replay asks nobody */
	looked_at = u->tid;
	u->dwfl = dwfl_begin(&callbacks);
	if (!u->dwfl || dwfl_linux_proc_report(u->dwfl, u->tid) != 0 || dwfl_report_end(u->dwfl, NULL, NULL) != 0 ||
	    !dwfl_attach_state(u->dwfl, NULL, u->tid, &thread, u))
		return;
	dwfl_getthread_frames(u->dwfl, u->tid, tell_frame, u);
	fflush(u->out);
}

/* ---- in the supervisor ----------------------------------------------------------------- */

/* As much as there is above the stack pointer. */
static void copy_stack(struct unwinding *u)
{
	u->from = u->regs.rsp;
	while (u->len < STACK_BYTES) {
		size_t n = PAGE - (u->from + u->len) % PAGE;

		if (n > STACK_BYTES - u->len)
			n = STACK_BYTES - u->len;
		if (guest_read(u->tid, u->from + u->len, u->stack + u->len, n) < 0)
			break;
		u->len += n;
	}
}

static void take(struct replay *r, pid_t tid, const char *what)
{
	struct unwinding u = { .tid = tid };
	pid_t parent = getpid(), pid;
	size_t n = 0;
	ssize_t k;
	int p[2];

	u.stack = malloc(STACK_BYTES);
	if (!u.stack || ptrace(PTRACE_GETREGS, tid, NULL, &u.regs) < 0 || pipe2(p, O_CLOEXEC) < 0) {
		free(u.stack);
		return;
	}
	copy_stack(&u);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(SECONDS);
		signal(SIGALRM, SIG_DFL);
		u.out = getppid() == parent ? fdopen(p[1], "w") : NULL;
		if (u.out)
			unwind(&u);
		_exit(0);
	}
	close(p[1]);
	free(u.stack);
	while (pid > 0 && n < sizeof(r->v->stack) - 1 && (k = read(p[0], r->v->stack + n, sizeof(r->v->stack) - 1 - n)) > 0)
		n += (size_t)k;
	r->v->stack[n] = 0;
	snprintf(r->v->stack_of, sizeof(r->v->stack_of), "%s", what);
	close(p[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

void stack_want(struct replay *r, struct gtask *t)
{
	if (!r->opts->stack || r->stack_asked || !r->v->first.set)
		return;
	r->stack_asked = t->stack_wanted = true;
	ptrace(PTRACE_INTERRUPT, t->tid, NULL, NULL);
}

void stack_stopped(struct replay *r, struct gtask *t)
{
	if (!t->stack_wanted)
		return;
	t->stack_wanted = false;
	take(r, t->tid, r->v->first.what);
}

/* Has @tid a handler for @signo? */
static bool catches(pid_t tid, int signo)
{
	_cleanup_free_ char *text = NULL;
	unsigned long long caught = 0;
	char path[64], *at;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	if (io_slurp(path, 1 << 16, &text, NULL) < 0 || !(at = strstr(text, "\nSigCgt:")))
		return false;
	sscanf(at, "\nSigCgt: %llx", &caught);
	return caught >> (signo - 1) & 1;
}

void stack_signal(struct replay *r, struct gtask *t, int signo)
{
	static const int deadly[] = { SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
	char what[32];

	if (!r->opts->stack || r->stack_asked)
		return;
	for (size_t i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
		if (signo == deadly[i] && !catches(t->tid, signo)) {
			snprintf(what, sizeof(what), "SIG%s", sigabbrev_np(signo));
			take(r, t->tid, what);
		}
}
