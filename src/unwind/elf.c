/* SPDX-License-Identifier: Apache-2.0
 *
 * elf.c - what the agent needs of an ELF object: segments, build-id, function symbols
 *
 * Symbol tables can have a million entries (node: 110,000), so they are read once in pieces for all addresses of a
 * stack together, and never mapped: a file that is truncated meanwhile would kill the host with SIGBUS.
 *
 * Context: watchdog (a static buffer)
 * Limits:  SYMBOL_LIMIT, WORK_LIMIT and others below; allocates nothing
 */
#include "unwind/elf.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#define PAGE 4096ul
#define HEADER_LIMIT 256 /* program headers looked at */
#define HEADERS_A_READ 16
#define SECTION_LIMIT 4096      /* section headers looked at */
#define NOTE_LIMIT 64           /* notes looked at in one segment */
#define DYNAMIC_LIMIT 256       /* entries of PT_DYNAMIC looked at */
#define SYMBOL_LIMIT (2u << 20) /* symbols looked at in one pass */
#define WORK_LIMIT (4u << 20)   /* symbol met query so often in one pass: more only where sizes are nonsense */
#define CHAIN_LIMIT (1u << 20)  /* steps along one chain of DT_GNU_HASH */
#define BUCKET_LIMIT (1u << 20) /* its buckets */
#define SYMBOLS_A_READ 512      /* 12 KB: large enough that the system call costs less than the search */
#define NAME_LOOKUP_LIMIT 64    /* of a symbol that is looked up by its name */
#define TIE_NAME 64             /* bytes compared of two names for the same address */
#define TIE_WORK 256            /* what reading them costs, in the unit of WORK_LIMIT */

static bool read_at(const struct elf_reader *reader, uint64_t offset, void *buffer, size_t length)
{
        return reader->read(reader->context, offset, buffer, length);
}

static uint64_t page_floor(uint64_t address)
{
        return address & ~(PAGE - 1);
}

/* --- header and program headers --- */

static bool header_is_ours(const Elf64_Ehdr *header)
{
        return memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 && header->e_ident[EI_CLASS] == ELFCLASS64 &&
               header->e_ident[EI_DATA] == ELFDATA2LSB && (header->e_type == ET_DYN || header->e_type == ET_EXEC) &&
#if defined(__x86_64__)
               header->e_machine == EM_X86_64 &&
#endif
               header->e_phentsize == sizeof(Elf64_Phdr);
}

static bool add_segment(struct elf_segment *segments, unsigned *count, unsigned limit, const Elf64_Phdr *p)
{
        uint64_t end;
        if (*count == limit || __builtin_add_overflow(p->p_vaddr, p->p_memsz, &end) || end > UINT64_MAX - PAGE)
                return false;
        segments[(*count)++] = (struct elf_segment){
                .address = p->p_vaddr,
                .memory_length = p->p_memsz,
                .offset = p->p_offset,
                .file_length = p->p_filesz,
                .executable = p->p_flags & PF_X,
                .writable = p->p_flags & PF_W,
        };
        return true;
}

static void add_load(struct elf_layout *layout, const Elf64_Phdr *p)
{
        uint64_t low = page_floor(p->p_vaddr);
        if (!add_segment(layout->loads, &layout->load_count, ELF_SEGMENTS, p))
                return;
        uint64_t high = page_floor(p->p_vaddr + p->p_memsz + PAGE - 1);
        if (low < layout->low)
                layout->low = low;
        if (high > layout->high)
                layout->high = high;
        if ((p->p_flags & PF_W) && low < layout->read_only_high)
                layout->read_only_high = low;
        if ((p->p_flags & PF_X) && low < layout->code_low)
                layout->code_low = low;
        if ((p->p_flags & PF_X) && high > layout->code_high)
                layout->code_high = high;
}

static void add_program_header(struct elf_layout *layout, const Elf64_Phdr *p)
{
        switch (p->p_type) {
        case PT_LOAD:
                add_load(layout, p);
                break;
        case PT_NOTE:
                add_segment(layout->notes, &layout->note_count, ELF_NOTES, p);
                break;
        case PT_DYNAMIC:
                layout->dynamic = p->p_vaddr;
                layout->dynamic_length = p->p_memsz;
                break;
        case PT_GNU_EH_FRAME:
                layout->eh_frame_hdr = p->p_vaddr;
                layout->eh_frame_hdr_length = p->p_memsz;
                break;
        default:
                break;
        }
}

