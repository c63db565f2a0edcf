/* SPDX-License-Identifier: Apache-2.0
 *
 * code.c - which function a copied frame is in, and at which line
 *
 * A code object's names and its table of lines never change while it lives, so they are read once and remembered. But
 * a running thread may have freed it since its frame was copied, and made another at the same place: what is
 * remembered counts only if the code object's own words are the same, and so are the beginnings of its name and its
 * file, which were copied with the frame.
 *
 * Context: watchdog
 */
#include "script/python/code.h"

#include <errno.h>
#include <string.h>

#include "base/hash.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/text.h"
#include "script/functions.h"
#include "script/python/lines.h"

#define CODES 1024 /* remembered; a power of two */
#define LINES 2048
#define FIRST_READ 320   /* bytes of an object: mostly enough for the whole */
#define STRING_MOST 4096 /* characters */
#define TABLE_MOST 32768 /* bytes of a table of lines */
#define BYTES_SIZE 16    /* offsets in a bytes object, in every version */
#define BYTES_DATA 32
#define STRING_LENGTH 16 /* and in a str object */
#define STRING_STATE 32
#define OBJECT_LEAST 36 /* bytes that tell how long an object is */

struct object {
        const uint8_t *data;
        size_t length; /* bytes */
        unsigned kind; /* bytes of a character; 0: no string */
        bool ascii;
};

/* What a code object says of itself. */
struct words {
        uint64_t code, name, file, lines;
        uint32_t first_line;
};

static struct known {
        struct words words;
        uint64_t print; /* of the beginnings of its name and its file */
        unsigned generation;
        uint16_t function;
} codes[CODES];

static struct known_line {
        uint64_t code, print, table_print;
        int64_t position;
        uint32_t line;
} lines[LINES];

static uint64_t mix(uint64_t hash, const void *bytes, size_t length)
{
        hash = hash_bytes(hash, bytes, length);
        return hash ^ hash >> 29;
}

/* ---- objects ---- */

/* Where the data of a str begins and how long it is. 0: it is no str of the usual form. */
static size_t string_header(const struct python_layout *layout, const uint8_t *bytes, struct object *object)
{
        uint64_t length = python_word(bytes, STRING_LENGTH);
        uint32_t state = (uint32_t)python_int(bytes, STRING_STATE);
        bool compact = state >> 5 & 1;
        object->kind = state >> 2 & 7;
        object->ascii = state >> 6 & 1;
        if (!compact || length > STRING_MOST || (object->kind != 1 && object->kind != 2 && object->kind != 4))
                return 0;
        object->length = length * object->kind;
        return object->ascii ? layout->ascii_header : layout->compact_header;
}

static size_t bytes_header(const struct python_layout *layout, const uint8_t *bytes, struct object *object)
{
        uint64_t length = python_word(bytes, BYTES_SIZE);
        (void)layout;
        object->kind = 0;
        object->length = length;
        return length <= TABLE_MOST ? BYTES_DATA : 0;
}

typedef size_t header_function(const struct python_layout *, const uint8_t *, struct object *);

/* Read an object: from its head where that holds all of it, else from memory, where it must still begin as the head
 * does. The data is valid until the next call. */
static bool read_object(const struct python_layout *layout, header_function *header, uint64_t address,
                        const uint8_t *head, struct object *object)
{
        static uint8_t bytes[TABLE_MOST + BYTES_DATA];
        size_t begin, in_head = 0;
        if (head != NULL) {
                begin = header(layout, head, object);
                if (begin == 0)
                        return false;
                in_head = PYTHON_HEAD_BYTES - begin;
                object->data = head + begin;
                if (object->length <= in_head)
                        return true;
        }
        uint64_t length_before = object->length;
        ssize_t n = memory_read_sigsafe(address, bytes, FIRST_READ);
        if (n < OBJECT_LEAST || (begin = header(layout, bytes, object)) == 0)
                return false;
        size_t whole = begin + object->length;
        if (whole > (size_t)n && !memory_get_sigsafe(address, bytes, whole))
                return false;
        if (head != NULL && (object->length != length_before || memcmp(bytes + begin, head + begin, in_head) != 0))
                return false;
        object->data = bytes + begin;
        return true;
}

/* A number for the beginning of an object, the same from its head and from memory. */
static uint64_t print_of(const struct object *object)
{
        size_t most = PYTHON_HEAD_BYTES - 72; /* what a head holds of every kind of object */
        return mix(object->length, object->data, object->length < most ? object->length : most);
}

static uint32_t character(const struct object *object, size_t index)
{
        uint16_t two;
        uint32_t four;
        switch (object->kind) {
        case 1:
                return object->data[index];
        case 2:
                memcpy(&two, object->data + 2 * index, 2);
                return two;
        default:
                memcpy(&four, object->data + 4 * index, 4);
                return four;
        }
}

/* UTF-8; surrogates and what is no character become U+FFFD. Returns the bytes. */
static unsigned encode(uint32_t c, char out[4])
{
        if (c >= 0xd800 && (c < 0xe000 || c > 0x10ffff))
                c = 0xfffd;
        if (c < 0x80) {
                out[0] = (char)c;
                return 1;
        }
        unsigned more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
        static const unsigned char first[] = { 0, 0xc0, 0xe0, 0xf0 };
        for (unsigned i = more; i > 0; i--, c >>= 6)
                out[i] = (char)(0x80 | (c & 0x3f));
        out[0] = (char)(first[more] | c);
        return more + 1;
}

