/* SPDX-License-Identifier: Apache-2.0 */
#include "format/vdso.h"

#include "format/cleanup.h"
#include "format/io.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>

static const struct {
	const char *name;
	unsigned int nr;
} entries[VDSO_N] = {
	[VDSO_CLOCK_GETTIME] = { "clock_gettime", SYS_clock_gettime },
	[VDSO_GETTIMEOFDAY] = { "gettimeofday", SYS_gettimeofday },
	[VDSO_TIME] = { "time", SYS_time },
	[VDSO_CLOCK_GETRES] = { "clock_getres", SYS_clock_getres },
	[VDSO_GETCPU] = { "getcpu", SYS_getcpu },
	[VDSO_GETRANDOM] = { "getrandom", SYS_getrandom },
};

const char *vdso_name(enum vdso_entry e)
{
	return entries[e].name;
}

unsigned int vdso_number(enum vdso_entry e)
{
	return entries[e].nr;
}

/* ---- the image ---------------------------------------------------------- */

struct image {
	const uint8_t *data;
	size_t len;
	uint64_t vaddr;		/* of its first byte, as linked */
	uint64_t symtab, strtab, strsz, hash, gnu_hash;	/* offsets; 0: none */
};

/* Copies @len bytes at offset @off, if they are inside. */
static bool get(const struct image *im, uint64_t off, void *to, size_t len)
{
	if (off > im->len || len > im->len - off)
		return false;
	memcpy(to, im->data + off, len);
	return true;
}

static bool get_phdr(const struct image *im, const Elf64_Ehdr *eh, unsigned int i, Elf64_Phdr *ph)
{
	return eh->e_phoff <= im->len && get(im, eh->e_phoff + (uint64_t)i * sizeof(*ph), ph, sizeof(*ph));
}

static bool is_ours(const Elf64_Ehdr *eh)
{
	return memcmp(eh->e_ident, ELFMAG, SELFMAG) == 0 && eh->e_ident[EI_CLASS] == ELFCLASS64 &&
	       eh->e_ident[EI_DATA] == ELFDATA2LSB && eh->e_machine == EM_X86_64;
}

static void read_dynamic(struct image *im, const Elf64_Phdr *ph)
{
	Elf64_Dyn d;

	for (uint64_t off = 0; off < ph->p_filesz; off += sizeof(d)) {
		if (ph->p_offset > im->len || !get(im, ph->p_offset + off, &d, sizeof(d)) || d.d_tag == DT_NULL)
			return;
		if (d.d_tag == DT_SYMTAB)
			im->symtab = d.d_un.d_ptr - im->vaddr;
		else if (d.d_tag == DT_STRTAB)
			im->strtab = d.d_un.d_ptr - im->vaddr;
		else if (d.d_tag == DT_STRSZ)
			im->strsz = d.d_un.d_val;
		else if (d.d_tag == DT_HASH)
			im->hash = d.d_un.d_ptr - im->vaddr;
		else if (d.d_tag == DT_GNU_HASH)
			im->gnu_hash = d.d_un.d_ptr - im->vaddr;
	}
}

/* The highest index that a chain of DT_GNU_HASH reaches, plus one. */
static uint32_t count_gnu(const struct image *im)
{
	uint32_t head[4], bucket, link, last = 0;	/* head: buckets, first symbol, words of the filter, shift */
	uint64_t buckets, chains;

	if (im->gnu_hash > im->len || !get(im, im->gnu_hash, head, sizeof(head)))
		return 0;
	buckets = im->gnu_hash + sizeof(head) + 8ull * head[2];
	chains = buckets + 4ull * head[0];
	for (uint32_t i = 0; i < head[0]; i++) {
		if (!get(im, buckets + 4ull * i, &bucket, sizeof(bucket)))
			return 0;
		if (bucket > last)
			last = bucket;
	}
	if (last < head[1])
		return 0;
	do {
		if (!get(im, chains + 4ull * (last - head[1]), &link, sizeof(link)))
			return 0;
		last++;
	} while (!(link & 1));
	return last;
}

static uint32_t count_symbols(const struct image *im)
{
	uint32_t head[2];	/* buckets, chains: one for each symbol */

	if (im->hash && im->hash <= im->len && get(im, im->hash, head, sizeof(head)))
		return head[1];
	return im->gnu_hash ? count_gnu(im) : 0;
}

