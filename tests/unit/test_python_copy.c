/* SPDX-License-Identifier: Apache-2.0
 *
 * test_python_copy.c - lists of frames as they are, as they have become since, and as no interpreter makes them
 *
 * Context: unit test
 */
#include <criterion/criterion.h>
#include <string.h>

#include "fake_python.h"
#include "script/python/copy.h"

static struct fake_python fake;
static const struct python_copy *copy;
static uint64_t code;

static void start(unsigned minor)
{
        fake_start(&fake, minor);
        code = fake_code(&fake, "f", "f.py", 1);
}

/* `count` frames, each the caller of the one before; returns the innermost. `frames` gets them, innermost first. */
static uint64_t make_list(uint64_t *frames, unsigned count)
{
        uint64_t previous = 0;
        for (unsigned i = count; i-- > 0;) {
                uint64_t frame = fake_room(&fake, 384); /* room for the locals is not needed of each */
                fake_put(frame, fake.runtime.layout.frame_code, code);
                fake_put(frame, fake.runtime.layout.frame_previous, previous);
                frames[i] = previous = frame;
        }
        return previous;
}

static void link_to(uint64_t frame, uint64_t previous)
{
        fake_put(frame, fake.runtime.layout.frame_previous, previous);
}

static void prepare(const uint64_t *threads, unsigned count)
{
        python_copy_prepare(&fake.runtime.layout, threads, count);
}

static void take(void)
{
        python_copy_sigsafe();
        copy = python_copy_get();
}

static void expect_frames(unsigned first, const uint64_t *frames, unsigned count)
{
        for (unsigned i = 0; i < count; i++) {
                cr_assert_eq(copy->frames[first + i].address, frames[i], "frame %u", first + i);
                cr_assert_eq(copy->frames[first + i].code, code);
                cr_assert(copy->frames[first + i].code_bytes != NULL, "frame %u", first + i);
        }
}

static uint64_t thread_of(uint64_t frame)
{
        return fake_thread(&fake, frame, fake.runtime.layout.has_cframe ? fake_room(&fake, 64) : 0);
}

/* ---- as it is ---- */

Test(python_copy, has_every_frame_innermost_first)
{
        static const unsigned minors[] = { 8, 9, 10, 11, 12, 13 };
        for (unsigned n = 0; n < sizeof minors / sizeof *minors; n++) {
                uint64_t frames[50];
                start(minors[n]);
                uint64_t thread = thread_of(make_list(frames, 50));
                prepare(&thread, 1);
                take();
                cr_assert_eq(copy->run_count, 1);
                cr_assert_eq(copy->count, 50, "3.%u: %u", minors[n], copy->count);
                cr_expect(!copy->runs[0].cut);
                cr_expect_eq(copy->runs[0].thread, thread);
                expect_frames(0, frames, 50);
                for (unsigned i = 0; i < 50; i++) {
                        const struct python_copied *copied = &copy->frames[i];
                        cr_assert(copied->name != NULL && copied->file != NULL);
                        cr_expect(memcmp(copied->name + fake.runtime.layout.ascii_header, "f", 2) == 0);
                        cr_expect_eq(copied->lines != NULL, i < PYTHON_TABLES);
                }
        }
}

Test(python_copy, has_the_innermost_frames_of_a_long_list_and_says_that_it_was_cut)
{
        uint64_t frames[1000];
        start(11);
        uint64_t thread = thread_of(make_list(frames, 1000));
        prepare(&thread, 1);
        take();
        cr_assert_eq(copy->count, PYTHON_FRAMES);
        cr_expect(copy->runs[0].cut);
        expect_frames(0, frames, PYTHON_FRAMES);
}

Test(python_copy, has_the_frames_of_several_interpreters_apart)
{
        uint64_t frames[3][20], threads[6];
        start(12);
        for (unsigned i = 0; i < 3; i++)
                threads[i] = thread_of(make_list(frames[i], 20));
        prepare(threads, 3);
        take();
        cr_assert_eq(copy->run_count, 3);
        for (unsigned i = 0; i < 3; i++) {
                cr_expect_eq(copy->runs[i].thread, threads[i]);
                cr_expect_eq(copy->runs[i].count, 20);
                expect_frames(copy->runs[i].first, frames[i], 20);
        }
        for (unsigned i = 0; i < 6; i++)
                threads[i] = threads[0];
        prepare(threads, 6); /* more than there is room for */
        take();
        cr_expect_eq(copy->run_count, PYTHON_THREADS);
}

