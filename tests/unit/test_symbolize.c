/* SPDX-License-Identifier: Apache-2.0
 *
 * test_symbolize.c - tools/symbolize: names, lines and inlined frames
 *
 * The programs are built beside this test from programs/. They print addresses of their own code with the line and the
 * name that belong to it (programs/places.h), so that nothing here depends on the compiler. Their build-id is BUILD_ID.
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbolize/demangle.h"
#include "symbolize/symbolize.h"

#define BUILD_ID "0123abcd"
#define PLACES 16

/* Where a program says that it is. */
struct said {
        uint64_t offset; /* 0: of a line "call:NAME LINE", without an address */
        unsigned line;
        char name[128];
};

struct saying {
        struct said items[PLACES];
        size_t count;
};

static struct saying ask(const char *program)
{
        struct saying saying = { 0 };
        char line[256];
        FILE *output = popen(program, "r");
        cr_assert_not_null(output);
        while (fgets(line, sizeof(line), output) && saying.count < PLACES) {
                struct said *said = &saying.items[saying.count];
                if (sscanf(line, "0x%" SCNx64 " %u %127[^\n]", &said->offset, &said->line, said->name) == 3 ||
                    sscanf(line, "%127[a-z:] %u", said->name, &said->line) == 2)
                        saying.count++;
        }
        cr_assert_eq(pclose(output), 0, "%s", program);
        return saying;
}

static const struct said *find(const struct saying *saying, const char *name)
{
        for (size_t i = 0; i < saying->count; i++)
                if (strcmp(saying->items[i].name, name) == 0)
                        return &saying->items[i];
        cr_assert_fail("the program does not say where %s is", name);
        return NULL;
}

/* The frame at a place, as an agent records a caller. */
static struct record_frame frame_at(const char *program, const struct said *said, const char *symbol)
{
        return (struct record_frame){
                .lang = RECORD_NATIVE,
                .module = program,
                .build_id = BUILD_ID,
                .offset = said->offset,
                .caller = true,
                .function = symbol,
        };
}

/* Symbolize a stall of one stack with one frame, which is the culprit, too. */
static void symbolize_one(struct symbolizer *symbolizer, const struct record_frame *frame, struct symbolized *out)
{
        struct record_stack stack = { .count = 1, .frames = frame, .frames_count = 1 };
        struct record record = {
                .type = RECORD_STALL,
                .stall = { .id = 1, .signature = 7, .culprit = frame, .stacks = &stack, .stacks_count = 1 },
        };
        symbolize(symbolizer, &record, out);
        cr_assert_eq(out->record.stall.stacks_count, 1);
        cr_assert_geq(out->record.stall.stacks[0].frames_count, 1);
}

static void expect_place(const struct record_frame *frame, const char *name, const char *file, unsigned line)
{
        cr_expect_str_eq(frame->function ? frame->function : "(none)", name);
        cr_assert_not_null(frame->file, "%s has no file", name);
        cr_expect_eq(frame->file[0], '/', "%s", frame->file);
        cr_expect(strlen(frame->file) > strlen(file) &&
                          strcmp(frame->file + strlen(frame->file) - strlen(file), file) == 0,
                  "%s", frame->file);
        cr_expect_null(strstr(frame->file, "/.."), "%s", frame->file);
        cr_expect_eq(frame->line, line, "%s: line %u, not %u", name, frame->line, line);
}

/* Each place that a program names is found, as the innermost frame. */
static void expect_all(const char *program, const char *file)
{
        struct saying saying = ask(program);
        struct symbolizer *symbolizer = symbolizer_new(NULL);
        cr_assert_gt(saying.count, 0);
        for (size_t i = 0; i < saying.count; i++) {
                const struct said *said = &saying.items[i];
                struct symbolized symbolized;
                struct record_frame frame = frame_at(program, said, NULL);
                if (said->offset == 0)
                        continue;
                symbolize_one(symbolizer, &frame, &symbolized);
                expect_place(&symbolized.record.stall.stacks[0].frames[0], said->name, file, said->line);
                symbolized_free(&symbolized);
        }
        symbolizer_free(symbolizer);
}

