/* SPDX-License-Identifier: Apache-2.0
 *
 * mend_x86_64.c - which call was interrupted, and the stub that makes it go on
 *
 * The kernel leaves no trace of the call's number in the registers, but compilers put it into eax right before
 * `syscall`: it is read from the code. Only a few kinds of instructions are understood, and where another stands
 * between, nothing is mended: making a wrong call would be far worse than an EINTR.
 *
 * Context: signal handler, and on the host's thread after it
 */
#include "capture/mend.h"

#include <cpuid.h>
#include <errno.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/memory.h"
#include "capture/handler.h"

#define FRAME_BYTES 128
#define RED_ZONE 128
#define WINDOW 32 /* bytes of code before the end of `syscall` that are looked at */

_Static_assert(sizeof(struct mend_frame) == FRAME_BYTES, "the stub copies FRAME_BYTES");
_Static_assert(offsetof(struct mend_frame, stack_pointer) == 0, "known to the stub");
_Static_assert(offsetof(struct mend_frame, program_counter) == 8, "known to the stub");
_Static_assert(offsetof(struct mend_frame, flags) == 16, "known to the stub");
_Static_assert(offsetof(struct mend_frame, arguments) == 24, "known to the stub");
_Static_assert(offsetof(struct mend_call, arguments) == 8, "known to mend_call_sigsafe");

/* The thread arrives here from the handler with its stack pointer at a mend_frame; all other registers but rax are as
 * its program had them. The frame is first moved up to where the program's stack ends (below its red zone), as the
 * signal frame between is dead now. The unwinding rules say that the caller's stack pointer and program counter are the
 * frame's first two words, so exceptions (a cancelled thread) and debuggers pass through. rcx is cleared at the end: a
 * signal that arrives just there is not taken for an interruption of the program's call. */
__asm__(".text\n"
        ".p2align 4\n"
        ".hidden mend_stub\n"
        ".globl mend_stub\n"
        ".type mend_stub, @function\n"
        "mend_stub:\n"
        ".cfi_startproc\n"
        ".cfi_escape 0x0f, 3, 0x77, 0, 0x06\n" /* CFA = *(rsp + 0) */
        ".cfi_escape 0x10, 16, 2, 0x77, 8\n"   /* return address at rsp + 8 */
        "cld\n"
        "movq (%rsp), %rdi\n"
        "subq $256, %rdi\n" /* RED_ZONE + FRAME_BYTES */
        "andq $-16, %rdi\n"
        "movq %rsp, %rsi\n"
        "movl $16, %ecx\n" /* FRAME_BYTES / 8 */
        "rep movsq\n"
        "leaq -128(%rdi), %rsp\n" /* FRAME_BYTES */
        "movq %rsp, %rdi\n"
        "call mend_run_sigsafe\n"
        "movq 24(%rsp), %rdi\n"
        "movq 32(%rsp), %rsi\n"
        "movq 40(%rsp), %rdx\n"
        "movq 48(%rsp), %r10\n"
        "movq 56(%rsp), %r8\n"
        "movq 64(%rsp), %r9\n"
        "movq 8(%rsp), %r11\n"
        "xorl %ecx, %ecx\n"
        "pushq 16(%rsp)\n"
        ".cfi_escape 0x0f, 3, 0x77, 8, 0x06\n"
        ".cfi_escape 0x10, 16, 2, 0x77, 16\n"
        "popfq\n"
        ".cfi_escape 0x0f, 3, 0x77, 0, 0x06\n"
        ".cfi_escape 0x10, 16, 2, 0x77, 8\n"
        "movq (%rsp), %rsp\n"
        ".cfi_def_cfa %rsp, 0\n"
        ".cfi_register %rip, %r11\n"
        "jmp *%r11\n"
        ".cfi_endproc\n"
        ".size mend_stub, .-mend_stub\n"

        /* long mend_call_sigsafe(const struct mend_call *call, struct mend_frame *frame) */
        ".p2align 4\n"
        ".hidden mend_call_sigsafe\n"
        ".globl mend_call_sigsafe\n"
        ".type mend_call_sigsafe, @function\n"
        "mend_call_sigsafe:\n"
        ".cfi_startproc\n"
        "pushq %rsi\n"
        ".cfi_adjust_cfa_offset 8\n"
        "movq 0(%rdi), %rax\n"
        "movq 16(%rdi), %rsi\n"
        "movq 24(%rdi), %rdx\n"
        "movq 32(%rdi), %r10\n"
        "movq 40(%rdi), %r8\n"
        "movq 48(%rdi), %r9\n"
        "movq 8(%rdi), %rdi\n"
        "syscall\n"
        ".hidden mend_called\n"
        ".globl mend_called\n"
        "mend_called:\n"
        "addq $8, %rsp\n"
        ".cfi_adjust_cfa_offset -8\n"
        "ret\n"
        ".cfi_endproc\n"
        ".size mend_call_sigsafe, .-mend_call_sigsafe\n"

        /* What the handler returns to: libc has the same, but keeps it to itself. Debuggers and unwinders know a signal
         * frame by these very bytes, as long as no function's range ends right before them. */
        "nop\n"
        ".p2align 4\n"
        "nop\n"
        ".hidden mend_handler_return\n"
        ".globl mend_handler_return\n"
        ".type mend_handler_return, @function\n"
        "mend_handler_return:\n"
        "movq $15, %rax\n" /* rt_sigreturn */
        "syscall\n"
        ".size mend_handler_return, .-mend_handler_return\n");

