/* SPDX-License-Identifier: Apache-2.0
 *
 * remote.c - libunwind, used as if this process were another one
 *
 * Linked, libunwind would take over the host's C++ exceptions (it exports _Unwind_*), so it is opened with RTLD_LOCAL
 * and used by pointers. Its functions for other processes ask for every word of memory and every register by callbacks,
 * take no lock of the loader, and never see that the process is our own. Where to look for a function's unwind
 * information is found out here, because libunwind's own way is dl_iterate_phdr with the loader's lock.
 *
 * libunwind takes a pthread lock of its own for each step, with all signals blocked: one thread only may be in here.
 * Its first use opens two descriptors (a pipe that it needs for local unwinding only), hence on the watchdog, which
 * has a descriptor table of its own, and not in remote_load().
 *
 * Context: watchdog, except remote_load()
 * Limits:  FUNCTIONS addresses and CACHE_FRAMES rows of unwind tables are cached; we allocate nothing
 */
#include "unwind/remote.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "unwind/memory.h"
#include "unwind/module.h"

#define FUNCTIONS 1024u
#define CACHE_FRAMES 1024

/* The functions that are used, looked up by name. */
static struct {
        unw_addr_space_t (*create_addr_space)(unw_accessors_t *accessors, int byte_order);
        int (*set_caching_policy)(unw_addr_space_t space, unw_caching_policy_t policy);
        int (*set_cache_size)(unw_addr_space_t space, size_t size, int flag);
        void (*flush_cache)(unw_addr_space_t space, unw_word_t low, unw_word_t high);
        int (*init_remote)(unw_cursor_t *cursor, unw_addr_space_t space, void *argument);
        int (*step)(unw_cursor_t *cursor);
        int (*get_reg)(unw_cursor_t *cursor, int number, unw_word_t *value);
        int (*search_table)(unw_addr_space_t space, unw_word_t ip, unw_dyn_info_t *table, unw_proc_info_t *info,
                            int need_unwind_info, void *argument);
} lib;

enum state { NOT_LOADED, LOADING, READY, FAILED, BROKEN };
static _Atomic int state;
static const char *failure;

static unw_addr_space_t space;
static bool prepared;
static unsigned seen_generation;

/* A direct-mapped cache of remote_function(). */
static struct known {
        uint64_t pc; /* 0: empty */
        uint64_t header;
        struct fde fde;
        bool found;
} functions[FUNCTIONS];

/* --- functions --- */

bool remote_function(uint64_t pc, struct fde *fde)
{
        uint64_t header = module_eh_frame_hdr(pc);
        if (header == 0 || pc == 0)
                return false;
        struct known *known = &functions[(pc * 0x9e3779b97f4a7c15ul) >> 54];
        if (known->pc != pc || known->header != header) {
                known->pc = 0;
                known->found = fde_find(&memory_reader, header, pc, &known->fde) == 0;
                known->header = header;
                known->pc = pc;
        }
        *fde = known->fde;
        return known->found;
}

_Static_assert(FUNCTIONS == 1u << (64 - 54), "the hash gives an index");

/* --- libunwind's callbacks --- */

/* Hands libunwind a table with the one entry that was found already. A failure is never reported as "no information":
 * libunwind would then guess. */
static int find_proc_info(unw_addr_space_t as, unw_word_t ip, unw_proc_info_t *info, int need_unwind_info,
                          void *argument)
{
        struct fde fde;
        if (!remote_function(ip, &fde))
                return -UNW_EINVAL;
        unw_dyn_info_t table = {
                .start_ip = fde.start,
                .end_ip = fde.end,
                .format = UNW_INFO_FORMAT_REMOTE_TABLE,
                .u.rti = { .segbase = module_eh_frame_hdr(ip), .table_data = fde.entry, .table_len = 1 },
        };
        return lib.search_table(as, ip, &table, info, need_unwind_info, argument) < 0 ? -UNW_EINVAL : 0;
}

static void put_unwind_info(unw_addr_space_t as, unw_proc_info_t *info, void *argument)
{
}

static int get_dyn_info_list_addr(unw_addr_space_t as, unw_word_t *address, void *argument)
{
        return -UNW_ENOINFO;
}

static int access_mem(unw_addr_space_t as, unw_word_t address, unw_word_t *value, int write, void *argument)
{
        uint64_t word;
        if (write || !memory_word(address, &word))
                return -UNW_EINVAL;
        *value = word;
        return 0;
}

static int access_reg(unw_addr_space_t as, unw_regnum_t number, unw_word_t *value, int write, void *argument)
{
        const struct registers *registers = argument;
        if (write)
                return -UNW_EREADONLYREG;
        if (number < 0 || number >= SAMPLE_REGISTERS || !register_known(registers, (unsigned)number))
                return -UNW_EBADREG;
        *value = registers->value[number];
        return 0;
}

static int access_fpreg(unw_addr_space_t as, unw_regnum_t number, unw_fpreg_t *value, int write, void *argument)
{
        return -UNW_EBADREG;
}