Test(symbolize, finds_names_and_lines_of_c)
{
        expect_all(PROGRAM_INLINED, "/inlined.c");
}

#ifdef PROGRAM_NAMED
Test(symbolize, finds_names_and_lines_of_cpp)
{
        expect_all(PROGRAM_NAMED, "/named.cc");
}
#endif

#ifdef PROGRAM_RUSTY
Test(symbolize, finds_names_and_lines_of_rust)
{
        expect_all(PROGRAM_RUSTY, "/rusty.rs");
}

Test(symbolize, shows_inlined_methods_of_rust)
{
        struct saying saying = ask(PROGRAM_RUSTY);
        struct record_frame frame = frame_at(PROGRAM_RUSTY, find(&saying, "rusty::shop::Server::lookup"), NULL);
        struct symbolizer *symbolizer = symbolizer_new(NULL);
        struct symbolized symbolized;
        symbolize_one(symbolizer, &frame, &symbolized);
        const struct record_stack *stack = &symbolized.record.stall.stacks[0];
        cr_assert_eq(stack->frames_count, 2);
        cr_expect(stack->frames[0].inlined && !stack->frames[1].inlined);
        expect_place(&stack->frames[1], "rusty::shop::Server::handle", "/rusty.rs", find(&saying, "call:lookup")->line);
        symbolized_free(&symbolized);
        symbolizer_free(symbolizer);
}
#endif

Test(symbolize, shows_inlined_functions_with_the_lines_that_call_them)
{
        struct saying saying = ask(PROGRAM_INLINED);
        const struct said *place = find(&saying, "innermost");
        struct record_frame frame = frame_at(PROGRAM_INLINED, place, "outer");
        struct symbolizer *symbolizer = symbolizer_new(NULL);
        struct symbolized symbolized;
        symbolize_one(symbolizer, &frame, &symbolized);

        const struct record_stack *stack = &symbolized.record.stall.stacks[0];
        cr_assert_eq(stack->frames_count, 3);
        expect_place(&stack->frames[0], "innermost", "/inlined.c", place->line);
        expect_place(&stack->frames[1], "middle", "/inlined.c", find(&saying, "call:innermost")->line);
        expect_place(&stack->frames[2], "outer", "/inlined.c", find(&saying, "call:middle")->line);
        cr_expect(stack->frames[0].inlined && stack->frames[1].inlined && !stack->frames[2].inlined);
        cr_expect_str_eq(stack->frames[0].module, PROGRAM_INLINED);
        expect_place(symbolized.record.stall.culprit, "innermost", "/inlined.c", place->line);
        symbolized_free(&symbolized);
        symbolizer_free(symbolizer);
}

Test(symbolize, looks_an_address_up_once)
{
        struct saying saying = ask(PROGRAM_INLINED);
        struct record_frame frame = frame_at(PROGRAM_INLINED, find(&saying, "plain"), NULL);
        struct symbolizer *symbolizer = symbolizer_new(NULL);
        struct symbolized first, second;
        symbolize_one(symbolizer, &frame, &first);
        symbolize_one(symbolizer, &frame, &second);
        cr_expect_eq((const void *)first.record.stall.stacks[0].frames[0].file,
                     (const void *)second.record.stall.stacks[0].frames[0].file, "the very same string");
        symbolized_free(&first);
        symbolized_free(&second);
        symbolizer_free(symbolizer);
}