/* Several at a time: in memory each read is a system call. */
static bool read_program_headers(const struct elf_reader *reader, uint64_t at, const Elf64_Ehdr *header,
                                 struct elf_layout *layout)
{
        Elf64_Phdr headers[HEADERS_A_READ];
        unsigned count = header->e_phnum < HEADER_LIMIT ? header->e_phnum : HEADER_LIMIT;
        if (header->e_phoff > INT64_MAX)
                return false;
        for (unsigned first = 0, n; first < count; first += n) {
                n = count - first < HEADERS_A_READ ? count - first : HEADERS_A_READ;
                if (!read_at(reader, at + header->e_phoff + first * sizeof(headers[0]), headers,
                             n * sizeof(headers[0])))
                        return false;
                for (unsigned i = 0; i < n; i++)
                        add_program_header(layout, &headers[i]);
        }
        return true;
}

int elf_read_layout(const struct elf_reader *reader, uint64_t at, struct elf_layout *layout)
{
        Elf64_Ehdr header;
        memset(layout, 0, sizeof(*layout));
        if (!read_at(reader, at, &header, sizeof(header)) || !header_is_ours(&header))
                return -EINVAL;
        layout->low = layout->read_only_high = layout->code_low = UINT64_MAX;
        if (!read_program_headers(reader, at, &header, layout))
                return -EINVAL;
        if (layout->load_count == 0)
                return -EINVAL;
        if (layout->read_only_high > layout->high)
                layout->read_only_high = layout->high;
        if (header.e_shentsize == sizeof(Elf64_Shdr)) {
                layout->sections = header.e_shoff;
                layout->section_count = header.e_shnum;
        }
        return 0;
}

/* --- build-id --- */

static void to_hexadecimal(const uint8_t *bytes, size_t length, char text[ELF_BUILD_ID_TEXT])
{
        static const char digits[] = "0123456789abcdef";
        size_t used = 0;
        for (size_t i = 0; i < length && used + 2 < ELF_BUILD_ID_TEXT; i++) {
                text[used++] = digits[bytes[i] >> 4];
                text[used++] = digits[bytes[i] & 15];
        }
        text[used] = '\0';
}

/* Look through the notes in [offset, offset + length) for the build-id. */
static bool find_build_id(const struct elf_reader *reader, uint64_t offset, uint64_t length,
                          char text[ELF_BUILD_ID_TEXT])
{
        uint64_t used = 0;
        for (unsigned i = 0; i < NOTE_LIMIT; i++) {
                Elf64_Nhdr note;
                char name[4];
                uint8_t id[ELF_BUILD_ID_TEXT / 2];
                if (used > length || length - used < sizeof(note) ||
                    !read_at(reader, offset + used, &note, sizeof(note)))
                        return false;
                used += sizeof(note);
                uint64_t description = used + (((uint64_t)note.n_namesz + 3) & ~3ul);
                size_t size = note.n_descsz < sizeof(id) ? note.n_descsz : sizeof(id);
                if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof(name) && size > 0 &&
                    read_at(reader, offset + used, name, sizeof(name)) && memcmp(name, "GNU", sizeof(name)) == 0 &&
                    description <= length && size <= length - description &&
                    read_at(reader, offset + description, id, size)) {
                        to_hexadecimal(id, size, text);
                        return true;
                }
                used = description + (((uint64_t)note.n_descsz + 3) & ~3ul);
        }
        return false;
}

bool elf_file_build_id(const struct elf_reader *reader, const struct elf_layout *layout, char text[ELF_BUILD_ID_TEXT])
{
        text[0] = '\0';
        for (unsigned i = 0; i < layout->note_count; i++)
                if (find_build_id(reader, layout->notes[i].offset, layout->notes[i].file_length, text))
                        return true;
        return false;
}

bool elf_image_build_id(const struct elf_reader *reader, const struct elf_layout *layout, uint64_t bias,
                        char text[ELF_BUILD_ID_TEXT])
{
        text[0] = '\0';
        for (unsigned i = 0; i < layout->note_count; i++)
                if (find_build_id(reader, bias + layout->notes[i].address, layout->notes[i].memory_length, text))
                        return true;
        return false;
}

/* --- finding a symbol table --- */

static bool read_section(const struct elf_reader *reader, const struct elf_layout *layout, unsigned index,
                         Elf64_Shdr *section)
{
        if (layout->sections == 0 || layout->sections > INT64_MAX || index >= layout->section_count)
                return false;
        return read_at(reader, layout->sections + (uint64_t)index * sizeof(*section), section, sizeof(*section));
}

