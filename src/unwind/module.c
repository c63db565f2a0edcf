/* SPDX-License-Identifier: Apache-2.0
 *
 * module.c - the ELF objects mapped into this process
 *
 * Two tables. `modules` holds every object ever seen and is only appended to, because stacks refer to it by index.
 * `ranges` says what is mapped now, JIT code included, and is made anew from /proc/self/maps when an address is not in
 * it, the host said that it unloaded something, or the loader's own view differs: _dl_find_object takes 6 ns and no
 * lock, so it is asked each time and finds what no hook can see (a dlclose inside libc). An address that nobody knows,
 * as in code that a JIT has just written, makes maps be read again only now and then.
 *
 * Context: watchdog, except modules_load() and modules_note_change()
 * Limits:  LIMIT_MODULES objects, RANGES mappings, PATH_BYTES of paths; beyond them frames have no module
 */
#include "unwind/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/notice.h"
#include "base/proc.h"
#include "unwind/elf.h"
#include "unwind/maps.h"
#include "unwind/stack.h"

#define PAGE 4096ul
#define RANGES (2 * LIMIT_MODULES)
#define PATH_BYTES (128 * 1024)
#define PATH_LONGEST 4096
#define UNKNOWN_PAUSE_NS 10000000u   /* an address that nobody knows: at least so long between readings of maps, */
#define UNKNOWN_PAUSE_COST 20        /* and so many times as long as the last one took */
#define FAILURE_PAUSE_NS 1000000000u /* after maps could not be opened */

_Static_assert(sizeof(((struct module *)0)->build_id) == ELF_BUILD_ID_TEXT, "one length of build-ids");
_Static_assert(LIMIT_MODULES < MODULE_NONE, "an index fits");

struct range {
        uint64_t start, end;
        uint64_t loader_start; /* what the loader said of `start` when maps was read; 0: it does not know it */
        uint16_t module;       /* MODULE_NONE: executable memory of no ELF object */
};

static struct module modules[LIMIT_MODULES];
static _Atomic unsigned module_count;
static char paths[PATH_BYTES];
static size_t path_bytes;

static struct range ranges[RANGES];
static unsigned range_count;
static bool ranges_known; /* maps was read at least once */
static unsigned ranges_generation;
static uint64_t next_unknown_ns, next_new_ns; /* maps is not read before then, for the two kinds of reasons */

static _Atomic unsigned generation;
static unsigned reported_generation;

#ifdef DLFO_STRUCT_HAS_EH_DBASE
static int (*_Atomic find_object)(void *address, struct dl_find_object *result);
#endif

/* --- the loader's view --- */

void modules_load(void)
{
#ifdef DLFO_STRUCT_HAS_EH_DBASE
        int (*found)(void *, struct dl_find_object *);
        *(void **)&found = dlsym(RTLD_DEFAULT, "_dl_find_object");
        atomic_store(&find_object, found);
#endif
}

/* Where the object at `address` begins, or 0 where the loader has none there or can't be asked. */
static uint64_t loader_start(uint64_t address, uint64_t *eh_frame_hdr)
{
#ifdef DLFO_STRUCT_HAS_EH_DBASE
        struct dl_find_object object;
        int (*find)(void *, struct dl_find_object *) = atomic_load(&find_object);
        if (find != NULL && find((void *)(uintptr_t)address, &object) == 0) {
                *eh_frame_hdr = (uintptr_t)object.dlfo_eh_frame;
                return (uintptr_t)object.dlfo_map_start;
        }
#endif
        *eh_frame_hdr = 0;
        return 0;
}

/* --- the table of all objects --- */

static const char *keep_path(const char *path)
{
        unsigned count = atomic_load(&module_count);
        for (unsigned i = 0; i < count; i++)
                if (strcmp(modules[i].path, path) == 0)
                        return modules[i].path;
        size_t length = strlen(path) + 1;
        if (length > sizeof(paths) - path_bytes)
                return NULL;
        char *kept = memcpy(paths + path_bytes, path, length);
        path_bytes += length;
        return kept;
}

