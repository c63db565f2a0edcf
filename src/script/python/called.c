/* SPDX-License-Identifier: Apache-2.0
 *
 * called.c - which native function the innermost Python frame has called
 *
 * While a frame calls a function that is written in C, the callable lies on its value stack, among leftovers of calls
 * that are long over. It is told from those by the native stack: the callable names the C function that it stands for,
 * and that must be one of those above the interpreter. A function of ctypes has no name of its own: then it is that of
 * the C function. `with` and `for` call what is not on the value stack, but the object that they call it of is: then
 * the C function is looked for among the methods of the objects' types.
 *
 * Context: watchdog
 * Limits:  TYPES and METHODS are looked at
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
#define TYPE_NEXT 224      /* the function that gives the next of an iterator, then its methods */
#define TYPES 16           /* of the objects on the value stack */
#define METHODS 64         /* of a type */
#define NAME_BYTES 96

/* PyMethodDef, an entry of a type's table of methods. */
struct definition {
        uint64_t name;
        uint64_t function;
        uint64_t flags;
        uint64_t documentation;
};

/* The native frames that are looked at, and what was found. */
struct search {
        const struct python_runtime *runtime;
        const struct stack *native;
        unsigned count;
        int frame; /* executes it; the outermost counts, for that is what the line itself has called. -1: none yet */
        struct text *text;
};

static struct memory_batch batch;
static uint8_t objects[PYTHON_LOCALS * OBJECT_BYTES];

/* The native frame that executes this function, further out than what was found so far; -1: none does. */
static int executes(const struct search *search, uint64_t function)
{
        for (int i = (int)search->count - 1; function != 0 && i > search->frame; i--)
                if (search->native->frames[i].function == function)
                        return i;
        return -1;
}

static void found(struct search *search, int frame, const char *owner, const char *name)
{
        search->frame = frame;
        text_clear(search->text);
        text_format(search->text, "%s%s%s", owner, *owner != '\0' ? "." : "", name);
}

/* ---- callables ---- */

static bool is_cython(uint64_t type)
{
        static const char wanted[] = "cython_function_or_method"; /* with or without a module that has its version */
        char name[NAME_BYTES];
        size_t length = python_type_name(type, name, sizeof name) ? strlen(name) : 0;
        return length >= sizeof wanted - 1 && strcmp(name + length - (sizeof wanted - 1), wanted) == 0;
}