int elf_file_symbols(const struct elf_reader *reader, const struct elf_layout *layout, enum elf_table which,
                     struct elf_symbols *symbols)
{
        for (unsigned i = 0; i < layout->section_count && i < SECTION_LIMIT; i++) {
                Elf64_Shdr table, strings;
                if (!read_section(reader, layout, i, &table))
                        return -ENOENT;
                if (table.sh_type != (which == ELF_SYMTAB ? SHT_SYMTAB : SHT_DYNSYM))
                        continue;
                if (table.sh_entsize != sizeof(Elf64_Sym) || !read_section(reader, layout, table.sh_link, &strings) ||
                    strings.sh_type != SHT_STRTAB)
                        return -ENOENT;
                *symbols = (struct elf_symbols){
                        .symbols = table.sh_offset,
                        .count = table.sh_size / sizeof(Elf64_Sym),
                        .strings = strings.sh_offset,
                        .strings_length = strings.sh_size,
                };
                return 0;
        }
        return -ENOENT;
}

/* glibc adds the bias to the pointers of PT_DYNAMIC in place, but not in the vdso, and musl never does. */
static uint64_t dynamic_pointer(const struct elf_layout *layout, uint64_t bias, uint64_t value)
{
        return value >= layout->low && value < layout->high && value < bias + layout->low ? value + bias : value;
}

/* One more than the largest symbol index that DT_GNU_HASH knows; 0: not readable. */
static uint64_t gnu_hash_count(const struct elf_reader *reader, uint64_t table)
{
        uint32_t header[4]; /* buckets, first hashed symbol, words of the bloom filter, shift */
        uint32_t last = 0;
        if (!read_at(reader, table, header, sizeof(header)) || header[0] > BUCKET_LIMIT)
                return 0;
        uint64_t buckets = table + sizeof(header) + 8ul * header[2];
        for (uint32_t i = 0; i < header[0]; i++) {
                uint32_t bucket;
                if (!read_at(reader, buckets + 4ul * i, &bucket, sizeof(bucket)))
                        return 0;
                if (bucket > last)
                        last = bucket;
        }
        if (last < header[1])
                return header[1];
        uint64_t chains = buckets + 4ul * header[0];
        for (unsigned i = 0; i < CHAIN_LIMIT; i++) {
                uint32_t hash;
                if (!read_at(reader, chains + 4ul * (last - header[1]), &hash, sizeof(hash)))
                        return 0;
                last++;
                if (hash & 1)
                        break;
        }
        return last;
}

/* What PT_DYNAMIC says of the symbols. */
struct dynamic {
        uint64_t symbols, strings, strings_length, entry_size, hash, gnu_hash;
};

static void read_dynamic(const struct elf_reader *reader, const struct elf_layout *layout, uint64_t bias,
                         struct dynamic *dynamic)
{
        *dynamic = (struct dynamic){ .entry_size = sizeof(Elf64_Sym) };
        for (unsigned i = 0; i < DYNAMIC_LIMIT && i < layout->dynamic_length / sizeof(Elf64_Dyn); i++) {
                Elf64_Dyn entry;
                if (!read_at(reader, bias + layout->dynamic + i * sizeof(entry), &entry, sizeof(entry)) ||
                    entry.d_tag == DT_NULL)
                        break;
                if (entry.d_tag == DT_SYMTAB)
                        dynamic->symbols = dynamic_pointer(layout, bias, entry.d_un.d_ptr);
                else if (entry.d_tag == DT_STRTAB)
                        dynamic->strings = dynamic_pointer(layout, bias, entry.d_un.d_ptr);
                else if (entry.d_tag == DT_STRSZ)
                        dynamic->strings_length = entry.d_un.d_val;
                else if (entry.d_tag == DT_SYMENT)
                        dynamic->entry_size = entry.d_un.d_val;
                else if (entry.d_tag == DT_HASH)
                        dynamic->hash = dynamic_pointer(layout, bias, entry.d_un.d_ptr);
                else if (entry.d_tag == DT_GNU_HASH)
                        dynamic->gnu_hash = dynamic_pointer(layout, bias, entry.d_un.d_ptr);
        }
}