static bool same_object(const struct module *a, const struct module *b)
{
        return a->start == b->start && a->end == b->end && a->bias == b->bias &&
               strcmp(a->build_id, b->build_id) == 0 && strcmp(a->path, b->path) == 0;
}

/* The index of this object, old or new. Only `deleted` of an old entry may change, and only to true. */
static uint16_t enter_module(const struct module *found)
{
        unsigned count = atomic_load(&module_count);
        for (unsigned i = 0; i < count; i++) {
                if (same_object(&modules[i], found)) {
                        modules[i].deleted |= found->deleted;
                        return (uint16_t)i;
                }
        }
        const char *path = count < LIMIT_MODULES ? keep_path(found->path) : NULL;
        if (path == NULL) {
                notice("more than %d objects were loaded: frames in further ones have no module", LIMIT_MODULES);
                return MODULE_NONE;
        }
        const char *slash = strrchr(path, '/');
        modules[count] = *found;
        modules[count].path = path;
        modules[count].name = slash != NULL ? slash + 1 : path;
        atomic_store(&module_count, count + 1); /* last: a forked child may find it half done */
        return (uint16_t)count;
}

/* --- reading maps --- */

/* Reads of the page that holds nearly always all that is wanted of an object are served by one system call. */
static struct {
        uint64_t address; /* 0: none */
        uint8_t bytes[PAGE];
} first_page;

static bool read_object(void *context, uint64_t address, void *buffer, size_t length)
{
        uint64_t within = address - first_page.address;
        if (first_page.address != 0 && within < PAGE && length <= PAGE - within) {
                memcpy(buffer, first_page.bytes + within, length);
                return true;
        }
        return memory_get_sigsafe(address, buffer, length);
}

static const struct elf_reader object_reader = { .read = read_object };

/* The last mapping from the start of a file: perhaps the header of an object. It is looked at only when executable
 * code of the same file follows, so that the host's mapped data files are left alone. */
static struct {
        uint64_t start;
        uint64_t inode;
        uint32_t device_major, device_minor;
        bool valid, examined, is_object, entered, deleted;
        uint64_t bias;
        struct elf_layout layout;
        char path[PATH_LONGEST];
} candidate;

static void insert_range(const struct range *new)
{
        unsigned i = range_count;
        if (range_count == RANGES)
                return;
        for (; i > 0 && ranges[i - 1].start > new->start; i--)
                ranges[i] = ranges[i - 1];
        ranges[i] = *new;
        range_count++;
}

static void add_anonymous_code(const struct mapping *mapping)
{
        struct range *last = range_count > 0 ? &ranges[range_count - 1] : NULL;
        if (last != NULL && last->module == MODULE_NONE && (last->end == mapping->start || range_count == RANGES)) {
                last->end = mapping->end;
                return;
        }
        insert_range(&(struct range){ .start = mapping->start, .end = mapping->end, .module = MODULE_NONE });
}

static void begin_candidate(const struct mapping *mapping)
{
        size_t length = strlen(mapping->path);
        candidate.valid = length < sizeof(candidate.path);
        if (!candidate.valid)
                return;
        memcpy(candidate.path, mapping->path, length + 1);
        candidate.start = mapping->start;
        candidate.inode = mapping->inode;
        candidate.device_major = mapping->device_major;
        candidate.device_minor = mapping->device_minor;
        candidate.deleted = mapping->deleted;
        candidate.examined = candidate.is_object = candidate.entered = false;
}

static void examine_candidate(void)
{
        candidate.examined = true;
        first_page.address = 0;
        if (!memory_get_sigsafe(candidate.start, first_page.bytes, PAGE))
                return;
        first_page.address = candidate.start;
        if (elf_read_layout(&object_reader, candidate.start, &candidate.layout) < 0)
                return;
        const struct elf_segment *first = &candidate.layout.loads[0];
        candidate.bias = candidate.start - (first->address - first->offset);
        candidate.is_object = candidate.bias % PAGE == 0 && first->offset < PAGE;
}

