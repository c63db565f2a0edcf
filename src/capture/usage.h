/* SPDX-License-Identifier: Apache-2.0
 *
 * usage.h - what the kernel has counted of one thread
 *
 * Context: watchdog
 */
#ifndef LOOPDOG_CAPTURE_USAGE_H
#define LOOPDOG_CAPTURE_USAGE_H

#include "capture/capture.h"

/* Read anew, between task_begin() and task_end(). The thread notices nothing. */
void capture_usage(const struct capture_task *task, struct sample_usage *usage);

/* The parsers, for the tests. 0 or -EINVAL. */
int usage_parse_stat(const char *text, struct sample_usage *usage);
int usage_parse_delay(const char *text, uint64_t *delay_ns);

#endif
