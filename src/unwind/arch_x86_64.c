/* SPDX-License-Identifier: Apache-2.0
 *
 * arch_x86_64.c - calls, prologues, frame pointers and signal frames of x86-64
 *
 * Context: watchdog
 * Limits:  JUMP_SEARCH bytes of one function are searched for a tail call
 */
#include "unwind/arch.h"

#include <stddef.h>
#include <string.h>
#include <ucontext.h>

#include "unwind/memory.h"

#define WORD 8u
#define JUMP_SEARCH 8192u
#define PIECE 128u

static int32_t read_i32(const uint8_t *bytes)
{
        int32_t value;
        memcpy(&value, bytes, sizeof(value));
        return value;
}

/* --- stepping without unwind information --- */

bool arch_step_by_frame_pointer(struct registers *registers)
{
        uint64_t frame = registers->value[SAMPLE_FP], caller_frame, return_address;
        if (!register_known(registers, SAMPLE_FP) || frame % WORD != 0 || frame < registers->value[SAMPLE_SP] ||
            !memory_in_copy(frame, 2 * WORD) || !memory_word(frame, &caller_frame) ||
            !memory_word(frame + WORD, &return_address))
                return false;
        registers->known = 0;
        register_set(registers, SAMPLE_FP, caller_frame);
        register_set(registers, SAMPLE_PC, return_address);
        register_set(registers, SAMPLE_SP, frame + 2 * WORD);
        return true;
}

bool arch_step_by_slot(struct registers *registers, uint64_t slot)
{
        uint64_t return_address;
        if (!memory_word(slot, &return_address))
                return false;
        register_set(registers, SAMPLE_PC, return_address);
        register_set(registers, SAMPLE_SP, slot + WORD);
        return true;
}

bool arch_trampoline_slot(const struct registers *registers, uint64_t *slot)
{
        static const uint8_t after_call[] = { 0x48, 0x83, 0xc4, 0x08, 0xc3 }; /* add $8,%rsp; ret */
        uint8_t code[sizeof after_call];
        if (!memory_code(registers->value[SAMPLE_PC], code, sizeof(code)) ||
            memcmp(code, after_call, sizeof(code)) != 0)
                return false;
        *slot = registers->value[SAMPLE_SP] + WORD;
        return true;
}

bool arch_return_slot(const struct registers *registers, uint64_t *slot)
{
        static const uint8_t endbr[4] = { 0xf3, 0x0f, 0x1e, 0xfa };
        static const uint8_t frame_set[2][3] = { { 0x48, 0x89, 0xe5 }, { 0x48, 0x8b, 0xec } }; /* mov %rsp,%rbp */
        uint64_t pc = registers->value[SAMPLE_PC], sp = registers->value[SAMPLE_SP];
        uint8_t code[5] = { 0 };
        if (!memory_code(pc, code, sizeof(code)) && !memory_code(pc, code, 1)) /* the last bytes of a mapping */
                return false;
        *slot = sp;
        if (memcmp(code, endbr, sizeof(endbr)) == 0)
                return true;
        if (memcmp(code, frame_set[0], 3) == 0 || memcmp(code, frame_set[1], 3) == 0) {
                *slot = sp + WORD; /* the caller's frame pointer was pushed */
                return true;
        }
        return code[0] == 0x55 ||                                         /* push %rbp */
               code[0] == 0xc3 || code[0] == 0xc2 ||                      /* ret */
               ((code[0] == 0xf2 || code[0] == 0xf3) && code[1] == 0xc3); /* bnd ret, rep ret */
}

bool arch_step_by_signal_frame(struct registers *registers)
{
        static const uint8_t return_code[9] = { 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05 }; /* rt_sigreturn */
        static const uint8_t saved[SAMPLE_REGISTERS] = {
                REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
                REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP,
        };
        uint8_t code[sizeof(return_code)];
        uint64_t flags, link, sp = registers->value[SAMPLE_SP];
        /* The kernel's ucontext begins with small flags and no link: saves a system call for each frame of a JIT. */
        if (!memory_word(sp, &flags) || !memory_word(sp + WORD, &link) || flags > UINT8_MAX || link != 0)
                return false;
        if (!memory_code(registers->value[SAMPLE_PC], code, sizeof(code)) ||
            memcmp(code, return_code, sizeof(code)) != 0)
                return false;
        struct registers interrupted = { .known = 0 };
        uint64_t base = sp + offsetof(ucontext_t, uc_mcontext.gregs);
        for (unsigned i = 0; i < SAMPLE_REGISTERS; i++) {
                uint64_t value;
                if (!memory_word(base + saved[i] * WORD, &value))
                        return false;
                register_set(&interrupted, i, value);
        }
        *registers = interrupted;
        return true;
}