/* What is said about a frame that can't be symbolized, in one line or none. */
static const char *complaint_about(struct record_frame frame, unsigned times)
{
        static char said[2048];
        FILE *err = cr_get_redirected_stderr();
        struct symbolizer *symbolizer = symbolizer_new(NULL);
        for (unsigned i = 0; i < times; i++) {
                struct symbolized symbolized;
                frame.offset += i; /* another address of the same module */
                symbolize_one(symbolizer, &frame, &symbolized);
                cr_expect_eq(symbolized.record.stall.stacks[0].frames_count, 1);
                cr_expect_str_eq(symbolized.record.stall.stacks[0].frames[0].function, "shop::kept");
                cr_expect_null(symbolized.record.stall.stacks[0].frames[0].file);
                symbolized_free(&symbolized);
        }
        symbolizer_free(symbolizer);
        fcntl(fileno(err), F_SETFL, O_NONBLOCK);
        ssize_t length = read(fileno(err), said, sizeof(said) - 1);
        said[length > 0 ? length : 0] = '\0';
        return said;
}

Test(symbolize, does_not_believe_another_build_and_says_so_once)
{
        struct saying saying = ask(PROGRAM_INLINED);
        struct record_frame frame = frame_at(PROGRAM_INLINED, &saying.items[saying.count - 1], "_ZN4shop4keptEv");
        cr_redirect_stderr();
        frame.build_id = "feedbeef";
        const char *said = complaint_about(frame, 3);
        cr_expect(strstr(said, "not the build that ran (build-id " BUILD_ID ", the record says feedbeef)"), "%s", said);
        cr_expect_eq(strchr(said, '\n'), said + strlen(said) - 1, "one line: %s", said);
}

Test(symbolize, does_not_believe_a_file_of_which_the_record_has_no_build_id)
{
        struct saying saying = ask(PROGRAM_INLINED);
        struct record_frame frame = frame_at(PROGRAM_INLINED, &saying.items[saying.count - 1], "_ZN4shop4keptEv");
        cr_redirect_stderr();
        frame.build_id = NULL;
        cr_expect(strstr(complaint_about(frame, 2), "does not say which build"));
}

Test(symbolize, says_once_that_a_file_is_not_there_or_not_fit)
{
        struct record_frame frame = { .function = "_ZN4shop4keptEv", .build_id = BUILD_ID, .offset = 0x1000 };
        cr_redirect_stderr();
        frame.module = "/nonexistent/file";
        cr_expect(strstr(complaint_about(frame, 2), "/nonexistent/file: No such file or directory"));
}

Test(symbolize, never_reads_what_is_no_regular_file)
{
        struct record_frame frame = { .function = "_ZN4shop4keptEv", .build_id = BUILD_ID, .offset = 0x1000 };
        cr_redirect_stderr();
        frame.module = "/dev/zero";
        cr_expect(strstr(complaint_about(frame, 2), "no regular file"));
}

Test(symbolize, says_that_a_file_is_no_elf_object)
{
        struct record_frame frame = { .function = "_ZN4shop4keptEv", .build_id = BUILD_ID, .offset = 0x1000 };
        cr_redirect_stderr();
        frame.module = "/etc/passwd";
        cr_expect(strstr(complaint_about(frame, 2), "no ELF object"));
}

Test(symbolize, leaves_the_vdso_and_code_without_module_alone)
{
        struct record_frame frame = { .function = "_ZN4shop4keptEv", .offset = 0x1000, .module = "[vdso]" };
        cr_redirect_stderr();
        cr_expect_str_eq(complaint_about(frame, 2), "");
        frame.module = NULL;
        frame.offset = 0;
        cr_expect_str_eq(complaint_about(frame, 1), "");
}

Test(symbolize, gives_a_repeat_without_stacks_the_culprit_of_the_first)
{
        struct saying saying = ask(PROGRAM_INLINED);
        const struct said *plain = find(&saying, "plain");
        struct record_frame frame = frame_at(PROGRAM_INLINED, plain, NULL);
        struct symbolizer *symbolizer = symbolizer_new(NULL);
        struct symbolized first, repeat;
        symbolize_one(symbolizer, &frame, &first);
        struct record_frame culprit = { .lang = RECORD_NATIVE, .module = "/elsewhere" };
        struct record record = { .type = RECORD_STALL,
                                 .stall = { .id = 2, .signature = 7, .stacks_omitted = true, .culprit = &culprit } };
        symbolize(symbolizer, &record, &repeat);
        expect_place(repeat.record.stall.culprit, plain->name, "/inlined.c", plain->line);
        symbolized_free(&first);
        symbolized_free(&repeat);
        symbolizer_free(symbolizer);
}

