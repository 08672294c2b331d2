/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/yaml.h"

#include "format/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct reading {
	yaml_parser_t parser;
	const char *name;
	size_t nodes;
	unsigned int depth;
	struct err *err;
};

void yaml_clear(struct yaml *y)
{
	for (size_t i = 0; i < y->n; i++)
		yaml_clear(&y->items[i]);
	free(y->items);
	free(y->text);
	free(y->key);
	memset(y, 0, sizeof(*y));
}

static int wrong(struct reading *r, size_t line, const char *what)
{
	return err_set(r->err, EINVAL, "%.200s:%zu: %s", r->name, line + 1, what);
}

static int next(struct reading *r, yaml_event_t *e)
{
	const yaml_parser_t *p = &r->parser;

	if (yaml_parser_parse(&r->parser, e))
		return 0;
	if (p->error == YAML_MEMORY_ERROR)
		return err_set(r->err, ENOMEM, "out of memory");
	return err_set(r->err, EINVAL, "%.200s:%zu: this is not YAML: %.100s%s%.100s", r->name, p->problem_mark.line + 1,
		       p->problem ? p->problem : "", p->context ? ", " : "", p->context ? p->context : "");
}

static struct yaml *add(struct reading *r, struct yaml *to)
{
	struct yaml *bigger;

	if (to->n == to->room) {
		to->room = to->room ? to->room * 2 : 4;
		bigger = realloc(to->items, to->room * sizeof(*bigger));
		if (!bigger) {
			err_set(r->err, ENOMEM, "out of memory");
			return NULL;
		}
		to->items = bigger;
	}
	memset(&to->items[to->n], 0, sizeof(*to->items));
	return &to->items[to->n++];
}

static int copy_text(struct reading *r, const yaml_event_t *e, char **ret)
{
	const char *p = (const char *)e->data.scalar.value;

	if (strlen(p) != e->data.scalar.length)
		return wrong(r, e->start_mark.line, "a NUL has no place here");
	*ret = strdup(p);
	return *ret ? 0 : err_set(r->err, ENOMEM, "out of memory");
}

static int take(struct reading *r, const yaml_event_t *e, struct yaml *y);

static int take_list(struct reading *r, struct yaml *y)
{
	yaml_event_t e;
	int ret = 0;

	for (;;) {
		struct yaml *item;

		if ((ret = next(r, &e)) < 0)
			return ret;
		if (e.type == YAML_SEQUENCE_END_EVENT)
			break;
		item = add(r, y);
		ret = item ? take(r, &e, item) : -ENOMEM;
		yaml_event_delete(&e);
		if (ret < 0)
			return ret;
	}
	yaml_event_delete(&e);
	return 0;
}

static int take_key(struct reading *r, const yaml_event_t *e, struct yaml *map)
{
	struct yaml *item;
	char *key;

	if (e->type != YAML_SCALAR_EVENT)
		return wrong(r, e->start_mark.line, "a key is one word");
	if (e->data.scalar.anchor || e->data.scalar.tag)
		return wrong(r, e->start_mark.line, "anchors and tags are not understood here: write it out");
	if (copy_text(r, e, &key) < 0)
		return -r->err->code;
	text_tame(key);
	for (size_t i = 0; i < map->n; i++)
		if (strcmp(map->items[i].key, key) == 0) {
			err_set(r->err, EINVAL, "%.200s:%zu: '%.60s' is given twice, the first time on line %u: leave one of them", r->name,
				e->start_mark.line + 1, key, map->items[i].line);
			free(key);
			return -EINVAL;
		}
	item = add(r, map);
	if (!item) {
		free(key);
		return -ENOMEM;
	}
	item->key = key;
	item->line = (unsigned int)e->start_mark.line + 1;
	return 0;
}

static int take_map(struct reading *r, struct yaml *y)
{
	yaml_event_t e;
	int ret;

	for (;;) {
		if ((ret = next(r, &e)) < 0)
			return ret;
		if (e.type == YAML_MAPPING_END_EVENT)
			break;
		ret = take_key(r, &e, y);
		yaml_event_delete(&e);
		if (ret < 0 || (ret = next(r, &e)) < 0)
			return ret;
		ret = take(r, &e, &y->items[y->n - 1]);
		yaml_event_delete(&e);
		if (ret < 0)
			return ret;
	}
	yaml_event_delete(&e);
	return 0;
}

/* Of a node that begins: has it an anchor or a tag? */
static bool is_plain(const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_SCALAR_EVENT:
		return !e->data.scalar.anchor && !e->data.scalar.tag;
	case YAML_SEQUENCE_START_EVENT:
		return !e->data.sequence_start.anchor && !e->data.sequence_start.tag;
	case YAML_MAPPING_START_EVENT:
		return !e->data.mapping_start.anchor && !e->data.mapping_start.tag;
	default:
		return false;
	}
}

static int take(struct reading *r, const yaml_event_t *e, struct yaml *y)
{
	int ret;

	if (!is_plain(e))
		return wrong(r, e->start_mark.line, "anchors, aliases and tags are not understood here: write it out");
	if (++r->nodes > YAML_NODES || r->depth >= YAML_DEPTH)
		return wrong(r, e->start_mark.line, r->nodes > YAML_NODES ? "there is too much in this file" : "it is nested too deep");
	if (!y->line)
		y->line = (unsigned int)e->start_mark.line + 1;
	if (e->type == YAML_SCALAR_EVENT) {
		y->kind = YAML_TEXT;
		y->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
		return copy_text(r, e, &y->text);
	}
	y->kind = e->type == YAML_MAPPING_START_EVENT ? YAML_MAP : YAML_LIST;
	r->depth++;
	ret = y->kind == YAML_MAP ? take_map(r, y) : take_list(r, y);
	r->depth--;
	return ret;
}

/* Over the marks of stream and document to the next event that is worth something. */
static int skip_to(struct reading *r, yaml_event_t *e)
{
	int ret;

	while ((ret = next(r, e)) == 0 && (e->type == YAML_STREAM_START_EVENT || e->type == YAML_DOCUMENT_START_EVENT || e->type == YAML_DOCUMENT_END_EVENT))
		yaml_event_delete(e);
	return ret;
}

static int take_document(struct reading *r, struct yaml *ret)
{
	yaml_event_t e;
	int status = skip_to(r, &e);

	if (status < 0)
		return status;
	status = e.type == YAML_STREAM_END_EVENT ? wrong(r, 0, "the file is empty") : take(r, &e, ret);
	yaml_event_delete(&e);
	if (status < 0 || (status = skip_to(r, &e)) < 0)
		return status;
	if (e.type != YAML_STREAM_END_EVENT)
		status = wrong(r, e.start_mark.line, "a second document: put all into one list");
	yaml_event_delete(&e);
	return status;
}

int yaml_parse(struct yaml *ret, const char *name, const char *text, size_t len, struct err *err)
{
	struct reading r = { .name = name, .err = err };
	int status;

	memset(ret, 0, sizeof(*ret));
	if (len > YAML_BYTES)
		return err_set(err, EINVAL, "%.200s:1: the file is larger than %d bytes", name, YAML_BYTES);
	if (!yaml_parser_initialize(&r.parser))
		return err_set(err, ENOMEM, "out of memory");
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	status = take_document(&r, ret);
	yaml_parser_delete(&r.parser);
	return status;
}
