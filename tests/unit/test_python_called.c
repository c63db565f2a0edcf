/* SPDX-License-Identifier: Apache-2.0
 *
 * test_python_called.c - script/python/called.c: what the innermost Python frame has called
 *
 * Objects as CPython has them lie on a value stack, and the native stack tells which of their functions runs.
 *
 * Context: unit test
 */
#include "fake_python.h"
#include "script/python/called.h"

#define FUNCTION_TYPE 0x61000
#define METHOD_TYPE 0x62000
#define OUTER 0x1000 /* C functions */
#define INNER 0x2000
#define OTHER 0x3000

static struct fake_python fake;
static uint64_t words[PYTHON_LOCALS]; /* locals and value stack */
static unsigned word_count;
static struct stack native;

static void start(void)
{
        fake_start(&fake, 11);
        fake.runtime.function_type = FUNCTION_TYPE;
        fake.runtime.method_type = METHOD_TYPE;
        memset(words, 0, sizeof words);
        word_count = 0;
        native = (struct stack){ .count = 3,
                                 .frames = { { .function = INNER }, { .function = 0 }, { .function = OUTER } } };
}

static void push(uint64_t object)
{
        words[word_count++] = object;
}

/* "": nothing is known. */
static const char *called(void)
{
        static char text[128];
        struct python_copy copy = { .locals = words };
        text[0] = '\0';
        bool known = python_called(&fake.runtime, &copy, &native, native.count, text, sizeof text);
        return known ? text : "";
}

/* ---- objects ---- */

static uint64_t c_string(const char *text)
{
        uint64_t address = fake_room(&fake, 128);
        strcpy((char *)(uintptr_t)address, text);
        return address;
}

static uint64_t type_named(const char *name)
{
        uint64_t type = fake_room(&fake, 416);
        fake_put(type, 24, c_string(name));
        return type;
}

static uint64_t object_of(uint64_t type)
{
        uint64_t object = fake_room(&fake, 64);
        fake_put(object, 8, type);
        return object;
}

static void define(uint64_t at, const char *name, uint64_t function)
{
        fake_put(at, 0, c_string(name));
        fake_put(at, 8, function);
}

static uint64_t definition(const char *name, uint64_t function)
{
        uint64_t address = fake_room(&fake, 32);
        define(address, name, function);
        return address;
}

static uint64_t function_of(uint64_t type, const char *name, uint64_t function, uint64_t self, const char *module)
{
        uint64_t object = object_of(type);
        fake_put(object, 16, definition(name, function));
        fake_put(object, 24, self);
        fake_put(object, 32, module != NULL ? fake_string(&fake, module) : 0);
        return object;
}

static uint64_t method_of(uint64_t type, const char *name, uint64_t function)
{
        uint64_t object = object_of(METHOD_TYPE);
        fake_put(object, 16, type);
        fake_put(object, 40, definition(name, function));
        return object;
}

/* As locks have it: names of one function, and that of another. */
static uint64_t lock_type(void)
{
        uint64_t type = type_named("_thread.lock"), methods = fake_room(&fake, 5 * 32);
        define(methods, "acquire_lock", OUTER);
        define(methods + 32, "release", OTHER);
        define(methods + 64, "acquire", OUTER);
        define(methods + 96, "__enter__", OUTER);
        fake_put(type, 232, methods);
        return type;
}

/* ---- callables ---- */

Test(python_called, names_a_function_by_its_module)
{
        start();
        push(function_of(FUNCTION_TYPE, "sleep", OUTER, 0, "time"));
        cr_expect_str_eq(called(), "time.sleep");
}

Test(python_called, names_a_builtin_by_itself)
{
        start();
        push(function_of(FUNCTION_TYPE, "print", OUTER, 0, "builtins"));
        cr_expect_str_eq(called(), "print");
}

Test(python_called, names_a_method_by_its_type)
{
        start();
        push(function_of(FUNCTION_TYPE, "acquire", OUTER, object_of(type_named("_thread.lock")), NULL));
        cr_expect_str_eq(called(), "_thread.lock.acquire");
        start();
        push(method_of(type_named("sqlite3.Connection"), "execute", OUTER));
        cr_expect_str_eq(called(), "sqlite3.Connection.execute");
}

