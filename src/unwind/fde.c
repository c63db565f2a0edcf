/* SPDX-License-Identifier: Apache-2.0
 *
 * fde.c - which function an address belongs to, by .eh_frame_hdr
 *
 * Context: watchdog
 * Limits:  allocates nothing; the work is bounded by the logarithm of the table's size and by AUGMENTATION
 */
#include "unwind/fde.h"

#include <errno.h>
#include <string.h>

/* The four bytes at the start of .eh_frame_hdr: version, and how its pointer, its count and its table are encoded. */
static const uint8_t known_header[4] = { 1, 0x1b, 0x03, 0x3b };

#define TABLE 12 /* its offset in the header */
#define ENTRY 8  /* two signed 32-bit offsets from the header: function, FDE */
#define COUNT_LIMIT (1u << 26)
#define AUGMENTATION 8  /* letters of a CIE's augmentation string */
#define LEB128_LIMIT 10 /* bytes of a number */

/* DW_EH_PE_*: how a pointer in an FDE is written. */
#define ENCODING_SIZE 0x0f
#define ENCODING_ABSOLUTE 0x00

/* Reads bytes one after the other; the first failure is remembered, so that it is tested once at the end. */
struct bytes {
        const struct elf_reader *reader;
        uint64_t at;
        bool failed;
};

static void take(struct bytes *bytes, void *buffer, size_t length)
{
        if (bytes->failed || !bytes->reader->read(bytes->reader->context, bytes->at, buffer, length)) {
                bytes->failed = true;
                memset(buffer, 0, length);
        }
        bytes->at += length;
}

static uint8_t take_u8(struct bytes *bytes)
{
        uint8_t value;
        take(bytes, &value, sizeof(value));
        return value;
}

static uint32_t take_u32(struct bytes *bytes)
{
        uint32_t value;
        take(bytes, &value, sizeof(value));
        return value;
}

static uint64_t take_leb128(struct bytes *bytes)
{
        uint64_t value = 0;
        for (unsigned i = 0; i < LEB128_LIMIT; i++) {
                uint8_t byte = take_u8(bytes);
                if (i < 9)
                        value |= (uint64_t)(byte & 0x7f) << (7 * i);
                if (!(byte & 0x80))
                        return value;
        }
        bytes->failed = true;
        return 0;
}

/* Bytes of a pointer with this encoding; 0: variable or unknown. */
static size_t pointer_size(uint8_t encoding)
{
        switch (encoding & ENCODING_SIZE) {
        case 0x00:
        case 0x04:
        case 0x0c:
                return 8;
        case 0x03:
        case 0x0b:
                return 4;
        case 0x02:
        case 0x0a:
                return 2;
        default:
                return 0;
        }
}

/* Read what is wanted of the common part of FDEs: how their pointers are encoded, whether they are signal frames. */
static bool read_cie(struct bytes *bytes, uint8_t *encoding, bool *signal_frame)
{
        char letters[AUGMENTATION + 1];
        *encoding = ENCODING_ABSOLUTE;
        *signal_frame = false;
        uint32_t length = take_u32(bytes);
        uint32_t id = take_u32(bytes);
        uint8_t version = take_u8(bytes);
        if (length == 0 || length == UINT32_MAX || id != 0 || (version != 1 && version != 3))
                return false;
        for (unsigned i = 0;; i++) {
                if (i == sizeof(letters))
                        return false;
                letters[i] = (char)take_u8(bytes);
                if (letters[i] == '\0')
                        break;
        }
        take_leb128(bytes); /* code alignment */
        take_leb128(bytes); /* data alignment */
        if (version == 1)
                take_u8(bytes); /* return address column */
        else
                take_leb128(bytes);
        if (letters[0] == 'z')
                take_leb128(bytes); /* length of the augmentation */
        for (const char *letter = letters[0] == 'z' ? letters + 1 : letters; *letter != '\0'; letter++) {
                if (*letter == 'R')
                        *encoding = take_u8(bytes);
                else if (*letter == 'L')
                        take_u8(bytes);
                else if (*letter == 'P')
                        bytes->at += pointer_size(take_u8(bytes)); /* personality routine */
                else if (*letter == 'S')
                        *signal_frame = true;
                else
                        return false;
        }
        return !bytes->failed;
}

/* Complete `fde` from the entry at `address`: how long the function is. */
static int read_fde(const struct elf_reader *reader, uint64_t address, struct fde *fde)
{
        struct bytes bytes = { .reader = reader, .at = address };
        uint32_t length = take_u32(&bytes);
        uint64_t cie_pointer_at = bytes.at;
        uint32_t cie_pointer = take_u32(&bytes);
        if (bytes.failed || length == 0 || length == UINT32_MAX || cie_pointer == 0)
                return -EINVAL;
        struct bytes cie = { .reader = reader, .at = cie_pointer_at - cie_pointer };
        uint8_t encoding;
        if (!read_cie(&cie, &encoding, &fde->signal_frame))
                return -EINVAL;
        size_t size = pointer_size(encoding);
        if (size == 0)
                return -EINVAL;
        uint64_t range = 0;
        bytes.at += size; /* the start: the table said it already */
        take(&bytes, &range, size);
        if (bytes.failed || __builtin_add_overflow(fde->start, range, &fde->end))
                return -EINVAL;
        return 0;
}

/* The last entry of the table that begins at or below `pc`. */
static int search_table(const struct elf_reader *reader, uint64_t header, uint32_t count, uint64_t pc, int32_t found[2])
{
        uint32_t low = 0, high = count;
        while (low < high) {
                uint32_t middle = low + (high - low) / 2;
                int32_t entry[2];
                if (!reader->read(reader->context, header + TABLE + (uint64_t)middle * ENTRY, entry, sizeof(entry)))
                        return -EINVAL;
                if ((int64_t)(pc - header) < entry[0]) {
                        high = middle;
                } else {
                        memcpy(found, entry, sizeof(entry));
                        low = middle + 1;
                }
        }
        return low == 0 ? -ENOENT : (int)(low - 1);
}

int fde_find(const struct elf_reader *reader, uint64_t header, uint64_t pc, struct fde *fde)
{
        struct {
                uint8_t known[4];
                int32_t eh_frame;
                uint32_t count;
        } start;
        int32_t entry[2] = { 0, 0 };
        if (!reader->read(reader->context, header, &start, sizeof(start)) ||
            memcmp(start.known, known_header, sizeof(known_header)) != 0 || start.count > COUNT_LIMIT)
                return -EINVAL;
        int index = search_table(reader, header, start.count, pc, entry);
        if (index < 0)
                return index;
        fde->start = header + (uint64_t)(int64_t)entry[0];
        fde->entry = header + TABLE + (uint64_t)index * ENTRY;
        int result = read_fde(reader, header + (uint64_t)(int64_t)entry[1], fde);
        if (result < 0)
                return result;
        return pc - fde->start < fde->end - fde->start ? 0 : -ENOENT;
}
