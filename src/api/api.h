/* SPDX-License-Identifier: Apache-2.0
 *
 * api.h - what the functions of loopdog.h ask of the rest of the agent
 *
 * Context: api_setup() in the constructor; the calls on app threads
 */
#ifndef LOOPDOG_API_API_H
#define LOOPDOG_API_API_H

#include <stdbool.h>

#include "loopdog.h"

/* Only agent.c knows the stages behind these. Each returns 0 or -errno. */
struct api_calls {
        int (*start)(const char *const *settings, bool ignore_environment);
        int (*stop)(void);
        int (*flush)(void);
        int (*dump)(void);
        void (*set_handler)(loopdog_handler *handler, void *context);
};
void api_setup(const struct api_calls *calls);

/* Is another libloopdog in this process, which does the work? Constructor. */
bool api_stands_down(void);

#endif