static bool is_foreign(uint64_t type)
{
        return python_type_derives(type, "_ctypes.PyCFuncPtr") || /* 3.13 has named it anew */
               python_type_derives(type, "_ctypes.CFuncPtr");
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

/* Functions of Cython begin as the interpreter's own do. */
static void try_function(struct search *search, const uint8_t *object, int frame, uint64_t name_address)
{
        char owner[NAME_BYTES], name[NAME_BYTES];
        uint64_t type = python_word(object, PYTHON_OBJECT_TYPE);
        const struct python_runtime *runtime = search->runtime;
        if ((type != runtime->function_type && type != runtime->method_type && !is_cython(type)) ||
            !python_c_string(name_address, name, sizeof name))
                return;
        bool owned = read_owner(runtime, object, owner, sizeof owner) && strcmp(owner, "builtins") != 0;
        found(search, frame, owned ? owner : "", name);
}

static void try_foreign(struct search *search, const uint8_t *object, int frame)
{
        if (!is_foreign(python_word(object, PYTHON_OBJECT_TYPE)))
                return;
        symbols_resolve(search->native);
        const char *name = symbol_name(&search->native->frames[frame]);
        if (name == NULL)
                return;
        found(search, frame, "", "ctypes ");
        text_string(search->text, name);
}

static void try_callable(struct search *search, const uint8_t *object)
{
        uint64_t words[2]; /* a definition's name and function; or a foreign function's address */
        uint64_t type = python_word(object, PYTHON_OBJECT_TYPE);
        unsigned offset = type == search->runtime->method_type ? METHOD_DEFINITION : FUNCTION_DEFINITION;
        if (type == 0 || !memory_get_sigsafe(python_word(object, offset), words, sizeof words))
                return;
        int frame = executes(search, words[1]);
        if (frame >= 0)
                try_function(search, object, frame, words[0]);
        frame = executes(search, words[0]);
        if (frame >= 0)
                try_foreign(search, object, frame);
}

/* ---- methods of the objects' types ---- */

/* Of several names of one function the last counts: a lock's `__enter__` is its `acquire`, and that is on no stack. */
static void try_methods(struct search *search, uint64_t type, uint64_t table)
{
        static struct definition methods[METHODS];
        char owner[NAME_BYTES], name[NAME_BYTES];
        uint64_t function = 0; /* of the one that was found */
        ssize_t bytes = table != 0 ? memory_read_sigsafe(table, methods, sizeof methods) : 0;
        size_t count = bytes > 0 ? (size_t)bytes / sizeof *methods : 0;
        if (count == 0 || !python_type_name(type, owner, sizeof owner))
                return;
        for (size_t i = 0; i < count && methods[i].name != 0; i++) {
                bool again = function != 0 && methods[i].function == function;
                int frame = again ? search->frame : executes(search, methods[i].function);
                if (frame < 0 || !python_c_string(methods[i].name, name, sizeof name))
                        continue;
                function = methods[i].function;
                found(search, frame, owner, name);
        }
}

static void try_type(struct search *search, uint64_t type)
{
        char owner[NAME_BYTES];
        uint64_t words[2]; /* tp_iternext, tp_methods */
        if (!memory_get_sigsafe(type + TYPE_NEXT, words, sizeof words))
                return;
        int frame = executes(search, words[0]);
        if (frame >= 0 && python_type_name(type, owner, sizeof owner))
                found(search, frame, owner, "__next__");
        try_methods(search, type, words[1]);
}

/* The type of an object; of a bound method that of the object which it is bound to: `with` leaves only `__exit__`. */
static uint64_t type_of(const struct python_runtime *runtime, const uint8_t *object)
{
        uint64_t type = python_word(object, PYTHON_OBJECT_TYPE), self = python_word(object, FUNCTION_SELF);
        if (type != runtime->function_type || self == 0)
                return type;
        return memory_get_sigsafe(self + PYTHON_OBJECT_TYPE, &type, sizeof type) ? type : 0;
}

static void try_types(struct search *search)
{
        uint64_t types[TYPES];
        unsigned count = 0;
        for (unsigned i = 0; i < batch.count && count < TYPES; i++) {
                const uint8_t *object = memory_batch_piece_sigsafe(&batch, i);
                uint64_t type = object != NULL ? type_of(search->runtime, object) : 0;
                bool is_new = type != 0;
                for (unsigned t = 0; t < count; t++)
                        is_new = is_new && types[t] != type;
                if (!is_new)
                        continue;
                types[count++] = type;
                try_type(search, type);
        }
}

/* ---- public ---- */

static void read_objects(const uint64_t *locals)
{
        memory_batch_begin_sigsafe(&batch, objects, sizeof objects);
        for (unsigned i = 0; i < PYTHON_LOCALS; i++) {
                uint64_t word = locals[i] & ~1ull; /* 3.14 tags some */
                if (word >= 4096 && word % 8 == 0 && word >> 47 == 0)
                        memory_batch_add_sigsafe(&batch, word, OBJECT_BYTES);
        }
        memory_batch_read_sigsafe(&batch);
}

bool python_called(const struct python_runtime *runtime, const struct python_copy *copy, const struct stack *native,
                   unsigned count, char *text, size_t capacity)
{
        struct text told = { .bytes = text, .capacity = capacity };
        struct search search = { .runtime = runtime, .native = native, .count = count, .frame = -1, .text = &told };
        if (copy->locals == NULL || count == 0)
                return false;
        read_objects(copy->locals);
        for (unsigned i = 0; i < batch.count; i++) {
                const uint8_t *object = memory_batch_piece_sigsafe(&batch, i);
                if (object != NULL)
                        try_callable(&search, object);
        }
        if (search.frame < 0)
                try_types(&search);
        return search.frame >= 0;
}