extern const char mend_stub[] __attribute__((visibility("hidden")));
extern const char mend_called[] __attribute__((visibility("hidden")));

/* ---- registers ---- */

static const uint8_t greg_of[SAMPLE_REGISTERS] = {
        REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
        REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP,
};

void mend_registers_sigsafe(const ucontext_t *context, uint64_t registers[SAMPLE_REGISTERS])
{
        for (int i = 0; i < SAMPLE_REGISTERS; i++)
                registers[i] = (uint64_t)context->uc_mcontext.gregs[greg_of[i]];
}

/* ---- the number ---- */

#define REX 0x40
#define REX_W 0x08
#define REX_R 0x04
#define REX_B 0x01

static bool is_rex(uint8_t byte)
{
        return (byte & 0xf0) == REX;
}

/* Bytes of a ModRM operand after its ModRM byte. */
static size_t operand_bytes(const uint8_t *modrm, const uint8_t *end)
{
        unsigned mod = *modrm >> 6, rm = *modrm & 7;
        size_t bytes = mod == 1 ? 1 : mod == 2 ? 4 : 0;
        if (mod == 3)
                return 0;
        if (rm == 4) {
                if (modrm + 1 >= end)
                        return WINDOW;
                bytes += 1;
                if (mod == 0 && (modrm[1] & 7) == 5)
                        bytes += 4;
        } else if (mod == 0 && rm == 5) {
                bytes += 4;
        }
        return bytes;
}

/* The length of an instruction that loads an argument's register and surely leaves rax alone: mov, lea, xor, and the
 * arithmetic on constants that futex calls do between. 0: another one. */
