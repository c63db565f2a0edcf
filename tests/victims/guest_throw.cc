/* SPDX-License-Identifier: Apache-2.0
 *
 * guest_throw.cc - exceptions that leave a callback in the middle of its stall
 *
 *     guest_throw
 *
 * The callback throws through 50 frames with destructors, again and again while it is captured, and at last out of the
 * loop: the unwinder must be libgcc's own, and find its way whatever signal comes. Then an ordinary stall.
 *
 * Context: main
 */
#include <cstring>
#include <stdexcept>
#include <string>

#include "see.h"
#include "truth.h"

static unsigned destroyed;

struct witness {
        ~witness()
        {
                destroyed++;
        }
};

static VICTIM_FRAME void throw_from(int depth)
{
        witness here;
        if (depth == 0)
                throw std::runtime_error("out of a callback");
        throw_from(depth - 1);
}

static struct truth left_at;

/* Of C, so that its name is the same in every compiler. */
extern "C" VICTIM_FRAME void on_throw(struct turn *)
{
        left_at = truth_begin();
        while (truth_now_ns() - left_at.begin_ns < 200000000) {
                try {
                        throw_from(50);
                } catch (const std::runtime_error &error) {
                        VICTIM_CHECK(strcmp(error.what(), "out of a callback") == 0);
                }
        }
        throw_from(50);
}

int main()
{
        struct turn loop;
        turn_open(&loop);
        turn_run(&loop, 3, nullptr);
        for (int i = 0; i < 3; i++) {
                try {
                        turn_run(&loop, 1, on_throw);
                        VICTIM_CHECK(!"the callback returned");
                } catch (const std::exception &error) {
                        truth_end(left_at, "cpu", "", "on_throw");
                        see("caught: %s", error.what());
                }
                VICTIM_CHECK(destroyed % 51 == 0);
                turn_run(&loop, 3, nullptr);
        }
        stall_asleep(&loop);
        return 0;
}