/* A small object may lie at the end of its mapping: it is copied all the same. */
Test(python_copy, has_names_that_end_where_memory_does)
{
        start(11);
        uint8_t *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        cr_assert(page != MAP_FAILED && munmap(page + 4096, 4096) == 0);
        uint16_t header = fake.runtime.layout.ascii_header;
        uint64_t name = (uintptr_t)page + 4096 - header - 8, named = fake_code(&fake, "f", "f.py", 1);
        fake_string_at(&fake, name, "edge", 4, 1, true);
        fake_put(named, python_name_offset(&fake.runtime.layout), name);
        uint64_t thread = thread_of(fake_frame(&fake, named, 0, 0));
        prepare(&thread, 1);
        take();
        cr_assert_eq(copy->count, 1);
        cr_assert_not_null(copy->frames[0].name);
        cr_expect(memcmp(copy->frames[0].name + header, "edge\0\0\0\0\0", 9) == 0);
        cr_expect_not_null(copy->frames[0].file);
}

Test(python_copy, is_empty_without_a_thread_state_or_without_frames)
{
        uint64_t frames[3], thread;
        start(13);
        thread = thread_of(make_list(frames, 3));
        prepare(&thread, 1);
        take();
        cr_assert_eq(copy->count, 3);
        prepare(&thread, 0);
        take();
        cr_expect_eq(copy->count, 0, "nothing is left of the copy before");
        cr_expect_eq(copy->run_count, 0);
        thread = thread_of(0);
        prepare(&thread, 1);
        take();
        cr_expect_eq(copy->count, 0);
        cr_expect_eq(copy->run_count, 0);
}

/* ---- as it has become ---- */

/* Up to 24 frames that were not there before are followed one by one. */
Test(python_copy, has_frames_that_were_entered_since_it_was_prepared)
{
        for (unsigned entered = 1; entered <= 20; entered++) {
                uint64_t frames[60];
                start(13);
                uint64_t inner = make_list(frames, 60), thread = thread_of(frames[entered]);
                prepare(&thread, 1);
                fake_put(thread, fake.runtime.layout.thread_frame, inner);
                take();
                cr_assert_eq(copy->count, 60);
                cr_expect(!copy->runs[0].cut);
                expect_frames(0, frames, 60);
        }
}

Test(python_copy, has_no_frames_that_were_left_since_it_was_prepared)
{
        uint64_t frames[60];
        start(13);
        uint64_t thread = thread_of(make_list(frames, 60));
        prepare(&thread, 1);
        fake_put(thread, fake.runtime.layout.thread_frame, frames[50]);
        take();
        cr_assert_eq(copy->count, 10);
        expect_frames(0, frames + 50, 10);
}

Test(python_copy, says_that_too_much_has_changed)
{
        uint64_t frames[200], others[100];
        start(13);
        uint64_t thread = thread_of(make_list(frames, 100)), other = make_list(others, 100);
        prepare(&thread, 1);
        fake_put(thread, fake.runtime.layout.thread_frame, other);
        take();
        cr_expect_gt(copy->count, 10);
        cr_expect_lt(copy->count, 40, "bounded: %u", copy->count);
        cr_expect(copy->runs[0].cut);
        expect_frames(0, others, copy->count);
}

/* A frame that was left and entered anew stands at another place of the list. */
Test(python_copy, follows_the_list_of_now_where_the_expected_order_is_another)
{
        uint64_t frames[10];
        start(13);
        uint64_t thread = thread_of(make_list(frames, 10));
        prepare(&thread, 1);
        link_to(frames[0], frames[5]);
        link_to(frames[5], frames[2]);
        link_to(frames[2], frames[9]);
        take();
        const uint64_t expected[] = { frames[0], frames[5], frames[2], frames[9] };
        cr_assert_eq(copy->count, 4);
        expect_frames(0, expected, 4);
}