Test(symbolize, leaves_script_frames_as_they_are)
{
        struct record_frame frame = { .lang = RECORD_PYTHON, .function = "_Zblock", .file = "/srv/app.py", .line = 8 };
        struct symbolizer *symbolizer = symbolizer_new(NULL);
        struct symbolized symbolized;
        symbolize_one(symbolizer, &frame, &symbolized);
        expect_place(&symbolized.record.stall.stacks[0].frames[0], "_Zblock", "/app.py", 8);
        expect_place(symbolized.record.stall.culprit, "_Zblock", "/app.py", 8);
        symbolized_free(&symbolized);
        symbolizer_free(symbolizer);
}

/* ---- code made at run time ---- */

#define MADE_PID 42

/* A folder with records of node that has compiled two functions. */
static char folder[] = "/tmp/loopdog-symbolize.XXXXXX";

static void write_perf_map(void)
{
        static const char map[] = "1000 100 JS:*busyParse /srv/shop.js:3:1\n2000 100 JS:*busyRender /srv/shop.js:9:1\n";
        char path[sizeof(folder) + 32];
        cr_assert_not_null(mkdtemp(folder));
        snprintf(path, sizeof(path), "%s/perf-%d.map", folder, MADE_PID);
        FILE *file = fopen(path, "w");
        cr_assert_not_null(file);
        fputs(map, file);
        fclose(file);
}

static void remove_perf_map(void)
{
        char path[sizeof(folder) + 32];
        snprintf(path, sizeof(path), "%s/perf-%d.map", folder, MADE_PID);
        unlink(path);
        rmdir(folder);
}

static struct symbolizer *symbolizer_of_folder(void)
{
        char records[sizeof(folder) + 32];
        struct symbolizer *symbolizer = symbolizer_new(NULL);
        snprintf(records, sizeof(records), "%s/a.jsonl", folder);
        symbolizer_add_file(symbolizer, records);
        return symbolizer;
}

TestSuite(symbolize_made, .init = write_perf_map, .fini = remove_perf_map);

static struct record_frame node_frame = { .lang = RECORD_NATIVE, .function = "main", .module = "/none/node" };

/* Both functions have the same caller, and so the same signature. */
static struct record made_record(const struct record_frame *frames, struct record_stack *stack)
{
        *stack = (struct record_stack){ .count = 3, .frames = frames, .frames_count = 2 };
        return (struct record){ .type = RECORD_STALL,
                                .pid = MADE_PID,
                                .run = "aa",
                                .stall = { .id = 1,
                                           .signature = 7,
                                           .culprit = &node_frame,
                                           .stacks = stack,
                                           .stacks_count = frames ? 1 : 0,
                                           .stacks_omitted = !frames } };
}

Test(symbolize_made, names_each_function_of_one_signature)
{
        static const struct {
                uint64_t offset;
                const char *name;
        } made[] = { { 0x1010, "busyParse" }, { 0x2010, "busyRender" } };
        struct symbolizer *symbolizer = symbolizer_of_folder();
        for (size_t i = 0; i < 2; i++) {
                const struct record_frame frames[] = { { .lang = RECORD_JIT, .offset = made[i].offset }, node_frame };
                struct record_stack stack;
                const struct record record = made_record(frames, &stack);
                struct record_frame culprit;
                cr_assert(symbolize_made(symbolizer, &record, &culprit));
                cr_expect_str_eq(culprit.function, made[i].name);
                cr_expect_str_eq(culprit.file, "/srv/shop.js");
        }
        symbolizer_free(symbolizer);
}