static size_t harmless_sigsafe(const uint8_t *at, const uint8_t *end)
{
        const uint8_t *p = at;
        uint8_t rex = is_rex(*p) ? *p++ : 0;
        if (p + 1 >= end)
                return 0;
        uint8_t opcode = *p++;
        if (opcode >= 0xb8 && opcode <= 0xbf) { /* mov $constant, register */
                bool is_rax = opcode == 0xb8 && (rex & REX_B) == 0;
                return is_rax || (rex & REX_W) ? 0 : (size_t)(p + 4 - at);
        }
        unsigned mod = *p >> 6;
        unsigned reg = (*p >> 3 & 7) | (rex & REX_R ? 8 : 0);
        unsigned rm = (*p & 7) | (rex & REX_B ? 8 : 0);
        size_t length = (size_t)(p + 1 - at) + operand_bytes(p, end);
        switch (opcode) {
        case 0x8b: /* mov operand, register */
        case 0x8d: /* lea operand, register */
        case 0x33: /* xor operand, register */
                return reg == 0 ? 0 : length;
        case 0x89: /* mov register, operand */
        case 0x31: /* xor register, operand */
                return mod == 3 && rm == 0 ? 0 : length;
        case 0x80: /* xor $byte, register: of 8 bits, so without REX the numbers from 4 are ah, ch ... */
                return mod != 3 || rm == 0 || rex == 0 ? 0 : length + 1;
        case 0x83: /* and $byte, register */
                return mod != 3 || rm == 0 ? 0 : length + 1;
        case 0xc7: /* mov $constant, operand */
                return reg % 8 != 0 || (mod == 3 && rm == 0) ? 0 : length + 4;
        default:
                return 0;
        }
}

static bool all_harmless_sigsafe(const uint8_t *at, const uint8_t *end)
{
        while (at < end) {
                size_t length = harmless_sigsafe(at, end);
                if (length == 0 || length > (size_t)(end - at))
                        return false;
                at += length;
        }
        return true;
}

static int constant_sigsafe(const uint8_t *at)
{
        uint32_t value;
        memcpy(&value, at, sizeof(value));
        return value < 1024 ? (int)value : -1;
}

/* The number that an instruction ending at `end` puts into rax, or -1. `begin` is the first byte that may be read.
 * Constants only: a register that the number was moved from (in libc's syscall()) holds an argument by now. */
static int number_set_sigsafe(const uint8_t *begin, const uint8_t *end)
{
        size_t available = (size_t)(end - begin);
        if (available >= 7 && end[-7] == 0x48 && end[-6] == 0xc7 && end[-5] == 0xc0) /* mov $constant, %rax */
                return constant_sigsafe(end - 4);
        if (available >= 6 && end[-5] == 0xb8) { /* mov $constant, %eax */
                uint8_t before = end[-6];
                if (is_rex(before) && (before & REX_B)) /* to r8d */
                        return -1;
                if (before == 0x8b || before == 0x8d || before == 0x89 || before == 0x63) /* 0xb8 is its operand */
                        return -1;
                return constant_sigsafe(end - 4);
        }
        if (available < 3)
                return -1;
        uint8_t rex = is_rex(end[-3]) ? end[-3] : 0;
        if ((end[-2] == 0x31 || end[-2] == 0x33) && end[-1] == 0xc0) /* xor %eax, %eax */
                return rex & (REX_R | REX_B) ? -1 : 0;
        return -1;
}

bool mend_leaves_call(const uint64_t registers[SAMPLE_REGISTERS], uint64_t *first_argument)
{
        uint8_t code[2];
        const unsigned rdi = 5; /* which the kernel leaves as it was */
        *first_argument = registers[rdi];
        return memory_get_sigsafe(registers[SAMPLE_PC] - sizeof(code), code, sizeof(code)) && code[0] == 0x0f &&
               code[1] == 0x05;
}

int mend_decode_sigsafe(const uint8_t *code, size_t length)
{
        int found = -1;
        if (length < 2 || code[length - 2] != 0x0f || code[length - 1] != 0x05)
                return -1;
        const uint8_t *call = code + length - 2;
        for (const uint8_t *end = call; end >= code + 3; end--) {
                int number = number_set_sigsafe(code, end);
                if (number < 0 || !all_harmless_sigsafe(end, call))
                        continue;
                if (found >= 0 && found != number)
                        return -1; /* two ways to read the same bytes */
                found = number;
        }
        return found;
}

#define NUMBER_UNKNOWN (-1)
#define NUMBER_CLOBBERED (1u << 0 | 1u << 1 | 1u << 4 | 1u << 11) /* rax, rcx, rsp, r11: hold something else now */

