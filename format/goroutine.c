/* SPDX-License-Identifier: Apache-2.0 */
#include "format/goroutine.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <elf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAX_HEADERS = 64,
	LOOK = 64 << 10,	/* bytes of the data in which the mark stands, as the toolchain's own reader has it */
	VERSION_AT = 32,	/* behind the mark: a length and "go1.19.8", since Go 1.18 */
};
#define MARK "\xff Go buildinf:"
#define INLINE_VERSION 2	/* of the flags, the second byte behind the mark */

/* Of which version is it?  @data: where its linker put the mark. */
static unsigned int minor_version(const uint8_t *data, size_t len)
{
	const size_t mark = sizeof(MARK) - 1;
	char text[32] = "";
	unsigned int minor;

	for (size_t at = 0; at + VERSION_AT + sizeof(text) < len; at += 16) {
		if (memcmp(data + at, MARK, mark) != 0 || !(data[at + mark + 1] & INLINE_VERSION))
			continue;
		memcpy(text, data + at + VERSION_AT + 1, data[at + VERSION_AT] < sizeof(text) ? data[at + VERSION_AT] : sizeof(text) - 1);
		return sscanf(text, "go1.%u", &minor) == 1 ? minor : 0;
	}
	return 0;
}

/* src/runtime/runtime2.go: what stands in front of goid has changed twice since Go 1.9. */
static struct goroutine_layout layout_of(unsigned int minor)
{
	if (minor < 18 || minor > 26)
		return (struct goroutine_layout){ 0 };
	return (struct goroutine_layout){ minor == 23 || minor == 24 ? 160 : 152, minor == 19 ? 312 : 0 };
}

struct goroutine_layout goroutine_layout(int fd)
{
	const struct goroutine_layout none = { 0 };
	Elf64_Phdr h[MAX_HEADERS];
	Elf64_Ehdr e;
	bool found = false;
	size_t want;
	ssize_t n;

	if (io_pread(fd, &e, sizeof(e), 0) != sizeof(e) || memcmp(e.e_ident, ELFMAG, SELFMAG) != 0 ||
	    e.e_ident[EI_CLASS] != ELFCLASS64 || e.e_phentsize != sizeof(h[0]) || !e.e_phnum || e.e_phnum > MAX_HEADERS)
		return none;
	want = e.e_phnum * sizeof(h[0]);
	if (io_pread(fd, h, want, e.e_phoff) != (ssize_t)want)
		return none;
	for (unsigned int i = 0; i < e.e_phnum; i++)
		if (h[i].p_type == PT_INTERP)
			return none;
	_cleanup_free_ uint8_t *data = malloc(LOOK);
	for (unsigned int i = 0; data && i < e.e_phnum && !found; i++) {
		if (h[i].p_type != PT_LOAD || (h[i].p_flags & (PF_X | PF_W)) != PF_W)
			continue;
		found = true;
		n = io_pread(fd, data, LOOK, h[i].p_offset);
		if (n > 0)
			return layout_of(minor_version(data, (size_t)n));
	}
	return none;
}