static int resume(unw_addr_space_t as, unw_cursor_t *cursor, void *argument)
{
        return -UNW_EINVAL;
}

static int get_proc_name(unw_addr_space_t as, unw_word_t address, char *name, size_t capacity, unw_word_t *offset,
                         void *argument)
{
        return -UNW_ENOINFO;
}

/* Later libunwinds copy more callbacks than our header knows: there must be zeros behind. */
static union {
        unw_accessors_t known;
        void *room[32];
} accessors = { .known = {
                        .find_proc_info = find_proc_info,
                        .put_unwind_info = put_unwind_info,
                        .get_dyn_info_list_addr = get_dyn_info_list_addr,
                        .access_mem = access_mem,
                        .access_reg = access_reg,
                        .access_fpreg = access_fpreg,
                        .resume = resume,
                        .get_proc_name = get_proc_name,
                } };

/* --- loading --- */

static bool look_up(void *handle)
{
        const struct {
                const char *name;
                void *pointer;
        } wanted[] = {
                { ARCH_UNWIND_NAME("create_addr_space"), &lib.create_addr_space },
                { ARCH_UNWIND_NAME("set_caching_policy"), &lib.set_caching_policy },
                { ARCH_UNWIND_NAME("set_cache_size"), &lib.set_cache_size },
                { ARCH_UNWIND_NAME("flush_cache"), &lib.flush_cache },
                { ARCH_UNWIND_NAME("init_remote"), &lib.init_remote },
                { ARCH_UNWIND_NAME("step"), &lib.step },
                { ARCH_UNWIND_NAME("get_reg"), &lib.get_reg },
                { ARCH_UNWIND_NAME("dwarf_search_unwind_table"), &lib.search_table },
        };
        for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
                void *found = dlsym(handle, wanted[i].name);
                if (found == NULL)
                        return false;
                memcpy(wanted[i].pointer, &found, sizeof(found));
        }
        return true;
}

static const char *try_load(void)
{
        modules_load();
        void *handle = dlopen(ARCH_UNWIND_LIBRARY, RTLD_NOW | RTLD_LOCAL);
        if (handle == NULL)
                return ARCH_UNWIND_LIBRARY " can't be opened: install libunwind8 (apt-get install libunwind8)";
        if (!look_up(handle))
                return ARCH_UNWIND_LIBRARY " lacks functions: install libunwind 1.6 or later (Debian: libunwind8)";
        space = lib.create_addr_space(&accessors.known, 0);
        return space != NULL ? NULL : ARCH_UNWIND_LIBRARY " can't start: out of memory";
}

int remote_load(const char **why)
{
        int expected = NOT_LOADED;
        if (atomic_compare_exchange_strong(&state, &expected, LOADING)) {
                int saved_errno = errno;
                failure = try_load();
                errno = saved_errno;
                expected = failure == NULL ? READY : FAILED;
                atomic_store(&state, expected);
        }
        if (expected == READY)
                return 0;
        *why = expected == LOADING ? "another thread is loading " ARCH_UNWIND_LIBRARY : failure;
        return expected == LOADING ? -EALREADY : -ENOENT;
}

bool remote_ready(void)
{
        return atomic_load(&state) == READY;
}

void remote_prepare(void)
{
        if (!prepared) {
                lib.set_caching_policy(space, UNW_CACHE_GLOBAL);
                lib.set_cache_size(space, CACHE_FRAMES, 0); /* refused by some builds: then it keeps 128 */
                prepared = true;
        }
        unsigned generation = modules_generation();
        if (generation != seen_generation)
                remote_flush();
        seen_generation = generation;
}

void remote_flush(void)
{
        for (unsigned i = 0; i < FUNCTIONS; i++)
                if (functions[i].pc != 0) /* leave untouched pages untouched */
                        functions[i].pc = 0;
        memory_flush();
        if (prepared && remote_ready())
                lib.flush_cache(space, 0, 0);
}

void remote_after_fork(bool busy)
{
        if (busy && atomic_load(&state) == READY) {
                failure = "the parent was made a copy of while its stacks were unwound, which leaves libunwind locked";
                atomic_store(&state, BROKEN);
                return;
        }
        int expected = LOADING; /* the thread that was loading is not here: the loader itself may be locked */
        if (atomic_compare_exchange_strong(&state, &expected, BROKEN))
                failure = "the parent was made a copy of while it loaded " ARCH_UNWIND_LIBRARY;
}

/* --- walking --- */

bool remote_start(unw_cursor_t *cursor, struct registers *registers)
{
        return lib.init_remote(cursor, space, registers) >= 0;
}

int remote_step(unw_cursor_t *cursor)
{
        int result = lib.step(cursor);
        if (result >= 0)
                return result > 0;
        return result == -UNW_EBADREG ? -ENODATA : -EINVAL;
}

bool remote_register(unw_cursor_t *cursor, unsigned number, uint64_t *value)
{
        unw_word_t word;
        if (lib.get_reg(cursor, (int)number, &word) < 0)
                return false;
        *value = word;
        return true;
}
