/* SPDX-License-Identifier: Apache-2.0
 *
 * loopdog.h - the public interface of libloopdog
 *
 * For now the version only: preloading the library needs no call at all. The functions with which a program marks its
 * own loops come with the next releases.
 *
 * Context: any program
 */
#ifndef LOOPDOG_H
#define LOOPDOG_H

#define LOOPDOG_VERSION_MAJOR 0
#define LOOPDOG_VERSION_MINOR 1
#define LOOPDOG_VERSION_PATCH 0
#define LOOPDOG_VERSION "0.1.0"

#endif
