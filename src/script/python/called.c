/* SPDX-License-Identifier: Apache-2.0
 *
 * called.c - which native function the innermost Python frame has called
 *
 * While a frame calls a function that is written in C, the callable lies on its value stack, among leftovers of calls
 * that are long over. It is told from those by the native stack: the callable names the C function that it stands for,
 * and that must be one of those above the interpreter.
 *
 * Context: watchdog
 */
#include "script/python/called.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "script/python/code.h"

#define OBJECT_BYTES 48
#define OBJECT_TYPE 8
#define FUNCTION_DEFINITION 16 /* PyCFunctionObject */
#define FUNCTION_SELF 24
#define FUNCTION_MODULE 32
#define METHOD_TYPE 16 /* PyMethodDescrObject: the type that it is a method of */
#define METHOD_DEFINITION 40
#define TYPE_NAME 24
#define NAME_BYTES 96

static struct memory_batch batch;
static uint8_t objects[PYTHON_LOCALS * OBJECT_BYTES];

/* What PyMethodDef begins with. */
struct definition {
        uint64_t name;
        uint64_t function;
};

static bool read_c_string(uint64_t address, char *text, size_t capacity)
{
        ssize_t n = memory_read_sigsafe(address, text, capacity - 1);
        if (n <= 0)
                return false;
        text[n] = '\0';
        return text[0] != '\0' && strlen(text) < capacity - 1;
}

static bool read_type_name(uint64_t type, char *text, size_t capacity)
{
        uint64_t name;
        return memory_get_sigsafe(type + TYPE_NAME, &name, sizeof name) && read_c_string(name, text, capacity);
}

static bool is_executed(const struct frame *native, unsigned count, uint64_t function)
{
        for (unsigned i = 0; i < count; i++)
                if (function != 0 && native[i].function == function)
                        return true;
        return false;
}

/* What a function or method belongs to: its module, or the type of the object that it is bound to. */
static bool read_owner(const struct python_runtime *runtime, const uint8_t *object, char *text, size_t capacity)
{
        uint64_t type;
        if (python_word(object, OBJECT_TYPE) == runtime->method_type)
                return read_type_name(python_word(object, METHOD_TYPE), text, capacity);
        uint64_t module = python_word(object, FUNCTION_MODULE), self = python_word(object, FUNCTION_SELF);
        if (module != 0 && python_string(&runtime->layout, module, text, capacity))
                return true;
        return self != 0 && memory_get_sigsafe(self + OBJECT_TYPE, &type, sizeof type) &&
               read_type_name(type, text, capacity);
}

static bool describe(const struct python_runtime *runtime, const uint8_t *object, const struct frame *native,
                     unsigned count, char *text, size_t capacity)
{
        char owner[NAME_BYTES], name[NAME_BYTES];
        struct definition definition;
        uint64_t type = python_word(object, OBJECT_TYPE);
        bool is_function = type == runtime->function_type, is_method = type == runtime->method_type;
        if (type == 0 || (!is_function && !is_method))
                return false;
        uint64_t address = python_word(object, is_method ? METHOD_DEFINITION : FUNCTION_DEFINITION);
        if (!memory_get_sigsafe(address, &definition, sizeof definition) ||
            !is_executed(native, count, definition.function) || !read_c_string(definition.name, name, sizeof name))
                return false;
        bool owned = read_owner(runtime, object, owner, sizeof owner) && strcmp(owner, "builtins") != 0;
        text_format(&(struct text){ .bytes = text, .capacity = capacity }, "%s%s%s", owned ? owner : "",
                    owned ? "." : "", name);
        return true;
}

bool python_called(const struct python_runtime *runtime, const struct python_copy *copy, const struct frame *native,
                   unsigned count, char *text, size_t capacity)
{
        if (copy->locals == NULL || count == 0)
                return false;
        memory_batch_begin_sigsafe(&batch, objects, sizeof objects);
        for (unsigned i = 0; i < PYTHON_LOCALS; i++) {
                uint64_t word = copy->locals[i] & ~1ull; /* 3.14 tags some */
                if (word >= 4096 && word % 8 == 0 && word >> 47 == 0)
                        memory_batch_add_sigsafe(&batch, word, OBJECT_BYTES);
        }
        memory_batch_read_sigsafe(&batch);
        for (unsigned i = 0; i < batch.count; i++) {
                const uint8_t *object = memory_batch_piece_sigsafe(&batch, i);
                if (object != NULL && describe(runtime, object, native, count, text, capacity))
                        return true;
        }
        return false;
}