Test(python_called, names_functions_that_cython_has_made)
{
        static const char *const types[] = { "cython_function_or_method", "_cython_3_0_10.cython_function_or_method" };
        for (size_t i = 0; i < 2; i++) {
                start();
                push(function_of(type_named(types[i]), "work", OUTER, 0, "fast"));
                cr_expect_str_eq(called(), "fast.work");
        }
        start();
        push(function_of(type_named("some.other_callable"), "work", OUTER, 0, "fast"));
        cr_expect_str_eq(called(), "");
}

Test(python_called, does_not_name_what_is_not_executed)
{
        start();
        push(function_of(FUNCTION_TYPE, "loads", OTHER, 0, "json"));
        cr_expect_str_eq(called(), "");
        push(function_of(FUNCTION_TYPE, "sleep", OUTER, 0, "time"));
        cr_expect_str_eq(called(), "time.sleep");
        native.count = 2; /* the rest is outside of the innermost Python frame */
        cr_expect_str_eq(called(), "");
        native.count = 0;
        cr_expect_str_eq(called(), "");
}

Test(python_called, names_the_outermost_of_several)
{
        for (unsigned order = 0; order < 2; order++) {
                start();
                uint64_t inner = function_of(FUNCTION_TYPE, "acquire", INNER, 0, "_thread");
                uint64_t outer = function_of(FUNCTION_TYPE, "get", OUTER, 0, "_queue");
                push(order == 0 ? inner : outer);
                push(order == 0 ? outer : inner);
                cr_expect_str_eq(called(), "_queue.get");
        }
}

/* ---- what is on no value stack ---- */

Test(python_called, names_what_with_calls_by_the_object)
{
        start();
        push(object_of(lock_type()));
        cr_expect_str_eq(called(), "_thread.lock.__enter__", "the last of its names");
}

Test(python_called, names_what_with_calls_by_the_bound_exit_that_is_left)
{
        start();
        push(function_of(FUNCTION_TYPE, "__exit__", OTHER, object_of(lock_type()), NULL));
        cr_expect_str_eq(called(), "_thread.lock.__enter__");
}

Test(python_called, names_what_for_calls_by_the_iterator)
{
        start();
        uint64_t type = type_named("sqlite3.Cursor");
        fake_put(type, 224, OUTER);
        push(object_of(type));
        cr_expect_str_eq(called(), "sqlite3.Cursor.__next__");
}

Test(python_called, prefers_a_callable_to_an_object)
{
        start();
        push(object_of(lock_type()));
        push(function_of(FUNCTION_TYPE, "wait", INNER, 0, "_thread"));
        cr_expect_str_eq(called(), "_thread.wait");
}

/* ---- what makes no sense ---- */

Test(python_called, survives_words_that_lead_nowhere)
{
        start();
        for (unsigned i = 0; i < PYTHON_LOCALS; i++)
                words[i] = (i % 4 == 0 ? 8 : i % 4 == 1 ? UINT64_MAX : i % 4 == 2 ? 0x7000 : (uintptr_t)words) + i * 16;
        cr_expect_str_eq(called(), "");
        uint64_t type = lock_type();
        fake_put(type, 24, 0x7000); /* its name */
        push(object_of(type));
        cr_expect_str_eq(called(), "");
        fake_put(type, 232, 0x7000); /* its methods */
        cr_expect_str_eq(called(), "");
        struct python_copy copy = { .locals = NULL };
        char text[8];
        cr_expect_not(python_called(&fake.runtime, &copy, &native, native.count, text, sizeof text));
}

Test(python_called, keeps_to_the_room_for_its_text)
{
        start();
        push(function_of(FUNCTION_TYPE, "sleep", OUTER, 0, "time"));
        struct python_copy copy = { .locals = words };
        char text[8] = "";
        cr_expect(python_called(&fake.runtime, &copy, &native, native.count, text, sizeof text));
        cr_expect_str_eq(text, "time.sl");
}