Test(python_copy, has_nothing_of_a_thread_state_that_is_gone)
{
        uint64_t frames[5], thread = (uintptr_t)fake_cliff() - 128;
        start(13);
        fake_put(thread, fake.runtime.layout.thread_frame, make_list(frames, 5));
        prepare(&thread, 1);
        take();
        cr_expect_eq(copy->count, 5);
        cr_assert_eq(mprotect((void *)(uintptr_t)(thread & ~4095ull), 4096, PROT_NONE), 0);
        take();
        cr_expect_eq(copy->count, 0);
}

/* ---- as none is ---- */

static void expect_cut(uint64_t *frames, unsigned count)
{
        uint64_t thread = thread_of(frames[0]);
        for (unsigned again = 0; again < 2; again++) {
                prepare(&thread, 1);
                take();
                cr_expect_eq(copy->count, count, "%u", copy->count);
                cr_expect(copy->run_count == 0 || copy->runs[0].cut);
                expect_frames(0, frames, copy->count < count ? copy->count : count);
        }
}

Test(python_copy, ends_where_the_list_can_not_be_read)
{
        uint64_t frames[10];
        const uint64_t nowhere[] = {
                1, 8, UINT64_MAX, UINT64_MAX - 7, 1ull << 63, (uintptr_t)fake_cliff(), (uintptr_t)fake_cliff() - 8
        };
        for (unsigned i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
                start(13);
                make_list(frames, 10);
                link_to(frames[6], nowhere[i]);
                expect_cut(frames, 7);
                frames[0] = nowhere[i];
                expect_cut(frames, 0);
        }
}

/* It ends within a few rounds. */
Test(python_copy, ends_where_the_list_bites_its_tail)
{
        for (unsigned length = 1; length <= 20; length++) {
                for (unsigned to = 0; to < length; to++) {
                        uint64_t frames[20];
                        start(11);
                        make_list(frames, length);
                        link_to(frames[length - 1], frames[to]);
                        uint64_t thread = thread_of(frames[0]);
                        prepare(&thread, 1);
                        take();
                        cr_expect_lt(copy->count, 100, "%u frames of a circle", copy->count);
                        cr_expect(copy->runs[0].cut);
                }
        }
}

Test(python_copy, survives_code_objects_and_names_that_can_not_be_read)
{
        uint64_t frames[100];
        start(13);
        make_list(frames, 100);
        for (unsigned i = 0; i < 100; i += 2)
                fake_put(frames[i], fake.runtime.layout.frame_code, (uintptr_t)fake_cliff() - i % 3 * 8);
        uint64_t thread = thread_of(frames[0]);
        prepare(&thread, 1);
        take();
        cr_assert_eq(copy->count, 100);
        for (unsigned i = 0; i < 100; i += 2)
                cr_expect_null(copy->frames[i].code_bytes);
        fake_put(code, fake.runtime.layout.code_file, 3);
        take();
        cr_expect_not_null(copy->frames[1].name);
        cr_expect_null(copy->frames[1].file);
}

/* 3.11 and 3.12: what the thread state points at lies on the C stack and may be anything. */
Test(python_copy, survives_a_senseless_cframe)
{
        uint64_t frames[3];
        start(11);
        uint64_t thread = thread_of(make_list(frames, 3));
        const uint64_t nowhere[] = { 0, 1, UINT64_MAX, (uintptr_t)fake_cliff() };
        for (unsigned i = 0; i < 4; i++) {
                fake_put(thread, fake.runtime.layout.thread_frame, nowhere[i]);
                prepare(&thread, 1);
                take();
                cr_expect_eq(copy->count, 0);
        }
}

Test(python_copy, survives_random_links)
{
        srandom(8);
        for (unsigned round = 0; round < 300; round++) {
                uint64_t frames[64];
                start(round % 2 ? 11 : 13);
                make_list(frames, 64);
                uint64_t thread = thread_of(frames[0]);
                for (unsigned i = 0; i < 16; i++)
                        link_to(frames[random() % 64], random() % 4 ? frames[random() % 64] + (random() % 8 == 0)
                                                                    : (uint64_t)random() << random() % 33);
                prepare(&thread, 1);
                for (unsigned i = 0; i < 16; i++)
                        link_to(frames[random() % 64], frames[random() % 64]);
                take();
                cr_expect_leq(copy->count, PYTHON_FRAMES);
        }
}
