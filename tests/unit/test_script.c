/* SPDX-License-Identifier: Apache-2.0
 *
 * test_script.c - where the frames of a script go among the native ones
 *
 * This program is its own interpreter: it exports the few symbols by which CPython is told.
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <string.h>

#include "base/notice.h"
#include "fake_python.h"
#include "script/script.h"
#include "unwind/module.h"

#define PTHREAD 0x7f00dead0000ull
#define EXPORTED __attribute__((visibility("default")))

extern uint8_t _PyRuntime[16384];
extern uint8_t PyCode_Type[256];
extern uint32_t Py_Version;
void _PyEval_EvalFrameDefault(void);

EXPORTED uint8_t _PyRuntime[16384];
EXPORTED uint8_t PyCode_Type[256];
EXPORTED uint32_t Py_Version = 0x030b02f0;
EXPORTED void _PyEval_EvalFrameDefault(void)
{
}

static struct fake_python fake;
static struct stack stack;
static struct script_context context;
static uint64_t c_stack[512]; /* the copied native stack; frames of it are `FRAME` bytes */
#define FRAME 256
static uint16_t own_module;

/* 3.13 tells its offsets itself. */
static void tell_offsets(void)
{
        static const struct {
                uint8_t word;
                uint16_t value;
        } told[] = { { 5, 632 },  { 8, 7264 }, { 9, 7344 }, { 14, 16 }, { 21, 8 },  { 23, 72 },
                     { 24, 152 }, { 25, 160 }, { 29, 8 },   { 30, 0 },  { 31, 56 }, { 33, 70 },
                     { 35, 112 }, { 37, 128 }, { 38, 136 }, { 39, 68 }, { 43, 200 } };
        memcpy(_PyRuntime, "xdebugpy", 8);
        for (size_t i = 0; i < sizeof told / sizeof *told; i++)
                fake_put((uintptr_t)_PyRuntime, 8u * told[i].word, told[i].value);
}

static void start(unsigned minor)
{
        fake_start(&fake, minor);
        Py_Version = 3u << 24 | minor << 16;
        memset(_PyRuntime, 0, sizeof _PyRuntime);
        if (minor == 13)
                tell_offsets();
        own_module = module_find((uintptr_t)_PyEval_EvalFrameDefault);
        cr_assert_neq(own_module, MODULE_NONE);
        python_runtime_forget();
        const struct python_runtime *runtime = python_runtime();
        cr_assert(runtime != NULL, "this program is no interpreter: it was not linked with -rdynamic");
        cr_assert_eq(runtime->layout.minor, minor);
        cr_assert_eq(runtime->module, own_module);
        memset(&stack, 0, sizeof stack);
        memset(c_stack, 0, sizeof c_stack);
}

/* ---- which interpreters are refused ---- */

/* The one that the runtime state and the version say now. NULL: none is, or what was said once of the one that is. */
static const char *refusal(void)
{
        python_runtime_forget();
        size_t before = notice_count();
        if (python_runtime() != NULL)
                return NULL;
        cr_expect_null(python_runtime(), "it was refused before");
        cr_expect_eq(notice_count(), before + 1, "it is said once");
        return notice_get(before);
}

static void expect_refusal(unsigned minor, const char *words)
{
        Py_Version = 3u << 24 | minor << 16;
        const char *said = refusal();
        cr_assert_not_null(said, "3.%u was not refused", minor);
        cr_expect_not_null(strstr(said, words), "%s", said);
}

Test(script, interpreters_without_a_lock_are_refused_and_that_is_said_once)
{
        start(13);
        fake_put((uintptr_t)_PyRuntime, 16, 1);
        expect_refusal(13, "this CPython 3.13 has no global lock");
}

Test(script, unknown_versions_are_refused_and_that_is_said_once)
{
        start(13);
        expect_refusal(7, "3.7 is none of 3.8 to 3.13");
        expect_refusal(15, "3.15 is none of 3.8 to 3.13");
        expect_refusal(14, "3.14 is none of 3.8 to 3.13"); /* its offsets would stand elsewhere */
}

