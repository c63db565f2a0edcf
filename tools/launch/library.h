/* SPDX-License-Identifier: Apache-2.0
 *
 * library.h - where libloopdog.so is
 *
 * Context: reader
 */
#ifndef LOOPDOG_LAUNCH_LIBRARY_H
#define LOOPDOG_LAUNCH_LIBRARY_H

/* Its absolute path, to be freed; NULL where there is none that can be preloaded, which has been said then.
 * LOOPDOG_LIBRARY first, then the folders beside this program (a build folder, an installation anywhere), then the
 * configured one. */
char *library_find(void);

/* The same, but what is wrong is left in `trouble`, to be freed, instead of being said; NULL where nothing is. */
char *library_locate(char **trouble);

#endif