static void copy_text(const struct object *object, char *text, size_t capacity)
{
        size_t used = 0;
        for (size_t i = 0; i < object->length / object->kind; i++) {
                char bytes[4];
                unsigned length = encode(character(object, i), bytes);
                if (used + length >= capacity || bytes[0] == '\0')
                        break;
                memcpy(text + used, bytes, length);
                used += length;
        }
        text[used] = '\0';
}

bool python_string(const struct python_layout *layout, uint64_t address, char *text, size_t capacity)
{
        struct object object;
        if (!read_object(layout, string_header, address, NULL, &object))
                return false;
        copy_text(&object, text, capacity);
        return true;
}

/* ---- functions ---- */

static struct words words_of(const struct python_layout *layout, const struct python_copied *copied)
{
        return (struct words){
                .code = copied->code,
                .name = python_word(copied->code_bytes, python_name_offset(layout)),
                .file = python_word(copied->code_bytes, layout->code_file),
                .lines = python_word(copied->code_bytes, layout->code_lines),
                .first_line = (uint32_t)python_int(copied->code_bytes, layout->code_first_line),
        };
}

static bool same_words(const struct words *a, const struct words *b)
{
        return a->code == b->code && a->name == b->name && a->file == b->file && a->lines == b->lines &&
               a->first_line == b->first_line;
}

static uint64_t print_of_head(const struct python_layout *layout, header_function *header, const uint8_t *head)
{
        struct object object;
        size_t begin = head != NULL ? header(layout, head, &object) : 0;
        if (begin == 0)
                return 0;
        object.data = head + begin;
        return print_of(&object);
}

/* Of name and file, 0: their heads do not say. */
static uint64_t print_of_names(const struct python_layout *layout, const struct python_copied *copied)
{
        uint64_t name = print_of_head(layout, string_header, copied->name);
        uint64_t file = print_of_head(layout, string_header, copied->file);
        return name != 0 && file != 0 ? name ^ file * 3 : 0;
}

/* Is the code object still what was copied? Asked after something was read that it points at. */
static bool is_still_there(const struct python_layout *layout, const struct python_copied *copied,
                           const struct words *words)
{
        uint8_t bytes[PYTHON_CODE_BYTES];
        if (!memory_get_sigsafe(copied->code, bytes, sizeof bytes))
                return false;
        struct words now = words_of(layout, &(struct python_copied){ .code = copied->code, .code_bytes = bytes });
        return same_words(&now, words) && python_word(bytes, 8) == python_word(copied->code_bytes, 8);
}

/* Names that were not copied with the frame are read now, and count only if they are still those of that code. */
static bool learn(const struct python_layout *layout, const struct words *words, const struct python_copied *copied,
                  struct known *known)
{
        char name[LIMIT_NAME], file[LIMIT_PATH];
        struct object object;
        known->words.code = 0; /* not known, should something fail */
        if (!read_object(layout, string_header, words->name, copied->name, &object))
                return false;
        copy_text(&object, name, sizeof name);
        uint64_t print = print_of(&object);
        if (!read_object(layout, string_header, words->file, copied->file, &object) ||
            ((copied->name == NULL || copied->file == NULL) && !is_still_there(layout, copied, words)))
                return false;
        copy_text(&object, file, sizeof file);
        *known = (struct known){
                .words = *words,
                .print = print ^ print_of(&object) * 3,
                .generation = script_functions_generation(),
                .function = script_function(name, file, words->first_line),
        };
        return true;
}

static bool is_known(const struct known *known, const struct words *words, uint64_t print)
{
        return print != 0 && print == known->print && same_words(&known->words, words) &&
               known->generation == script_functions_generation();
}

/* ---- lines ---- */

/* Bytes from the start of the bytecode; negative: not begun. */
static int64_t position_of(const struct python_layout *layout, const struct python_copied *copied)
{
        if (layout->code_bytes == PYTHON_NONE) {
                int64_t index = python_int(copied->frame, layout->frame_position);
                return layout->minor >= 10 ? 2 * index : index;
        }
        return (int64_t)(python_word(copied->frame, layout->frame_position) - (copied->code + layout->code_bytes));
}

/* A line that was found before in the same function counts, unless the copied beginning of the table says otherwise:
 * only the innermost frames have that. */
static uint32_t line_of(const struct python_layout *layout, const struct python_copied *copied,
                        const struct known *code)
{
        int64_t position = position_of(layout, copied);
        uint64_t print = code->print + code->words.first_line + code->words.lines;
        uint64_t table_print = print_of_head(layout, bytes_header, copied->lines);
        struct known_line *known = &lines[mix(code->words.code ^ print, &position, sizeof position) % LINES];
        struct object table;
        if (known->code == code->words.code && known->print == print && known->position == position &&
            (table_print == 0 || table_print == known->table_print))
                return known->line;
        if (!read_object(layout, bytes_header, code->words.lines, copied->lines, &table) ||
            (copied->lines == NULL && !is_still_there(layout, copied, &code->words)))
                return 0;
        *known = (struct known_line){
                .code = code->words.code,
                .print = print,
                .table_print = print_of(&table),
                .position = position,
                .line = python_line(layout->lines, table.data, table.length, code->words.first_line, position),
        };
        return known->line;
}

int python_place_of(const struct python_runtime *runtime, const struct python_copied *copied,
                    struct python_place *place)
{
        const struct python_layout *layout = &runtime->layout;
        if (copied->code_bytes == NULL || python_word(copied->code_bytes, 8) != runtime->code_type)
                return -EINVAL;
        struct words words = words_of(layout, copied);
        struct known *known = &codes[words.code / 16 % CODES];
        if (!is_known(known, &words, print_of_names(layout, copied)) && !learn(layout, &words, copied, known))
                return -ESTALE;
        place->function = known->function;
        place->line = line_of(layout, copied, known);
        return 0;
}
