/* SPDX-License-Identifier: Apache-2.0
 *
 * perf_map.c - names of code that was made while the program ran, from a perf map
 *
 * Context: reader
 */
#include "symbolize/perf_map.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "alloc.h"

struct entry {
        uint64_t begin, end; /* addresses, end exclusive */
        uint64_t reach;      /* the greatest end of this and all entries before it */
        size_t number;       /* of its line: the later one counts */
        char *name;          /* borrowed from the text */
        /* The parts of the name, once it was asked for. */
        bool split;
        enum record_lang lang;
        const char *function, *file;
        uint32_t line;
        const char *module;
};

struct perf_map {
        char **texts; /* in which the names lie: they end in NUL, and so do their parts */
        size_t texts_count;
        struct entry *entries;
        size_t count, capacity;
        size_t lines;
};

/* --------------------------------------------------------------------------------------------------------- parsing */

/* "7fdc56804300 378 JS:~tick /srv/app.js:5:26", with or without 0x. */
static bool parse_line(char *line, struct entry *entry)
{
        char *at;
        if (!isxdigit((unsigned char)line[0]))
                return false;
        errno = 0;
        entry->begin = strtoull(line, &at, 16);
        if (errno || *at != ' ' || !isxdigit((unsigned char)at[1]))
                return false;
        uint64_t length = strtoull(at + 1, &at, 16);
        if (errno || *at != ' ' || length == 0 || entry->begin + length < entry->begin)
                return false;
        entry->end = entry->begin + length;
        entry->name = at + 1;
        return entry->name[0] != '\0';
}

static int by_address(const void *a, const void *b)
{
        const struct entry *left = a;
        const struct entry *right = b;
        if (left->begin != right->begin)
                return left->begin < right->begin ? -1 : 1;
        return (left->number > right->number) - (left->number < right->number);
}

static void add(struct perf_map *map, const struct entry *entry)
{
        if (map->count == map->capacity) {
                map->capacity = map->capacity ? 2 * map->capacity : 256;
                map->entries = alloc_resize(map->entries, map->capacity, sizeof(*map->entries));
        }
        map->entries[map->count++] = *entry;
}

static void sort(struct perf_map *map)
{
        uint64_t reach = 0;
        if (map->count > 0)
                qsort(map->entries, map->count, sizeof(*map->entries), by_address);
        for (size_t i = 0; i < map->count; i++) {
                reach = map->entries[i].end > reach ? map->entries[i].end : reach;
                map->entries[i].reach = reach;
        }
}

struct perf_map *perf_map_parse(const char *text, size_t length)
{
        struct perf_map *map = alloc_zeroed(1, sizeof(*map));
        map->texts = alloc_zeroed(1, sizeof(*map->texts));
        char *begin = map->texts[map->texts_count++] = alloc_bytes(text, length);
        for (char *line = begin, *end = begin + length; line < end; map->lines++) {
                char *newline = memchr(line, '\n', (size_t)(end - line));
                struct entry entry = { .number = map->lines };
                if (newline)
                        *newline = '\0';
                if (parse_line(line, &entry))
                        add(map, &entry);
                line = newline ? newline + 1 : end;
        }
        sort(map);
        return map;
}

void perf_map_free(void *pointer)
{
        struct perf_map *map = pointer;
        if (!map)
                return;
        for (size_t i = 0; i < map->texts_count; i++)
                free(map->texts[i]);
        free(map->texts);
        free(map->entries);
        free(map);
}

size_t perf_map_count(const struct perf_map *map)
{
        return map->count;
}

void perf_map_append(struct perf_map *map, struct perf_map *later)
{
        for (size_t i = 0; i < later->count; i++) {
                later->entries[i].number += map->lines;
                add(map, &later->entries[i]);
        }
        map->lines += later->lines;
        map->texts = alloc_resize(map->texts, map->texts_count + later->texts_count, sizeof(*map->texts));
        for (size_t i = 0; i < later->texts_count; i++)
                map->texts[map->texts_count++] = later->texts[i];
        later->texts_count = 0;
        perf_map_free(later);
        sort(map);
}

/* ----------------------------------------------------------------------------------------------------------- names */

/* Behind "LazyCompile:" and the marks of the compiler that made it ("~", "*", "^", "+"); NULL: no function of a script.
 */
static char *skip_kind(char *name)
{
        static const char *const kinds[] = { "JS:", "LazyCompile:", "Function:", "Script:", "Eval:" };
        for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
                size_t length = strlen(kinds[i]);
                if (strncmp(name, kinds[i], length) == 0)
                        return name + length + strspn(name + length, "~*^+-");
        }
        return NULL;
}

/* Cut the number behind the last colon off, if there is one: "/srv/app.js:5:26". */
static bool cut_number(char *string, uint32_t *number)
{
        char *colon = strrchr(string, ':');
        if (!colon || !colon[1] || strspn(colon + 1, "0123456789") != strlen(colon + 1))
                return false;
        *number = (uint32_t)strtoul(colon + 1, NULL, 10);
        *colon = '\0';
        return true;
}

/* "tick /srv/app.js:5:26", "tick file:///srv/app.mjs:5:26", " /srv/app.js:1:1" of a function without a name. */
static void split_script(struct entry *entry, char *rest)
{
        uint32_t last, first;
        char *blank = strchr(rest, ' ');
        entry->lang = RECORD_JAVASCRIPT;
        entry->function = rest[0] && blank != rest ? rest : "(anonymous)";
        if (!blank)
                return;
        *blank = '\0';
        char *file = blank + 1;
        if (cut_number(file, &last))
                entry->line = cut_number(file, &first) ? first : last;
        if (strncmp(file, "file://", 7) == 0)
                file += 7;
        entry->file = file[0] ? file : NULL;
}

/* What V8 makes for itself, and CPython's trampolines (its functions are told by the frames themselves). */
static bool is_of_runtime(const char *name)
{
        static const char *const prefixes[] = { "Builtin:", "BytecodeHandler:", "Stub:",  "RegExp:",
                                                "Handler:", "Interpreter",      "py::",   "stub<",
                                                "Wasm:",    "Baseline",         "deopt_", "WebAssembly" };
        for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++)
                if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
                        return true;
        return false;
}

static void split(struct entry *entry)
{
        char *script = skip_kind(entry->name);
        entry->split = true;
        if (script) {
                split_script(entry, script);
                return;
        }
        bool runtime = is_of_runtime(entry->name);
        entry->lang = runtime ? RECORD_NATIVE : RECORD_JIT;
        entry->module = runtime ? "[jit]" : NULL;
        entry->function = entry->name;
}

/* The entry with the latest line that has the address. */
static struct entry *find(const struct perf_map *map, uint64_t address)
{
        size_t from = 0, to = map->count;
        while (from < to) { /* the first that begins behind it */
                size_t middle = from + (to - from) / 2;
                if (map->entries[middle].begin <= address)
                        from = middle + 1;
                else
                        to = middle;
        }
        struct entry *found = NULL;
        while (from > 0 && map->entries[from - 1].reach > address) {
                struct entry *entry = &map->entries[--from];
                if (entry->end > address && (!found || entry->number > found->number))
                        found = entry;
        }
        return found;
}

bool perf_map_name(const struct perf_map *map, uint64_t address, struct record_frame *frame)
{
        struct entry *entry = find(map, address);
        if (!entry)
                return false;
        if (!entry->split)
                split(entry);
        frame->lang = entry->lang;
        frame->function = entry->function;
        frame->file = entry->file;
        frame->line = entry->line;
        frame->module = entry->module;
        return true;
}