Test(script, interpreters_whose_words_make_no_sense_are_refused_and_that_is_said_once)
{
        start(13);
        fake_put((uintptr_t)_PyRuntime, 8 * 23, 1ull << 40);
        expect_refusal(13, "3.13 was built in an unknown way");
        start(11);
        fake_put((uintptr_t)_PyRuntime, fake.runtime.layout.runtime_interpreters, 8); /* no interpreter is there */
        expect_refusal(11, "3.11 was built in an unknown way");
}

Test(script, interpreters_that_tell_no_offsets_though_they_should_are_refused)
{
        start(13);
        memset(_PyRuntime, 0, sizeof _PyRuntime);
        expect_refusal(13, "3.13 was built in an unknown way");
}

/* ---- fake native frames: "x" is of the program, "i" of the interpreter, "e" its evaluation function, "j" of none ----
 */

static uint64_t base_of(unsigned i) /* an address within native frame `i` */
{
        return (uintptr_t)c_stack + i * FRAME + FRAME / 2;
}

static void make_native(const char *kinds)
{
        stack = (struct stack){ .count = (unsigned)strlen(kinds), .complete = true };
        for (unsigned i = 0; i < stack.count; i++) {
                struct frame *frame = &stack.frames[i];
                frame->pc = frame->function = 0x1000 + i * 0x100;
                frame->cfa = (uintptr_t)c_stack + (i + 1) * FRAME;
                frame->module = kinds[i] == 'x'   ? (uint16_t)(own_module + 1)
                                : kinds[i] == 'j' ? MODULE_NONE
                                                  : own_module;
                if (kinds[i] == 'e')
                        frame->function = (uintptr_t)_PyEval_EvalFrameDefault;
        }
}

static uint64_t python_code(const char *name)
{
        uint64_t code = fake_code(&fake, name, "app.py", 7);
        memcpy((void *)(uintptr_t)(code + 8), &(uint64_t){ (uintptr_t)PyCode_Type }, 8);
        return code;
}

static uint64_t frame_of_code(uint64_t code, uint64_t previous, uint8_t end)
{
        uint64_t frame = fake_frame(&fake, code, previous, 0);
        if (fake.runtime.layout.frame_end != PYTHON_NONE)
                fake_set_owner(&fake, frame, end);
        return frame;
}

static uint64_t python_frame(const char *name, uint64_t previous, uint8_t end)
{
        return frame_of_code(python_code(name), previous, end);
}

/* The thread with these frames, in the only interpreter. */
static void enter(uint64_t frame, uint64_t cframe)
{
        const struct python_layout *layout = &fake.runtime.layout;
        uint64_t interpreter = fake_room(&fake, 8192), thread = fake_thread(&fake, frame, cframe);
        fake_put((uintptr_t)_PyRuntime, layout->runtime_interpreters, interpreter);
        fake_put(interpreter, layout->interpreter_threads, thread);
        fake_put(thread, layout->thread_interpreter, interpreter);
        fake_put(thread, layout->thread_pthread, PTHREAD);
}

/* What became of it, one letter a frame: those above, and a script's functions are named by one letter. */
static const char *merged(void)
{
        static char text[LIMIT_FRAMES + 1];
        struct script_memory memory = { (uintptr_t)c_stack, (const uint8_t *)c_stack, sizeof c_stack };
        script_prepare(PTHREAD);
        script_copy_sigsafe();
        script_read(&memory);
        script_merge(&stack, &memory, &context);
        for (unsigned i = 0; i < stack.count; i++) {
                const struct frame *frame = &stack.frames[i];
                const struct script_function *function = script_function_get(frame->script);
                text[i] = function != NULL                                         ? function->name[0]
                          : frame->script != 0                                     ? '?'
                          : frame->module == MODULE_NONE                           ? 'j'
                          : frame->module != own_module                            ? 'x'
                          : frame->function == (uintptr_t)_PyEval_EvalFrameDefault ? 'e'
                                                                                   : 'i';
        }
        text[stack.count] = '\0';
        return text;
}

static void expect_merged(const char *expected)
{
        const char *text = merged();
        cr_expect_str_eq(text, expected, "%s, not %s", text, expected);
}

