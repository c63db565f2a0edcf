/* SPDX-License-Identifier: Apache-2.0
 *
 * clock_switch.c - the agent with a switch for its clock
 *
 * Linked with all objects of the agent into libbench_agent.so, which is otherwise the library that is installed.
 * There is no setting for the clock, for nobody should need one; but the cost of the slower clock must be known.
 *
 * Context: app thread of the bench
 */
#include <string.h>

#include "base/clock.h"

__attribute__((visibility("default"))) int bench_use_clock(const char *name);

/* Returns 0, or -1 where the clock is not to be had here. */
int bench_use_clock(const char *name)
{
        static const struct clock_rate monotonic;
        if (strcmp(name, "clock_gettime") == 0)
                atomic_store(&clock_rate, &monotonic);
        return strcmp(clock_name(), name) == 0 ? 0 : -1;
}