int elf_image_symbols(const struct elf_reader *reader, const struct elf_layout *layout, uint64_t bias,
                      struct elf_symbols *symbols)
{
        struct dynamic dynamic;
        uint32_t header[2]; /* of DT_HASH: buckets, chains; there is a chain for each symbol */
        read_dynamic(reader, layout, bias, &dynamic);
        *symbols = (struct elf_symbols){ .symbols = dynamic.symbols,
                                         .strings = dynamic.strings,
                                         .strings_length = dynamic.strings_length };
        if (dynamic.hash != 0 && read_at(reader, dynamic.hash, header, sizeof(header)))
                symbols->count = header[1];
        else if (dynamic.gnu_hash != 0)
                symbols->count = gnu_hash_count(reader, dynamic.gnu_hash);
        bool whole = symbols->symbols != 0 && symbols->strings != 0 && symbols->count > 0;
        return whole && dynamic.entry_size == sizeof(Elf64_Sym) ? 0 : -ENOENT;
}

/* --- looking a name up --- */

static uint32_t gnu_hash_of(const char *name)
{
        uint32_t hash = 5381;
        for (; *name != '\0'; name++)
                hash = hash * 33 + (unsigned char)*name;
        return hash;
}

/* Is the symbol with this index defined and of this name? Its address, or 0. */
static uint64_t symbol_if_named(const struct elf_reader *reader, const struct dynamic *dynamic, uint64_t index,
                                const char *name)
{
        Elf64_Sym symbol;
        char found[NAME_LOOKUP_LIMIT];
        size_t length = strlen(name) + 1;
        if (!read_at(reader, dynamic->symbols + index * sizeof(symbol), &symbol, sizeof(symbol)) ||
            symbol.st_shndx == SHN_UNDEF || symbol.st_name >= dynamic->strings_length || length > sizeof(found))
                return 0;
        bool same =
                read_at(reader, dynamic->strings + symbol.st_name, found, length) && memcmp(found, name, length) == 0;
        return same ? symbol.st_value : 0;
}

uint64_t elf_image_symbol(const struct elf_reader *reader, const struct elf_layout *layout, uint64_t bias,
                          const char *name)
{
        struct dynamic dynamic;
        uint32_t header[4], wanted = gnu_hash_of(name), index, hash; /* as in gnu_hash_count() */
        read_dynamic(reader, layout, bias, &dynamic);
        if (dynamic.gnu_hash == 0 || dynamic.symbols == 0 || dynamic.strings == 0 ||
            !read_at(reader, dynamic.gnu_hash, header, sizeof(header)) || header[0] == 0 || header[0] > BUCKET_LIMIT)
                return 0;
        uint64_t buckets = dynamic.gnu_hash + sizeof(header) + 8ul * header[2];
        uint64_t chains = buckets + 4ul * header[0];
        if (!read_at(reader, buckets + 4ul * (wanted % header[0]), &index, sizeof(index)) || index < header[1])
                return 0;
        for (unsigned i = 0; i < CHAIN_LIMIT; i++, index++) {
                if (!read_at(reader, chains + 4ul * (index - header[1]), &hash, sizeof(hash)))
                        return 0;
                uint64_t value = (hash | 1) == (wanted | 1) ? symbol_if_named(reader, &dynamic, index, name) : 0;
                if (value != 0 || (hash & 1))
                        return value;
        }
        return 0;
}

/* --- looking addresses up --- */

/* The first query at or above `address`. */
static size_t first_query(const struct elf_query *queries, size_t count, uint64_t address)
{
        size_t low = 0;
        while (count > 0) {
                size_t half = count / 2;
                if (queries[low + half].address < address) {
                        low += half + 1;
                        count -= half + 1;
                } else {
                        count = half;
                }
        }
        return low;
}

void elf_file_query_sections(const struct elf_reader *reader, const struct elf_layout *layout,
                             struct elf_query *queries, size_t count)
{
        for (unsigned i = 1; i < layout->section_count && i < SECTION_LIMIT; i++) {
                Elf64_Shdr section;
                if (!read_section(reader, layout, i, &section))
                        return;
                if (!(section.sh_flags & SHF_EXECINSTR))
                        continue;
                for (size_t q = first_query(queries, count, section.sh_addr); q < count; q++) {
                        if (queries[q].address - section.sh_addr >= section.sh_size)
                                break;
                        if (queries[q].low == 0) {
                                queries[q].low = section.sh_addr;
                                queries[q].section = (uint16_t)i;
                        }
                }
        }
}