/* 3.11: two activations, B's in native frame `inner` and A's in frame `outer`. Each has two functions. */
static void enter_two_activations(unsigned inner, unsigned outer)
{
        uint64_t cframe_inner = base_of(inner), cframe_outer = base_of(outer), root = fake_room(&fake, 64);
        uint64_t a = python_frame("A", 0, 1), a2 = python_frame("a", a, 0);
        uint64_t b = python_frame("B", a2, 1), b2 = python_frame("b", b, 0);
        enter(b2, cframe_inner);
        fake_put(cframe_inner, 16, cframe_outer);
        fake_put(cframe_outer, 8, a2);
        fake_put(cframe_outer, 16, root);
}

/* ---- by address ---- */

Test(script, frames_take_the_place_of_their_evaluation_function)
{
        start(11);
        make_native("xeixeixx");
        enter_two_activations(1, 4);
        expect_merged("xbBxaAixx");
        cr_expect(context.lost == NULL);
        cr_expect(stack.complete);
        cr_expect_eq(stack.frames[1].line, 7);
}

Test(script, frames_are_placed_by_shims_from_12_on)
{
        start(12);
        make_native("xixiixx");
        uint64_t shim_a = base_of(4), shim_b = base_of(1);
        uint64_t a = python_frame("A", shim_a, 0), a2 = python_frame("a", a, 0);
        fake_set_owner(&fake, shim_a, 3);
        fake_put(shim_b, fake.runtime.layout.frame_previous, a2);
        fake_set_owner(&fake, shim_b, 3);
        uint64_t b = python_frame("B", shim_b, 0);
        enter(b, base_of(1) - 64);
        expect_merged("xBxaAxx");
}

Test(script, frame_objects_go_one_by_one_to_evaluation_functions)
{
        start(10);
        make_native("xexeeix");
        uint64_t a = python_frame("A", 0, 0), b = python_frame("B", a, 0), c = python_frame("C", b, 0);
        enter(c, 0);
        expect_merged("xCxBAix");
}

Test(script, trampolines_next_to_an_evaluation_function_are_left_out)
{
        start(11);
        make_native("xejixejix");
        enter_two_activations(1, 5);
        expect_merged("xbBxaAix");
}

/* ---- what has no place ---- */

Test(script, activations_of_unknown_place_go_to_the_next_evaluation_function)
{
        start(11);
        make_native("xixeixx");
        enter_two_activations(1, 3);
        fake_put(base_of(1), 16, UINT64_MAX - 64); /* the link to A's activation is lost */
        expect_merged("xbBxaAixx");
        start(11);
        make_native("xixiixx");
        enter_two_activations(1, 3);
        fake_put(base_of(1), 16, UINT64_MAX - 64);
        expect_merged("xbBxxxaA");
}

Test(script, frames_beyond_a_short_native_stack_come_last)
{
        start(11);
        make_native("xix");
        enter_two_activations(1, 20);
        stack.truncated = true;
        stack.complete = false;
        expect_merged("xbBxaA");
        cr_expect(stack.truncated);
}

Test(script, frames_stand_alone_without_a_native_stack)
{
        start(11);
        make_native("");
        enter_two_activations(1, 3);
        expect_merged("bBaA");
}

Test(script, frame_objects_without_evaluation_functions_come_last)
{
        start(8);
        make_native("xxx");
        enter(python_frame("B", python_frame("A", 0, 0), 0), 0);
        expect_merged("xxxBA");
}

/* ---- limits ---- */

Test(script, stacks_have_at_most_their_limit_and_say_that_they_were_cut)
{
        char kinds[LIMIT_FRAMES + 1] = "";
        start(13);
        memset(kinds, 'x', LIMIT_FRAMES);
        make_native(kinds);
        for (unsigned i = 0; i < LIMIT_FRAMES; i++)
                stack.frames[i].cfa = (uintptr_t)c_stack + i * 8;
        uint64_t frame = fake_frame(&fake, 0, 0, 0);
        fake_set_owner(&fake, frame, 3);
        for (unsigned i = 0; i < 100; i++)
                frame = python_frame("A", frame, 0);
        enter(frame, 0);
        merged();
        cr_expect_eq(stack.count, LIMIT_FRAMES);
        cr_expect(stack.truncated);
        cr_expect(!stack.complete);
}

Test(script, lists_longer_than_their_limit_are_cut)
{
        start(13);
        make_native("xx");
        uint64_t frame = 0;
        for (unsigned i = 0; i < PYTHON_FRAMES + 50; i++)
                frame = python_frame("A", frame, 0);
        enter(frame, 0);
        merged();
        cr_expect_eq(stack.count, 2 + PYTHON_FRAMES);
        cr_expect(stack.truncated);
}

