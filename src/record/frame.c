/* SPDX-License-Identifier: Apache-2.0
 *
 * frame.c - what a frame's path and fields tell
 *
 * Python and node install code below folders with fixed names, whatever stands before them (a virtual environment,
 * pyenv, a container's root), so the folder's name and not its absolute path is looked for.
 *
 * Context: watchdog, reader
 */
#include "record/frame.h"

#include <string.h>

const char *record_basename(const char *path)
{
        const char *slash = strrchr(path, '/');
        return slash ? slash + 1 : path;
}

/* What follows the last `part` in `path`, or NULL. The last one: packages are nested (node_modules/a/node_modules/b).
 */
static const char *after_last(const char *path, const char *part)
{
        const char *found = NULL;
        for (const char *at = path; (at = strstr(at, part)) != NULL;)
                found = at += strlen(part);
        return found;
}

/* What follows ".../lib/python3.11/", "/usr/lib/python3/" or ".../lib/python311.zip/", or NULL. */
static const char *after_python(const char *path)
{
        const char *at = strstr(path, "/lib/python");
        const char *version = at ? at + strlen("/lib/python") : NULL;
        if (!version) {
                at = strstr(path, "/lib64/python");
                version = at ? at + strlen("/lib64/python") : NULL;
        }
        if (!version)
                return NULL;
        size_t length = strspn(version, "0123456789.");
        if (length == 0)
                return NULL;
        const char *rest = version + length;
        if (strncmp(rest, "zip/", 4) == 0)
                return rest + 4;
        rest += *rest == 't'; /* python3.13t: without the GIL */
        return *rest == '/' ? rest + 1 : NULL;
}

static const char *after(const char *path, const char *start)
{
        return strncmp(path, start, strlen(start)) == 0 ? path + strlen(start) : NULL;
}

enum record_place record_place_of(const char *path, const char **rest)
{
        if ((*rest = after_last(path, "/site-packages/")) || (*rest = after_last(path, "/dist-packages/")))
                return RECORD_PACKAGES;
        if ((*rest = after_last(path, "/node_modules/")))
                return RECORD_NODE_MODULES;
        if ((*rest = after_python(path))) {
                const char *extension = after(*rest, "lib-dynload/");
                *rest = extension ? extension : *rest;
                return RECORD_STDLIB;
        }
        if ((*rest = after(path, "<frozen ")))
                return RECORD_STDLIB;
        /* Before version 16 node's own files had no scheme. */
        const char *suffix = strrchr(path, '.');
        if (after(path, "node:") || (after(path, "internal/") && suffix && strcmp(suffix, ".js") == 0)) {
                *rest = path;
                return RECORD_NODE;
        }
        *rest = after(path, "file://") ? path + strlen("file://") : path;
        return RECORD_ELSEWHERE;
}

/* "libuv.so.1" is "libuv", "libcrypto.so.3" is "crypto": a name of one or two letters says nothing without its "lib".
 */
static void module_name(struct text *text, const char *module)
{
        const char *name = record_basename(module);
        const char *suffix = strstr(name, ".so");
        size_t length = suffix ? (size_t)(suffix - name) : strlen(name);
        if (length >= 6 && strncmp(name, "lib", 3) == 0) {
                name += 3;
                length -= 3;
        }
        if (length >= 3 && name[0] == '[' && name[length - 1] == ']') {
                name++;
                length -= 2;
        }
        text_bytes(text, name, length);
}

/* "@scope/name" of node_modules, "name" of all others without what follows a dot: "six.py", "_ssl.cpython-311.so". */
static size_t package_length(enum record_place place, const char *rest)
{
        size_t length = strcspn(rest, place == RECORD_NODE_MODULES ? "/" : "/.>");
        if (place == RECORD_NODE_MODULES && rest[0] == '@' && rest[length] == '/')
                length += 1 + strcspn(rest + length + 1, "/");
        return length;
}

void record_frame_package(struct text *text, const struct record_frame *frame)
{
        const char *path = frame->lang == RECORD_NATIVE && frame->module ? frame->module : frame->file;
        if (!path) {
                text_string(text, frame->lang == RECORD_NATIVE || frame->lang == RECORD_JIT
                                          ? "jit"
                                          : record_lang_name(frame->lang));
                return;
        }
        const char *rest;
        enum record_place place = record_place_of(path, &rest);
        if (place == RECORD_NODE)
                text_string(text, "node");
        else if (place != RECORD_ELSEWHERE)
                text_bytes(text, rest, package_length(place, rest));
        else
                module_name(text, rest);
}

bool record_same_string(const char *a, const char *b)
{
        return a == b || (a && b && strcmp(a, b) == 0);
}

bool record_frame_same(const struct record_frame *a, const struct record_frame *b)
{
        return a == b || (a->lang == b->lang && a->line == b->line && a->offset == b->offset &&
                          record_same_string(a->function, b->function) && record_same_string(a->file, b->file) &&
                          record_same_string(a->module, b->module));
}

int record_stack_find(const struct record_stack *stack, const struct record_frame *frame)
{
        for (size_t i = 0; frame && i < stack->frames_count; i++)
                if (record_frame_same(&stack->frames[i], frame))
                        return (int)i;
        return -1;
}

int record_main_stack(const struct record_stall *stall)
{
        int best = -1, best_rank = -1;
        for (size_t i = 0; i < stall->stacks_count; i++) {
                const struct record_stack *stack = &stall->stacks[i];
                int rank = record_stack_find(stack, stall->culprit) >= 0 ? 2 : stack->frames_count > 0;
                if (rank < best_rank || (rank == best_rank && stack->count <= stall->stacks[best].count))
                        continue;
                best = (int)i;
                best_rank = rank;
        }
        return best;
}