Test(symbolize_made, does_not_know_which_function_a_repeat_without_stacks_was)
{
        const struct record_frame frames[] = { { .lang = RECORD_JIT, .offset = 0x1010 }, node_frame };
        struct symbolizer *symbolizer = symbolizer_of_folder();
        struct record_stack stack;
        struct symbolized symbolized;
        struct record_frame culprit, unseen = node_frame; /* the frames that tell its line were dropped */
        struct record record = made_record(frames, &stack);
        unseen.offset = 0x100;
        record.stall.culprit = &unseen;
        symbolize(symbolizer, &record, &symbolized);
        cr_expect_str_eq(symbolized.record.stall.culprit->function, "busyParse");
        symbolized_free(&symbolized);
        record = made_record(NULL, &stack);
        cr_expect_not(symbolize_made(symbolizer, &record, &culprit));
        symbolize(symbolizer, &record, &symbolized);
        cr_expect_str_eq(symbolized.record.stall.culprit->function, "main");
        symbolized_free(&symbolized);
        symbolizer_free(symbolizer);
}

Test(symbolize_made, leaves_out_parts_that_know_nothing_of_its_culprit)
{
        const struct record_frame frames[] = { { .lang = RECORD_JIT, .offset = 0x1010 }, node_frame };
        const struct record_frame unknown[] = { { .lang = RECORD_JIT, .offset = 0x9010 }, node_frame };
        const struct record_share share = { .frame = node_frame };
        struct symbolizer *symbolizer = symbolizer_of_folder();
        struct record_stack stack;
        struct symbolized symbolized;
        struct record record = made_record(frames, &stack);
        record.stall.profile = &share;
        record.stall.profile_count = 1;
        symbolize(symbolizer, &record, &symbolized);
        cr_expect_eq(symbolized.record.stall.profile_count, 0);
        symbolized_free(&symbolized);
        stack.frames = unknown;
        symbolize(symbolizer, &record, &symbolized);
        cr_expect_eq(symbolized.record.stall.profile_count, 1, "of other culprits they are true");
        symbolized_free(&symbolized);
        symbolizer_free(symbolizer);
}

Test(symbolize, keeps_off_the_network)
{
        struct record_frame frame = { .module = PROGRAM_INLINED, .build_id = BUILD_ID, .offset = 1 };
        struct symbolizer *symbolizer = symbolizer_new(NULL);
        struct symbolized symbolized;
        setenv("DEBUGINFOD_URLS", "https://example.invalid", 1);
        symbolize_one(symbolizer, &frame, &symbolized);
        cr_expect_null(getenv("DEBUGINFOD_URLS"));
        symbolized_free(&symbolized);
        symbolizer_free(symbolizer);
}

static void expect_name(const char *symbol, const char *name)
{
        char *demangled = demangle(symbol);
        cr_expect_str_eq(demangled, name);
        free(demangled);
}

Test(demangle, makes_names_readable)
{
        expect_name("main", "main");
        expect_name("", "");
        expect_name("_ZN3app6Server6handleEi", "app::Server::handle");
        expect_name("_ZN12_GLOBAL__N_15blockEi", "(anonymous namespace)::block");
        expect_name("_ZN3std2io4Read17h0123456789abcdefE", "std::io::Read");
        expect_name("_RNvCskwGfYPst2Cb_3foo3bar", "foo::bar");
        expect_name("memcpy@@GLIBC_2.14", "memcpy");
        expect_name("parse.constprop.0", "parse");
        expect_name("_ZN3app5parseEv.part.0", "app::parse");
        expect_name("parse.cold", "parse");
        expect_name(".cold", ".cold");
        expect_name("_Z", "_Z");
        expect_name("_ZN", "_ZN");
}

Test(demangle, knows_a_name_that_was_cut)
{
        cr_expect(demangle_fails("_ZN3app6Server6han"));
        cr_expect_not(demangle_fails("_ZN3app6Server6handleEi"));
        cr_expect_not(demangle_fails("main"));
}

Test(demangle, survives_what_is_no_name)
{
        static char nested[20001];
        memset(nested, 'N', sizeof(nested) - 1);
        memcpy(nested, "_Z", 2);
        char *demangled = demangle(nested);
        cr_expect_str_eq(demangled, nested);
        free(demangled);
}
