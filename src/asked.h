/* SPDX-License-Identifier: Apache-2.0
 *
 * asked.h - what a program asks of the agent as a whole: loopdog_start(), loopdog_stop(), loopdog_flush()
 *
 * Context: constructor
 */
#ifndef LOOPDOG_ASKED_H
#define LOOPDOG_ASKED_H

/* `use_settings` makes the stages go by `config` as it is. */
void asked_setup(void (*use_settings)(void));

#endif