/* As with `-X perf`: every frame is an activation of its own. */
Test(script, lists_with_a_shim_behind_each_frame_have_as_many_frames_as_others)
{
        start(13);
        make_native("xx");
        uint64_t frame = 0, code = python_code("A");
        for (unsigned i = 0; i < PYTHON_FRAMES; i++)
                frame = frame_of_code(code, frame_of_code(code, frame, 3), 0);
        enter(frame, 0);
        cr_expect_eq(strspn(merged() + 2, "A"), PYTHON_FRAMES);
        cr_expect_not(stack.truncated);
        cr_expect_null(context.lost);
}

/* ---- no frames ---- */

Test(script, threads_without_python_code_keep_their_native_stack)
{
        start(11);
        make_native("xeix");
        enter(0, base_of(1));
        expect_merged("xeix");
        cr_expect(context.lost == NULL);
        script_prepare(PTHREAD + 1); /* a thread that the interpreter does not know */
        script_copy_sigsafe();
        script_read(NULL);
        script_merge(&stack, NULL, &context);
        cr_expect_eq(stack.count, 4);
}

Test(script, lists_that_make_no_sense_are_left_out_and_said)
{
        start(11);
        make_native("xeix");
        uint64_t a = python_frame("A", 0, 1);
        uint64_t b = fake_frame(&fake, fake_room(&fake, 256), a, 0); /* its code is no code object */
        enter(b, base_of(1));
        expect_merged("xeix");
        cr_expect(context.lost != NULL);
}

Test(script, lists_of_a_shim_alone_are_left_out_and_said)
{
        start(13);
        make_native("xx");
        enter(python_frame("i", 0, 3), 0);
        expect_merged("xx");
        cr_expect_not_null(context.lost, "the function that it has called was just being entered");
}

Test(script, lists_that_end_too_early_are_left_out_and_said)
{
        static const unsigned minors[] = { 11, 12, 13 };
        for (unsigned i = 0; i < 3; i++) {
                start(minors[i]);
                make_native("xeix");
                enter(python_frame("A", 0, 0), base_of(1)); /* neither an entry nor a shim */
                expect_merged("xeix");
                cr_expect(context.lost != NULL);
                start(minors[i]);
                make_native("xeix");
                enter(python_frame("A", 8, 0), base_of(1)); /* what it leads to can't be read */
                expect_merged("xeix");
                cr_expect(context.lost != NULL);
        }
}

/* A new frame of 3.11 may still have the link of another call: then it leads past an activation. */
Test(script, lists_that_pass_an_activation_are_left_out_and_said)
{
        start(11);
        make_native("xeixeixx");
        enter_two_activations(1, 4);
        const struct python_layout *layout = &fake.runtime.layout;
        uint64_t innermost, outermost;
        memcpy(&innermost, (void *)(uintptr_t)(base_of(1) + layout->cframe_frame), 8);
        memcpy(&outermost, (void *)(uintptr_t)(base_of(4) + layout->cframe_frame), 8);
        fake_put(innermost, layout->frame_previous, outermost);
        expect_merged("xeixeixx");
        cr_expect(context.lost != NULL);
}

Test(script, threads_whose_activation_has_no_frame_yet_are_said_to_be_lost)
{
        start(11);
        make_native("xeix");
        enter(0, base_of(1));
        fake_put(base_of(1), 16, base_of(2)); /* it is not the outermost one, which has none */
        expect_merged("xeix");
        cr_expect(context.lost != NULL);
        start(11);
        make_native("xeix");
        enter((uintptr_t)fake_cliff(), base_of(1));
        expect_merged("xeix");
        cr_expect(context.lost != NULL);
}

Test(script, tables_of_functions_are_emptied_when_nearly_full)
{
        char name[16];
        start(11);
        script_forget_if_full();
        unsigned generation = script_functions_generation();
        for (unsigned i = 0; i < 4000; i++) {
                snprintf(name, sizeof name, "f%u", i);
                script_function(name, "f.py", i);
        }
        script_forget_if_full();
        cr_expect_neq(script_functions_generation(), generation);
}