size_t elf_symbol_name(const struct elf_reader *reader, const struct elf_symbols *symbols, uint32_t name, char *buffer,
                       size_t capacity)
{
        size_t used = 0;
        buffer[0] = '\0';
        if (name >= symbols->strings_length)
                return 0;
        uint64_t available = symbols->strings_length - name;
        while (used + 1 < capacity && used < available) {
                /* In pieces that halve where they reach beyond what can be read: names end anywhere. */
                size_t piece = capacity - 1 - used;
                if (piece > available - used)
                        piece = (size_t)(available - used);
                while (piece > 0 && !read_at(reader, symbols->strings + name + used, buffer + used, piece))
                        piece /= 2;
                if (piece == 0)
                        break;
                size_t length = strnlen(buffer + used, piece);
                used += length;
                if (length < piece)
                        break;
        }
        buffer[used] = '\0';
        return used;
}

/* Of two names for the same place people mean the one that looks less internal: poll, not __poll. */
static bool nicer_name(const struct elf_reader *reader, const struct elf_symbols *symbols, uint32_t a, uint32_t b)
{
        char first[TIE_NAME], second[TIE_NAME];
        if (elf_symbol_name(reader, symbols, a, first, sizeof(first)) == 0)
                return false;
        if (elf_symbol_name(reader, symbols, b, second, sizeof(second)) == 0)
                return true;
        size_t underscores = strspn(first, "_"), others = strspn(second, "_");
        if (underscores != others)
                return underscores < others;
        size_t length = strlen(first), other_length = strlen(second);
        return length != other_length ? length < other_length : strcmp(first, second) < 0;
}

static bool better(const struct elf_reader *reader, const struct elf_symbols *symbols, const Elf64_Sym *symbol,
                   const struct elf_query *query, unsigned *work)
{
        if (!query->found)
                return true;
        if ((symbol->st_size != 0) != (query->length != 0))
                return symbol->st_size != 0;
        if (symbol->st_value != query->value)
                return symbol->st_value > query->value;
        bool local = ELF64_ST_BIND(symbol->st_info) == STB_LOCAL;
        if (local != query->local)
                return query->local;
        if (symbol->st_name == query->name)
                return false;
        *work += TIE_WORK;
        return nicer_name(reader, symbols, symbol->st_name, query->name);
}

static bool applies(const Elf64_Sym *symbol, const struct elf_query *query)
{
        if (symbol->st_size != 0)
                return query->address - symbol->st_value < symbol->st_size;
        return query->low != 0 && symbol->st_value >= query->low &&
               (query->section == 0 || query->section == symbol->st_shndx);
}

static bool is_function(const Elf64_Sym *symbol)
{
        unsigned type = ELF64_ST_TYPE(symbol->st_info);
        return symbol->st_shndx != SHN_UNDEF && symbol->st_name != 0 && symbol->st_value != 0 &&
               (type == STT_FUNC || type == STT_GNU_IFUNC);
}

/* Offer one symbol to the queries at or above it; returns the work done. */
static unsigned offer(const struct elf_reader *reader, const struct elf_symbols *symbols, const Elf64_Sym *symbol,
                      struct elf_query *queries, size_t count)
{
        unsigned work = 0;
        for (size_t i = first_query(queries, count, symbol->st_value); i < count; i++, work++) {
                struct elf_query *query = &queries[i];
                if (symbol->st_size != 0 && !applies(symbol, query))
                        break;
                if (symbol->st_size == 0 && query->low > symbol->st_value)
                        break; /* the next function, and all after it */
                if (!applies(symbol, query) || !better(reader, symbols, symbol, query, &work))
                        continue;
                query->found = true;
                query->local = ELF64_ST_BIND(symbol->st_info) == STB_LOCAL;
                query->value = symbol->st_value;
                query->length = symbol->st_size;
                query->name = symbol->st_name;
        }
        return work;
}

bool elf_symbols_scan(const struct elf_reader *reader, const struct elf_symbols *symbols, struct elf_query *queries,
                      size_t count)
{
        static Elf64_Sym buffer[SYMBOLS_A_READ];
        uint64_t work = 0;
        uint64_t total = symbols->count < SYMBOL_LIMIT ? symbols->count : SYMBOL_LIMIT;
        if (symbols->symbols > INT64_MAX || count == 0)
                return false;
        for (uint64_t first = 0; first < total; first += SYMBOLS_A_READ) {
                uint64_t n = total - first < SYMBOLS_A_READ ? total - first : SYMBOLS_A_READ;
                if (!read_at(reader, symbols->symbols + first * sizeof(Elf64_Sym), buffer, n * sizeof(Elf64_Sym)))
                        return false;
                for (uint64_t i = 0; i < n && work <= WORK_LIMIT; i++)
                        if (is_function(&buffer[i]))
                                work += offer(reader, symbols, &buffer[i], queries, count);
                if (work > WORK_LIMIT)
                        return false;
        }
        return total == symbols->count;
}