/* --- calls --- */

/* Does an indirect call, ff /2, end at the end of these 7 bytes? The two lengths of an operand without displacement
 * are tried, then those with 8 and 32 bits of it, each with and without SIB byte. */
static bool ends_with_indirect_call(const uint8_t code[7])
{
        static const struct {
                uint8_t length, mode;
                bool sib;
        } forms[] = { { 2, 0, false }, { 2, 3, false }, { 3, 0, true },  { 3, 1, false },
                      { 4, 1, true },  { 6, 2, false }, { 6, 0, false }, { 7, 2, true } };
        for (unsigned i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
                const uint8_t *at = code + 7 - forms[i].length;
                unsigned mode = at[1] >> 6, base = at[1] & 7;
                bool relative = mode == 0 && base == 5; /* to RIP: the only operand with mode 0 and a displacement */
                if (at[0] == 0xff && (at[1] >> 3 & 7) == 2 && mode == forms[i].mode &&
                    (base == 4 && mode != 3) == forms[i].sib && relative == (forms[i].length == 6 && mode == 0))
                        return true;
        }
        return false;
}

enum arch_call arch_call_before(uint64_t return_address, uint64_t *target)
{
        uint8_t code[7];
        if (return_address < sizeof(code) || !memory_code(return_address - sizeof(code), code, sizeof(code)))
                return ARCH_NO_CALL;
        if (code[2] == 0xe8) { /* call rel32 */
                *target = return_address + (uint64_t)(int64_t)read_i32(code + 3);
                return ARCH_CALL;
        }
        if (code[1] == 0xff && code[2] == 0x15 && /* call *slot(%rip): from the GOT */
            memory_word(return_address + (uint64_t)(int64_t)read_i32(code + 3), target))
                return ARCH_CALL;
        return ends_with_indirect_call(code) ? ARCH_INDIRECT_CALL : ARCH_NO_CALL;
}

uint64_t arch_follow_stub(uint64_t target)
{
        static const uint8_t endbr[4] = { 0xf3, 0x0f, 0x1e, 0xfa };
        uint8_t code[11];
        uint64_t slot_target;
        if (!memory_code(target, code, sizeof(code)))
                return target;
        unsigned at = memcmp(code, endbr, sizeof(endbr)) == 0 ? sizeof(endbr) : 0;
        if (code[at] == 0xe9) /* jmp rel32 */
                return target + at + 5 + (uint64_t)(int64_t)read_i32(code + at + 1);
        if (code[at] == 0xf2) /* bnd */
                at++;
        if (code[at] != 0xff || code[at + 1] != 0x25) /* jmp *slot(%rip) */
                return target;
        uint64_t slot = target + at + 6 + (uint64_t)(int64_t)read_i32(code + at + 2);
        return memory_word(slot, &slot_target) ? slot_target : target;
}

bool arch_jumps_into(uint64_t start, uint64_t end, uint64_t target, uint64_t target_end)
{
        uint8_t code[PIECE + 8];
        uint64_t stop = end - start > JUMP_SEARCH ? start + JUMP_SEARCH : end;
        for (uint64_t at = start; at < stop; at += PIECE) {
                uint64_t length = stop - at < sizeof(code) ? stop - at : sizeof(code);
                if (!memory_code(at, code, length))
                        return false;
                for (uint64_t i = 1; i + 4 <= length; i++) {
                        bool jump = code[i - 1] == 0xe9 || (i > 1 && code[i - 2] == 0x0f && code[i - 1] >> 4 == 8);
                        uint64_t to = at + i + 4 + (uint64_t)(int64_t)read_i32(code + i);
                        if (jump && to >= target && to < target_end)
                                return true;
                }
        }
        return false;
}