/* The name of @sym behind "__vdso_", or NULL. */
static const char *symbol_name(const struct image *im, const Elf64_Sym *sym)
{
	static const char prefix[] = "__vdso_";
	uint64_t off, room;
	const char *name;

	if (sym->st_name >= im->strsz || im->strtab > im->len || im->strsz > im->len - im->strtab)
		return NULL;
	off = im->strtab + sym->st_name;
	room = im->strsz - sym->st_name;
	name = (const char *)im->data + off;
	if (strnlen(name, room) == room || strncmp(name, prefix, sizeof(prefix) - 1) != 0)
		return NULL;
	return name + sizeof(prefix) - 1;
}

static void take_symbol(const struct image *im, const Elf64_Sym *sym, struct vdso_map *ret)
{
	uint64_t off = sym->st_value - im->vaddr, addr = ret->base + off;
	const char *name = symbol_name(im, sym);

	if (!name || sym->st_shndx == SHN_UNDEF || ELF64_ST_TYPE(sym->st_info) != STT_FUNC)
		return;
	if (off > im->len || sym->st_size > im->len - off || sym->st_size < VDSO_STUB)
		return;
	if (addr < ret->text || sym->st_size > ret->text_size || addr - ret->text > ret->text_size - sym->st_size)
		return;
	for (unsigned int e = 0; e < VDSO_N; e++)
		if (strcmp(name, entries[e].name) == 0) {
			ret->entry[e].addr = addr;
			ret->entry[e].size = sym->st_size;
		}
}

/* The one loadable segment and the dynamic section. */
static bool read_segments(struct image *im, const Elf64_Ehdr *eh, struct vdso_map *ret)
{
	bool loaded = false, dynamic = false;
	Elf64_Phdr ph;

	for (unsigned int i = 0; i < eh->e_phnum; i++) {
		if (!get_phdr(im, eh, i, &ph))
			return false;
		if (ph.p_type == PT_LOAD && (ph.p_flags & PF_X) && !loaded) {
			if (ph.p_offset > im->len || ph.p_memsz > im->len - ph.p_offset)
				return false;
			im->vaddr = ph.p_vaddr - ph.p_offset;
			ret->text = ret->base + ph.p_offset;
			ret->text_size = ph.p_memsz;
			ret->size = ph.p_offset + ph.p_memsz;
			loaded = true;
		}
	}
	for (unsigned int i = 0; loaded && i < eh->e_phnum; i++)
		if (get_phdr(im, eh, i, &ph) && ph.p_type == PT_DYNAMIC) {
			read_dynamic(im, &ph);
			dynamic = true;
		}
	return dynamic;
}

int vdso_parse(const void *data, size_t len, uint64_t base, struct vdso_map *ret, struct err *err)
{
	struct image im = { .data = data, .len = len };
	uint32_t count;
	Elf64_Ehdr eh;
	Elf64_Sym sym;

	if (!get(&im, 0, &eh, sizeof(eh)) || !is_ours(&eh))
		return err_set(err, ENOENT, "the vDSO is not an x86-64 one");
	if (eh.e_phentsize != sizeof(Elf64_Phdr))
		return err_set(err, EBADMSG, "the vDSO's program headers have %u bytes each", eh.e_phentsize);
	ret->base = base;
	if (!read_segments(&im, &eh, ret))
		return err_set(err, EBADMSG, "the vDSO's segments are damaged");
	count = count_symbols(&im);
	for (uint32_t i = 0; i < count; i++) {
		if (im.symtab > im.len || !get(&im, im.symtab + (uint64_t)i * sizeof(sym), &sym, sizeof(sym)))
			return err_set(err, EBADMSG, "the vDSO's symbol table is damaged");
		take_symbol(&im, &sym, ret);
	}
	return 0;
}

/* ---- the process --------------------------------------------------------- */

int vdso_open(pid_t pid)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int vdso_read(int mem, uint64_t addr, void *buf, size_t len)
{
	ssize_t n = io_pread(mem, buf, len, addr);

	if (n < 0)
		return (int)n;
	return (size_t)n == len ? 0 : -EIO;	/* 0 bytes: the address space is gone */
}

