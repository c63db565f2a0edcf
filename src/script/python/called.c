/* SPDX-License-Identifier: Apache-2.0
 *
 * called.c - which native function the innermost Python frame has called
 *
 * While a frame calls a function that is written in C, the callable lies on its value stack, among leftovers of calls
 * that are long over. It is told from those by the native stack: the callable names the C function that it stands for,
 * and that must be one of those above the interpreter. A function of ctypes has no name of its own: then it is that of
 * the C function.
 *
 * Context: watchdog
 */
#include "script/python/called.h"

#include <string.h>

#include "base/memory.h"
#include "base/text.h"
#include "script/python/code.h"
#include "script/python/type.h"
#include "unwind/symbol.h"

#define OBJECT_BYTES 48
#define FUNCTION_DEFINITION 16 /* PyCFunctionObject */
#define FUNCTION_SELF 24
#define FUNCTION_MODULE 32
#define METHOD_TYPE 16 /* PyMethodDescrObject: the type that it is a method of */
#define METHOD_DEFINITION 40
#define FOREIGN_POINTER 16 /* CDataObject: to the address of the C function */
#define NAME_BYTES 96

static struct memory_batch batch;
static uint8_t objects[PYTHON_LOCALS * OBJECT_BYTES];

/* What PyMethodDef begins with. */
struct definition {
        uint64_t name;
        uint64_t function;
};

/* The native frame that executes this function; NULL: none does. */
static const struct frame *executes(const struct stack *native, unsigned count, uint64_t function)
{
        for (unsigned i = 0; i < count; i++)
                if (function != 0 && native->frames[i].function == function)
                        return &native->frames[i];
        return NULL;
}

/* What a function or method belongs to: its module, or the type of the object that it is bound to. */
static bool read_owner(const struct python_runtime *runtime, const uint8_t *object, char *text, size_t capacity)
{
        uint64_t type;
        if (python_word(object, PYTHON_OBJECT_TYPE) == runtime->method_type)
                return python_type_name(python_word(object, METHOD_TYPE), text, capacity);
        uint64_t module = python_word(object, FUNCTION_MODULE), self = python_word(object, FUNCTION_SELF);
        if (module != 0 && python_string(&runtime->layout, module, text, capacity))
                return true;
        return self != 0 && memory_get_sigsafe(self + PYTHON_OBJECT_TYPE, &type, sizeof type) &&
               python_type_name(type, text, capacity);
}

static bool describe_function(const struct python_runtime *runtime, const uint8_t *object, const struct stack *native,
                              unsigned count, struct text *text)
{
        char owner[NAME_BYTES], name[NAME_BYTES];
        struct definition definition;
        bool is_method = python_word(object, PYTHON_OBJECT_TYPE) == runtime->method_type;
        uint64_t address = python_word(object, is_method ? METHOD_DEFINITION : FUNCTION_DEFINITION);
        if (!memory_get_sigsafe(address, &definition, sizeof definition) ||
            executes(native, count, definition.function) == NULL ||
            !python_c_string(definition.name, name, sizeof name))
                return false;
        bool owned = read_owner(runtime, object, owner, sizeof owner) && strcmp(owner, "builtins") != 0;
        text_format(text, "%s%s%s", owned ? owner : "", owned ? "." : "", name);
        return true;
}

static bool describe_foreign(const uint8_t *object, const struct stack *native, unsigned count, struct text *text)
{
        uint64_t function, type = python_word(object, PYTHON_OBJECT_TYPE);
        if (!memory_get_sigsafe(python_word(object, FOREIGN_POINTER), &function, sizeof function))
                return false;
        const struct frame *frame = executes(native, count, function);
        if (frame == NULL || (!python_type_derives(type, "_ctypes.PyCFuncPtr") && /* 3.13 has named it anew */
                              !python_type_derives(type, "_ctypes.CFuncPtr")))
                return false;
        symbols_resolve(native);
        const char *name = symbol_name(frame);
        if (name == NULL)
                return false;
        text_format(text, "ctypes %s", name);
        return true;
}

static bool describe(const struct python_runtime *runtime, const uint8_t *object, const struct stack *native,
                     unsigned count, struct text *text)
{
        uint64_t type = python_word(object, PYTHON_OBJECT_TYPE);
        if (type == 0)
                return false;
        if (type == runtime->function_type || type == runtime->method_type)
                return describe_function(runtime, object, native, count, text);
        return describe_foreign(object, native, count, text);
}

bool python_called(const struct python_runtime *runtime, const struct python_copy *copy, const struct stack *native,
                   unsigned count, char *text, size_t capacity)
{
        struct text told = { .bytes = text, .capacity = capacity };
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
                if (object != NULL && describe(runtime, object, native, count, &told))
                        return true;
        }
        return false;
}
