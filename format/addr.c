/* SPDX-License-Identifier: Apache-2.0 */
#include "format/addr.h"

#include "format/text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

static void print_in(FILE *f, const struct sockaddr_in *a)
{
	char text[INET_ADDRSTRLEN];

	fprintf(f, "%s:%u", inet_ntop(AF_INET, &a->sin_addr, text, sizeof(text)), ntohs(a->sin_port));
}

static void print_in6(FILE *f, const struct sockaddr_in6 *a)
{
	char text[INET6_ADDRSTRLEN];

	fprintf(f, "[%s", inet_ntop(AF_INET6, &a->sin6_addr, text, sizeof(text)));
	if (a->sin6_scope_id)
		fprintf(f, "%%%u", a->sin6_scope_id);
	fprintf(f, "]:%u", ntohs(a->sin6_port));
}

/* unix(7): a pathname ends at its NUL or at the length, an abstract name is all the bytes behind its NUL. */
static void print_un(FILE *f, const char *name, size_t len)
{
	bool abstract = len > 0 && name[0] == 0;
	char text[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	size_t n = abstract ? len - 1 : strnlen(name, len);

	memcpy(text, abstract ? name + 1 : name, n);
	text[n] = 0;
	for (size_t i = 0; i < n; i++)
		if (!text[i])
			text[i] = '@';
	fputs(abstract ? "unix:@" : "unix:", f);
	text_plain(f, text);
}

void addr_print(FILE *f, const void *sa, size_t len)
{
	union {
		sa_family_t family;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	} a = { 0 };
	size_t n = len < sizeof(a) ? len : sizeof(a);

	if (n)
		memcpy(&a, sa, n);
	if (n < sizeof(a.family))
		fputs("nowhere", f);
	else if (a.family == AF_INET && n >= sizeof(a.in))
		print_in(f, &a.in);
	else if (a.family == AF_INET6 && n >= offsetof(struct sockaddr_in6, sin6_scope_id))
		print_in6(f, &a.in6);
	else if (a.family == AF_UNIX)
		print_un(f, a.un.sun_path, n > sizeof(a.un) ? sizeof(a.un.sun_path) : n - offsetof(struct sockaddr_un, sun_path));
	else
		fprintf(f, "address of family %u, %zu bytes", a.family, len);
}