int vdso_write(int mem, uint64_t addr, const void *buf, size_t len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(mem, (const char *)buf + done, len - done, (off_t)(addr + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		done += (size_t)n;
	}
	return 0;
}

/* Sets base, at_random and hwcap2. */
static int read_auxv(pid_t pid, struct vdso_map *ret, struct err *err)
{
	_cleanup_free_ char *buf = NULL;
	char path[32];
	size_t len;
	int rc;

	snprintf(path, sizeof(path), "/proc/%d/auxv", (int)pid);
	rc = io_slurp(path, 4096, &buf, &len);
	if (rc < 0)
		return err_sys(err, -rc, "reading '%s'", path);
	for (size_t off = 0; off + sizeof(Elf64_auxv_t) <= len; off += sizeof(Elf64_auxv_t)) {
		Elf64_auxv_t a;

		memcpy(&a, buf + off, sizeof(a));
		if (a.a_type == AT_SYSINFO_EHDR)
			ret->base = a.a_un.a_val;
		else if (a.a_type == AT_RANDOM)
			ret->at_random = a.a_un.a_val;
		else if (a.a_type == AT_HWCAP2)
			ret->hwcap2 = a.a_un.a_val;
	}
	return 0;
}

/* How long an image is, by the @len bytes that it begins with. */
static size_t image_size(const uint8_t *data, size_t len)
{
	const struct image im = { .data = data, .len = len };
	uint64_t end = 0;
	Elf64_Ehdr eh;
	Elf64_Phdr ph;

	if (!get(&im, 0, &eh, sizeof(eh)) || !is_ours(&eh))
		return len;
	for (unsigned int i = 0; i < eh.e_phnum; i++) {
		if (!get_phdr(&im, &eh, i, &ph))
			return VDSO_MAX_SIZE;
		if (ph.p_type == PT_LOAD && ph.p_offset < VDSO_MAX_SIZE && ph.p_memsz < VDSO_MAX_SIZE &&
		    ph.p_offset + ph.p_memsz > end)
			end = ph.p_offset + ph.p_memsz;
	}
	return end < VDSO_MAX_SIZE ? end : VDSO_MAX_SIZE;
}

/* At the latest, the image ends where reading fails: behind the vDSO there is a hole, or another mapping that does no harm. */
static size_t read_image(int mem, uint64_t base, uint8_t *buf)
{
	const size_t page = 4096;
	size_t len = 0, size = page;

	while (len < size && vdso_read(mem, base + len, buf + len, page) == 0) {
		len += page;
		if (len == page)
			size = image_size(buf, len);
	}
	return len;
}

int vdso_find(pid_t pid, int mem, struct vdso_map *ret, struct err *err)
{
	struct vdso_map map = { 0 };
	int rc;

	rc = read_auxv(pid, &map, err);
	if (rc < 0)
		return rc;
	*ret = map;
	ret->base = 0;
	if (!map.base)
		return err_set(err, ENOENT, "process %d has no vDSO", (int)pid);

	_cleanup_free_ uint8_t *buf = malloc(VDSO_MAX_SIZE);
	if (!buf)
		return err_set(err, ENOMEM, "out of memory");
	rc = vdso_parse(buf, read_image(mem, map.base, buf), map.base, &map, err);
	if (rc < 0)
		return err_in(err, "process %d", (int)pid);
	*ret = map;
	return 0;
}

/* ---- code over it --------------------------------------------------------- */

void vdso_stub(enum vdso_entry e, uint8_t code[VDSO_STUB])
{
	static const uint8_t no_call[VDSO_STUB] = { 0x48, 0xc7, 0xc0, (uint8_t)-ENOSYS, 0xff, 0xff, 0xff, 0xc3 };
	const uint32_t nr = entries[e].nr;	/* mov $-ENOSYS,%rax; ret */

	if (e == VDSO_GETRANDOM) {
		memcpy(code, no_call, VDSO_STUB);
		return;
	}
	code[0] = 0xb8;		/* mov $nr,%eax */
	memcpy(code + 1, &nr, sizeof(nr));
	code[5] = 0x0f;		/* syscall */
	code[6] = 0x05;
	code[7] = 0xc3;		/* ret */
}

int vdso_redirect_to_syscalls(int mem, const struct vdso_map *map, unsigned int *n, struct err *err)
{
	unsigned int done = 0;
	uint8_t code[VDSO_STUB];

	for (unsigned int e = 0; e < VDSO_N; e++) {
		int rc;

		if (!map->entry[e].addr)
			continue;
		vdso_stub(e, code);
		rc = vdso_write(mem, map->entry[e].addr, code, sizeof(code));
		if (rc < 0)
			return err_sys(err, -rc, "redirecting %s", entries[e].name);
		done++;
	}
	if (n)
		*n = done;
	return 0;
}
