/* SPDX-License-Identifier: Apache-2.0
 *
 * regions_throw.cc - an exception that is thrown and caught
 *
 * Context: the thread that is captured
 */
extern "C" void throw_and_catch(int depth);

static __attribute__((noinline)) void throw_from(int depth)
{
        if (depth == 0)
                throw depth;
        throw_from(depth - 1);
        __asm__ volatile(""); /* no tail call */
}

extern "C" void throw_and_catch(int depth)
{
        try {
                throw_from(depth);
        } catch (int) {
        }
}
