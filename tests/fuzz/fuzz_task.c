/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_task.c - no bytes in place of a thread's files, of a program or of its code make the readers go wrong
 *
 * The input is eight bytes that are an address, then a file: it is read as a thread's `syscall`, `stat`, `status` and
 * `maps`, as a program that is about to be started, as a pair of numbers, and as the code before a system call.
 *
 * Run:   ./fuzz_task -max_total_time=120 -max_len=4096 NEW_FINDS tests/fuzz/corpus/task
 *
 * Context: fuzzer
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/descriptors.h"
#include "base/program.h"
#include "capture/mend.h"
#include "capture/task.h"
#include "explain/process.h"

#define CODE_BYTES 32

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static void require(bool holds)
{
        if (!holds)
                abort();
}

static int file_with(const uint8_t *data, size_t length)
{
        static int fd = -1;
        if (fd < 0)
                fd = descriptor_take(memfd_create("fuzz", MFD_CLOEXEC));
        require(fd >= 0 && ftruncate(fd, 0) == 0 && pwrite(fd, data, length, 0) == (ssize_t)length);
        return fd;
}

static void read_thread(int fd, uint64_t address)
{
        struct capture_task task = {
                .tid = 1, .syscall_fd = fd, .status_fd = fd, .stat_fd = fd, .stack_bound = address
        };
        struct task_call call;
        struct task_status status;
        char state;
        if (task_read_call(&task, &call) == 0)
                require(call.number >= -1);
        if (task_read_state(&task, &state) == 0)
                require(state != '\0');
        task_read_status(&task, &status);
        if (task_find_stack_in(&task, fd, address))
                require(task.stack_low <= address && address < task.stack_high);
}

static void read_code(const uint8_t *data, size_t length)
{
        uint64_t registers[SAMPLE_REGISTERS];
        size_t code_length = length < CODE_BYTES ? length : CODE_BYTES;
        uint8_t *code = malloc(code_length + 2); /* of its own size, so that a read beyond it is seen */
        require(code != NULL);
        memcpy(code, data, code_length);
        code[code_length] = 0x0f;
        code[code_length + 1] = 0x05;
        for (unsigned i = 0; i < SAMPLE_REGISTERS; i++)
                registers[i] = length > 0 ? data[i % length] * 5u : i;
        int number = mend_decode_sigsafe(code, code_length + 2);
        require(number >= -1 && number < 1024);
        number = mend_decode_moved_sigsafe(code, code_length + 2, registers);
        require(number >= -1 && number < 1024);
        free(code);
}

static void read_pair(const uint8_t *data, size_t length)
{
        unsigned first = 0, second = 0;
        char *text = malloc(length + 1);
        require(text != NULL);
        memcpy(text, data, length);
        text[length] = '\0';
        process_parse_pair(text, &first, &second);
        free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
        uint64_t address;
        if (length < sizeof(address))
                return 0;
        memcpy(&address, data, sizeof(address));
        data += sizeof(address);
        length -= sizeof(address);
        int fd = file_with(data, length);
        read_thread(fd, address);
        program_fits(dup(fd));
        read_code(data, length);
        read_pair(data, length);
        return 0;
}