/* What register number `reg`, as instructions count them, holds, if that can be the number of a call. */
static int number_held_sigsafe(unsigned reg, const uint64_t registers[SAMPLE_REGISTERS])
{
        static const uint8_t dwarf_of[16] = { 0, 2, 1, 3, 7, 6, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15 };
        if ((NUMBER_CLOBBERED >> reg & 1) != 0)
                return NUMBER_UNKNOWN;
        uint64_t value = registers[dwarf_of[reg]] & UINT32_MAX;
        return value < 1024 ? (int)value : NUMBER_UNKNOWN;
}

/* Compilers keep the number of a call within a loop in a register: liburing's waits, for example. Right before the
 * `syscall` it is moved to eax, and the kernel has left it where it was. */
int mend_decode_moved_sigsafe(const uint8_t *code, size_t length, const uint64_t registers[SAMPLE_REGISTERS])
{
        const uint8_t *end = code + length - 2;
        if (length < 5 || end[0] != 0x0f || end[1] != 0x05 || end[-1] >> 6 != 3)
                return NUMBER_UNKNOWN;
        uint8_t rex = is_rex(end[-3]) ? end[-3] : 0, to_register = end[-2] == 0x8b;
        if (end[-2] != 0x89 && !to_register) /* mov register, %eax has two forms */
                return NUMBER_UNKNOWN;
        unsigned from = (to_register ? end[-1] : end[-1] >> 3) & 7, to = (to_register ? end[-1] >> 3 : end[-1]) & 7;
        if (to != 0)
                return NUMBER_UNKNOWN;
        int number = number_held_sigsafe(from, registers);
        if ((rex & (REX_R | REX_B)) == 0)
                return number;
        bool is_far = (rex & (to_register ? REX_B : REX_R)) != 0, is_rax = (rex & (to_register ? REX_R : REX_B)) == 0;
        int far = is_far && is_rax ? number_held_sigsafe(from + 8, registers) : NUMBER_UNKNOWN;
        bool is_argument = from == 2 || from == 6 || from == 7;  /* rdx, rsi, rdi: hardly the number as well */
        return number < 0 || is_argument ? far : NUMBER_UNKNOWN; /* that may be no REX, but end what is before */
}

static int number_before_sigsafe(const ucontext_t *context)
{
        uint64_t registers[SAMPLE_REGISTERS], program_counter = (uint64_t)context->uc_mcontext.gregs[REG_RIP];
        uint8_t code[WINDOW];
        size_t length = WINDOW;
        if (!memory_get_sigsafe(program_counter - length, code, length)) {
                length = program_counter % 4096; /* the page before is not there */
                if (length >= WINDOW || !memory_get_sigsafe(program_counter - length, code, length))
                        return NUMBER_UNKNOWN;
        }
        int number = mend_decode_sigsafe(code, length);
        if (number >= 0)
                return number;
        mend_registers_sigsafe(context, registers);
        return mend_decode_moved_sigsafe(code, length, registers);
}

/* ---- in the handler ---- */

static bool marks_calls; /* `syscall` leaves its return address in rcx */

void mend_start(void)
{
        uint64_t left, expected;
        long number = 39; /* getpid */
        __asm__ volatile("leaq 1f(%%rip), %1\n\tsyscall\n1:\tmovq %%rcx, %0"
                         : "=&r"(left), "=&r"(expected), "+a"(number)
                         :
                         : "rcx", "r11", "memory");
        marks_calls = left == expected;
}

/* Was the thread in a system call, so that its result is the call's? Where the processor's way of entering the kernel
 * does not mark it (FRED, emulators), only EINTR right after a `syscall` is evidence enough. */
static bool in_call_sigsafe(const ucontext_t *context)
{
        const greg_t *r = context->uc_mcontext.gregs;
        if (marks_calls ? r[REG_RCX] != r[REG_RIP] : r[REG_RAX] > 0)
                return false;
        return r[REG_RAX] == -EINTR || r[REG_RAX] > 0;
}

/* The handler's frame lies on the program's stack, or on an alternate one: then the stub's frame is put at once where
 * the stub wants it. Nothing else may be there, and the stub needs some room below. */