static bool same_file(const struct mapping *mapping)
{
        return candidate.valid && mapping->inode == candidate.inode &&
               mapping->device_major == candidate.device_major && mapping->device_minor == candidate.device_minor;
}

/* Does the mapping lie in the candidate's segments, at the place where its file belongs? Mappings without a file are
 * its .bss, or its code moved into huge pages. */
static bool belongs_to_candidate(const struct mapping *mapping)
{
        if (!candidate.is_object)
                return false;
        for (unsigned i = 0; i < candidate.layout.load_count; i++) {
                const struct elf_segment *load = &candidate.layout.loads[i];
                uint64_t start = (candidate.bias + load->address) & ~(PAGE - 1);
                if (mapping->start < start || mapping->start >= candidate.bias + load->address + load->memory_length)
                        continue;
                if (mapping->inode == 0 ||
                    (same_file(mapping) && mapping->start - mapping->offset == start - (load->offset & ~(PAGE - 1))))
                        return true;
        }
        return false;
}

static void enter_candidate(void)
{
        const struct elf_layout *layout = &candidate.layout;
        if (candidate.entered)
                return;
        candidate.entered = true;
        struct module module = {
                .path = candidate.path,
                .deleted = candidate.deleted,
                .start = candidate.bias + layout->low,
                .end = candidate.bias + layout->high,
                .bias = candidate.bias,
                .read_only_end = candidate.bias + layout->read_only_high,
                .code_start = candidate.bias + layout->code_low,
                .code_end = candidate.bias + layout->code_high,
                .eh_frame_hdr = layout->eh_frame_hdr != 0 ? candidate.bias + layout->eh_frame_hdr : 0,
                .eh_frame_hdr_length = layout->eh_frame_hdr_length,
        };
        elf_image_build_id(&object_reader, layout, candidate.bias, module.build_id);
        struct range range = { .start = module.start, .end = module.end, .module = enter_module(&module) };
        uint64_t unused;
        range.loader_start = loader_start(range.start, &unused);
        insert_range(&range);
}

/* The candidate is examined at the first code that may be its own: of the same file, or where the loader says that an
 * object begins at the candidate. */
static bool is_of_candidate(const struct mapping *mapping)
{
        uint64_t unused;
        if (!candidate.valid)
                return false;
        if (!candidate.examined) {
                if (!mapping->executable ||
                    !(same_file(mapping) || loader_start(mapping->start, &unused) == candidate.start))
                        return false;
                examine_candidate();
        }
        return belongs_to_candidate(mapping);
}

/* Called for each line of maps in order of addresses. */
static void each_mapping(const struct mapping *mapping, void *context)
{
        if (!mapping->readable && !mapping->executable)
                return;
        if (!is_of_candidate(mapping)) {
                if (mapping->offset == 0 && (mapping->path[0] == '/' || strcmp(mapping->path, "[vdso]") == 0))
                        begin_candidate(mapping);
                if (!mapping->executable)
                        return;
                if (!is_of_candidate(mapping)) {
                        add_anonymous_code(mapping);
                        return;
                }
        }
        if (mapping->executable)
                enter_candidate();
}

static void read_maps(void)
{
        uint64_t begin_ns = clock_now_ns();
        unsigned seen = atomic_load(&generation);
        int fd = proc_open_maps();
        if (fd < 0) {
                next_unknown_ns = next_new_ns = begin_ns + FAILURE_PAUSE_NS;
                return;
        }
        range_count = 0;
        candidate.valid = candidate.examined = false;
        ranges_known = maps_read(fd, each_mapping, NULL) == 0;
        descriptor_close(fd);
        ranges_generation = seen;
        uint64_t end_ns = clock_now_ns();
        next_unknown_ns = end_ns + UNKNOWN_PAUSE_COST * (end_ns - begin_ns);
        if (next_unknown_ns < end_ns + UNKNOWN_PAUSE_NS)
                next_unknown_ns = end_ns + UNKNOWN_PAUSE_NS;
}

