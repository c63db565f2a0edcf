/* SPDX-License-Identifier: Apache-2.0
 *
 * tables.h - which field of a record goes where: for each kind of object one table, ended by a field without a name
 *
 * Context: reader
 */
#ifndef LOOPDOG_READ_TABLES_H
#define LOOPDOG_READ_TABLES_H

#include "read/fields.h"

extern const struct field common_fields[];
extern const struct field process_fields[];
extern const struct field stall_fields[];
extern const struct field detail_fields[];
extern const struct field fd_fields[];
extern const struct field holder_fields[];
extern const struct field stack_fields[];
extern const struct field callback_fields[];
extern const struct field label_fields[];
extern const struct field other_fields[];
extern const struct field frame_fields[];
extern const struct field loop_fields[];
extern const struct field bucket_fields[];
extern const struct field exit_fields[];

#endif