static struct mend_frame *place_sigsafe(struct mend_frame *frame)
{
        uint64_t place = (frame->stack_pointer - RED_ZONE - FRAME_BYTES) & -16ull;
        uint64_t room = place - 1024, zero = 0;
        if (place - (uintptr_t)frame < 65536)
                return frame;
        if (!memory_put_sigsafe(room, &zero, sizeof(zero)) || !memory_put_sigsafe(place, frame, sizeof(*frame)))
                return NULL;
        return (struct mend_frame *)(uintptr_t)place;
}

bool mend_sigsafe(ucontext_t *context, struct mend_frame *frame)
{
        greg_t *r = context->uc_mcontext.gregs;
        if (!in_call_sigsafe(context))
                return false;
        if (r[REG_RIP] == (greg_t)(uintptr_t)mend_called) {
                (*(struct mend_frame **)(uintptr_t)r[REG_RSP])->interrupted = 1;
                if (r[REG_RAX] == -EINTR)
                        r[REG_RAX] = MEND_INTERRUPTED;
                return false;
        }
        frame->handler_ns = mend_now_ns_sigsafe();
        frame->stack_pointer = (uint64_t)r[REG_RSP];
        frame->program_counter = (uint64_t)r[REG_RIP];
        frame->flags = (uint64_t)r[REG_EFL];
        frame->arguments[0] = (uint64_t)r[REG_RDI];
        frame->arguments[1] = (uint64_t)r[REG_RSI];
        frame->arguments[2] = (uint64_t)r[REG_RDX];
        frame->arguments[3] = (uint64_t)r[REG_R10];
        frame->arguments[4] = (uint64_t)r[REG_R8];
        frame->arguments[5] = (uint64_t)r[REG_R9];
        frame->result = r[REG_RAX];
        frame->interrupted = 0;
        memcpy(&frame->mask, &context->uc_sigmask, sizeof(frame->mask));
        frame->number = number_before_sigsafe(context);
        if (frame->number < 0 || !mend_knows_sigsafe(frame->number, frame->arguments, frame->result))
                return false;
        struct mend_frame *placed = place_sigsafe(frame);
        if (placed == NULL)
                return false;
        r[REG_RSP] = (greg_t)(uintptr_t)placed;
        r[REG_RIP] = (greg_t)(uintptr_t)mend_stub;
        uint64_t mask = HANDLER_MASK | frame->mask;
        memcpy(&context->uc_sigmask, &mask, sizeof(mask));
        return true;
}

bool mend_failed_sigsafe(const ucontext_t *context)
{
        return in_call_sigsafe(context) && context->uc_mcontext.gregs[REG_RAX] == -EINTR;
}

/* ---- on the watchdog ---- */

bool mend_see_through(uint64_t program_counter, uint64_t stack_pointer, struct mend_frame *frame)
{
        uint64_t address;
        if (program_counter != (uintptr_t)mend_called)
                return false;
        return memory_get_sigsafe(stack_pointer, &address, sizeof(address)) &&
               memory_get_sigsafe(address, frame, sizeof(*frame));
}

/* ---- the kernel's frame ---- */

#define STATE_LEAF 0xd     /* of cpuid: the processor's state, as xsave writes it */
#define TILES 18           /* part of it */
#define FRAME_PLAIN 1024   /* bytes of a frame beside that state */
#define STATE_UNKNOWN 4096 /* where the processor doesn't tell */

uint64_t mend_frame_bytes(void)
{
        uint64_t bytes = getauxval(AT_MINSIGSTKSZ); /* 0 before Linux 5.14 */
        unsigned total = STATE_UNKNOWN, size = 0, offset = 0, features, most, flags;
        if (__get_cpuid_count(STATE_LEAF, 0, &features, &total, &most, &flags))
                __get_cpuid_count(STATE_LEAF, TILES, &size, &offset, &most, &flags);
        if (bytes == 0)
                bytes = FRAME_PLAIN + total;
        return size != 0 && offset + size == total && bytes > size ? bytes - size : bytes;
}