/* --- looking addresses up --- */

/* The range that holds `address`, as maps said when it was read. */
static const struct range *find_range(uint64_t address)
{
        unsigned low = 0, high = range_count;
        while (low < high) {
                unsigned middle = low + (high - low) / 2;
                if (ranges[middle].start <= address)
                        low = middle + 1;
                else
                        high = middle;
        }
        return low > 0 && address < ranges[low - 1].end ? &ranges[low - 1] : NULL;
}

/* Does the loader still say the same of this range? */
static bool still_true(const struct range *range, uint64_t address)
{
        uint64_t unused;
        return loader_start(range->module == MODULE_NONE ? address : range->start, &unused) == range->loader_start;
}

/* The range that holds `address` now, after reading maps again where that is due. */
static const struct range *current_range(uint64_t address)
{
        uint64_t unused;
        const struct range *range = find_range(address);
        bool known = range != NULL && still_true(range, address);
        bool changed = ranges_generation != atomic_load(&generation);
        if (known && !changed)
                return range;
        if (range != NULL && !known && !changed)
                modules_note_change(); /* unloaded behind the back of our hook: caches must go too */
        bool new = changed || range != NULL || loader_start(address, &unused) != 0 || !ranges_known;
        if (clock_now_ns() < (new ? next_new_ns : next_unknown_ns))
                return known ? range : NULL;
        read_maps();
        range = find_range(address);
        if (new && !changed && (range == NULL || !still_true(range, address)))
                next_new_ns = next_unknown_ns; /* gone again, or beyond our tables */
        return range;
}

uint16_t module_find(uint64_t address)
{
        const struct range *range = current_range(address);
        return range != NULL ? range->module : MODULE_NONE;
}

uint16_t module_known(uint64_t address)
{
        const struct range *range = find_range(address);
        return range != NULL ? range->module : MODULE_NONE;
}

/* `range` holds the address, or is NULL where maps has nothing there. */
static bool is_code(const struct range *range, uint64_t address)
{
        uint64_t unused;
        if (range == NULL)
                return loader_start(address, &unused) != 0; /* maps can't be read, or not yet again */
        if (range->module == MODULE_NONE)
                return true;
        return address >= modules[range->module].code_start && address < modules[range->module].code_end;
}

bool module_is_code(uint64_t address)
{
        return is_code(current_range(address), address);
}

bool module_code_known(uint64_t address)
{
        return is_code(find_range(address), address);
}

uint64_t module_eh_frame_hdr(uint64_t address)
{
        uint64_t header;
        if (loader_start(address, &header) != 0 && header != 0)
                return header;
        uint16_t index = module_known(address);
        return index == MODULE_NONE ? 0 : modules[index].eh_frame_hdr;
}

const struct module *module_get(uint16_t index)
{
        return index < atomic_load(&module_count) ? &modules[index] : NULL;
}

unsigned modules_count(void)
{
        return atomic_load(&module_count);
}

uint64_t module_symbol(const struct module *module, const char *name)
{
        static struct elf_layout layout;
        if (elf_read_layout(&object_reader, module->start, &layout) < 0)
                return 0;
        uint64_t value = elf_image_symbol(&object_reader, &layout, module->bias, name);
        return value != 0 ? module->bias + value : 0;
}

uint64_t module_offset(const struct module *module, uint64_t address)
{
        return address - module->bias;
}

/* --- changes --- */

void modules_note_change(void)
{
        atomic_fetch_add(&generation, 1);
}

unsigned modules_generation(void)
{
        return atomic_load(&generation);
}

bool modules_changed(void)
{
        unsigned now = atomic_load(&generation);
        bool changed = now != reported_generation;
        reported_generation = now;
        return changed;
}

void modules_after_fork(void)
{
        range_count = 0;
        ranges_known = false;
        next_unknown_ns = next_new_ns = 0;
        candidate.valid = false;
}
