/* SPDX-License-Identifier: Apache-2.0
 *
 * unwind.c - a sample into native frames
 *
 * Each frame is left by the best means there is: unwind information; else the kernel's signal frame, a prologue not yet
 * run, the frame pointer (JIT code has nothing else), and for an interrupted frame the word at the stack pointer. What
 * was tried decides what may be said: `complete` means that unwind information, or a caller at address 0, ended the
 * walk, never that nothing more was found.
 *
 * A sample of a sleeping thread has no frame pointer. Where a frame needs it, every place in the copy that looks as if
 * that function had saved it there is tried, and the first is taken from which the walk reaches the end of the stack.
 *
 * Context: watchdog (static buffers), except unwind_load()
 * Limits:  LIMIT_FRAMES; SEARCH_WORK for one search; memory.c bounds the reads
 */
#include "unwind/unwind.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "unwind/arch.h"
#include "unwind/memory.h"
#include "unwind/module.h"
#include "unwind/remote.h"

#define WORD sizeof(uint64_t)
#define SEARCH_WORK 4096   /* frames walked in one search for the frame pointer: some 10 ms at worst */
#define JUMP_WORK 16       /* what looking for a jump in a function costs, in the same unit */
#define TRIAL_CUT_FRAMES 3 /* a truncated copy has no end to reach: then so many further frames must make sense */
#define LEAF_BYTES 65536   /* a function without unwind information is hardly longer */

enum outcome {
        GOES_ON,
        COMPLETE,      /* the stack ends here */
        LOST,          /* no way to the caller */
        CUT,           /* the copy of the stack ends before the caller */
        FULL,          /* LIMIT_FRAMES */
        NEEDS_POINTER, /* the frame pointer is not known, and nothing else helps */
};

/* The state between two frames. A plain value, so that a search can go back to it. */
struct walk {
        unw_cursor_t cursor;        /* at the frame that comes next */
        struct registers registers; /* those that the cursor was started with */
        uint64_t pc, sp;            /* of the frame that comes next */
        unsigned count;             /* frames so far */
        bool caller;                /* pc is a return address */
        bool placed;                /* pc is the start of a function that was not called: something put it there */
        bool frame_pointer_chain;   /* the last step went by the frame pointer */
        bool trial;                 /* the frame pointer is a guess */
        bool surely_complete;       /* unwind information ended it, not an address 0 */
};

static struct walk walk, fork_point;
static enum outcome trial_outcome; /* of the last attempt in a search */
static struct stack *stack;        /* of the present call */
static atomic_bool busy;

int unwind_load(const char **why)
{
        return remote_load(why);
}

bool unwind_ready(void)
{
        return remote_ready();
}

void unwind_flush(void)
{
        remote_flush();
}

void unwind_after_fork(void)
{
        remote_after_fork(atomic_load(&busy));
        atomic_store(&busy, false);
        remote_flush();
}

/* --- the cursor --- */

/* Start the cursor again at a frame whose registers are known otherwise. libunwind takes the first frame of a cursor
 * for an interrupted one, so for a caller it is given the address before: that is in the call itself. */
static bool start_at(const struct registers *registers, bool caller)
{
        walk.registers = *registers;
        walk.pc = registers->value[SAMPLE_PC];
        walk.sp = registers->value[SAMPLE_SP];
        walk.caller = caller;
        walk.frame_pointer_chain = false;
        walk.registers.value[SAMPLE_PC] -= caller;
        return remote_start(&walk.cursor, &walk.registers);
}

/* All that is known of the registers at the frame that comes next. */
static void frame_registers(struct registers *registers)
{
        registers->known = 0;
        for (unsigned i = 0; i < SAMPLE_REGISTERS; i++) {
                uint64_t value;
                if (remote_register(&walk.cursor, i, &value))
                        register_set(registers, i, value);
        }
        register_set(registers, SAMPLE_PC, walk.pc);
        register_set(registers, SAMPLE_SP, walk.sp);
}

/* --- one frame --- */

/* Find the function of the frame that comes next. */
static bool find_function(struct fde *fde)
{
        if (remote_function(walk.pc - walk.caller, fde))
                return true;
        if (!walk.caller || !remote_function(walk.pc, fde) || fde->start != walk.pc)
                return false;
        /* The return address is the first byte of a function: it was put there, not left by a call (makecontext). */
        struct registers registers;
        frame_registers(&registers);
        walk.placed = true;
        return start_at(&registers, false);
}

static struct frame *push_frame(bool known, const struct fde *fde)
{
        struct frame *frame = &stack->frames[walk.count++];
        bool caller = walk.caller && !(known && fde->signal_frame); /* no call led to the kernel's trampoline */
        *frame = (struct frame){
                .pc = walk.pc,
                .function = known ? fde->start : 0,
                .module = module_find(walk.pc - walk.caller),
                .caller = caller,
        };
        return frame;
}

/* Go to the caller by unwind information. LOST: it failed and the walk is where it was. */
static enum outcome step_by_information(struct frame *frame, bool signal_frame)
{
        static unw_cursor_t before;
        uint64_t pc, sp;
        before = walk.cursor;
        int result = remote_step(&walk.cursor);
        if (result >= 0 && remote_register(&walk.cursor, SAMPLE_SP, &sp) && (sp > walk.sp || signal_frame)) {
                if (result == 0 || !remote_register(&walk.cursor, SAMPLE_PC, &pc) || (pc == 0 && !signal_frame)) {
                        frame->cfa = sp;
                        walk.surely_complete = result == 0;
                        return COMPLETE;
                }
                /* A signal may be the consequence of a call to anywhere; nothing else returns to what is no code. */
                if (signal_frame || module_is_code(pc - 1) || module_is_code(pc)) {
                        frame->cfa = sp;
                        walk.pc = pc;
                        walk.sp = sp;
                        walk.caller = !signal_frame;
                        walk.frame_pointer_chain = false;
                        return GOES_ON;
                }
        }
        walk.cursor = before;
        if (memory_was_cut())
                return CUT;
        return result == -ENODATA ? NEEDS_POINTER : LOST;
}

/* Continue at a caller, or at what a signal interrupted, that was found without unwind information. */
static enum outcome continue_at(struct frame *frame, const struct registers *registers, bool caller)
{
        uint64_t pc = registers->value[SAMPLE_PC];
        bool ends = caller && pc == 0;
        if (!ends && ((caller && !module_is_code(pc - 1)) || !start_at(registers, caller)))
                return LOST;
        frame->cfa = registers->value[SAMPLE_SP];
        return ends ? COMPLETE : GOES_ON;
}

/* Is the word at `slot` the address after a call of the function that `pc` is in, a leaf without unwind information? */
static bool called_from_slot(uint64_t slot, uint64_t pc, bool surely)
{
        uint64_t return_address, target;
        if (!memory_word(slot, &return_address) || !module_code_known(return_address - 1))
                return false;
        enum arch_call call = arch_call_before(return_address, &target);
        if (!surely)
                return call != ARCH_NO_CALL;
        return call == ARCH_CALL && pc - arch_follow_stub(target) < LEAF_BYTES;
}

/* An interrupted function may not have saved anything yet. LOST: no sign of that. */
static enum outcome step_from_interrupted(struct frame *frame, bool known, const struct registers *registers,
                                          bool frame_pointer_failed)
{
        struct registers caller = *registers;
        uint64_t pc = registers->value[SAMPLE_PC], slot = registers->value[SAMPLE_SP];
        bool at_slot;
        if (!module_is_code(pc))
                at_slot = !frame_pointer_failed; /* called through a bad pointer */
        else if (frame_pointer_failed)
                at_slot = called_from_slot(slot, pc, false);
        else
                at_slot = !known && (arch_return_slot(registers, &slot) || called_from_slot(slot, pc, true));
        if (!at_slot || !arch_step_by_slot(&caller, slot))
                return LOST;
        return continue_at(frame, &caller, true);
}

/* Go to the caller where there is no unwind information, or it failed (`known`). */
static enum outcome step_without_information(struct frame *frame, bool known)
{
        static struct registers registers, caller;
        bool interrupted = !walk.caller && !walk.placed;
        enum outcome outcome = LOST;
        frame_registers(&registers);
        caller = registers;
        if (!known && arch_step_by_signal_frame(&caller)) {
                frame->caller = false;
                return continue_at(frame, &caller, false);
        }
        bool end_of_chain = walk.frame_pointer_chain && !known && !walk.trial;
        uint64_t slot;
        if (interrupted)
                outcome = step_from_interrupted(frame, known, &registers, false);
        else if (!known && arch_trampoline_slot(&registers, &slot) && arch_step_by_slot(&caller, slot))
                outcome = continue_at(frame, &caller, true);
        if (outcome == LOST)
                caller = registers;
        if (outcome == LOST && arch_step_by_frame_pointer(&caller)) {
                outcome = continue_at(frame, &caller, true);
                walk.frame_pointer_chain = outcome == GOES_ON;
        }
        if (outcome == LOST && !register_known(&registers, SAMPLE_FP))
                return NEEDS_POINTER;
        if (outcome == LOST && interrupted)
                outcome = step_from_interrupted(frame, known, &registers, true);
        /* By convention the outermost frame of a chain of frame pointers has a zero in the register. */
        if (outcome == LOST && end_of_chain && registers.value[SAMPLE_FP] == 0)
                return COMPLETE;
        return outcome;
}

static enum outcome walk_one_frame(void)
{
        struct fde fde;
        if (walk.count == LIMIT_FRAMES)
                return FULL;
        walk.placed = false;
        bool known = find_function(&fde);
        struct frame *frame = push_frame(known, &fde);
        enum outcome outcome = known ? step_by_information(frame, fde.signal_frame) : LOST;
        if (outcome == LOST || outcome == NEEDS_POINTER)
                outcome = step_without_information(frame, known);
        if (outcome == LOST && walk.placed)
                return COMPLETE; /* nobody called that function: the stack was made to begin there */
        return outcome == LOST && memory_was_cut() ? CUT : outcome;
}

static enum outcome walk_to_the_end(void)
{
        enum outcome outcome;
        do {
                outcome = walk_one_frame();
        } while (outcome == GOES_ON);
        return outcome;
}

/* --- the search for an unknown frame pointer --- */

/* What speaks for two words in the copy being a frame's saved frame pointer and return address: a call of its function,
 * or of one that jumps into it; or only an indirect call. Where the function is not known it is generated code that
 * keeps to frame pointers: any call will do, but the chain must lead upwards. */
enum fit { BY_CALL, BY_INDIRECT_CALL };

static bool jumps_into(uint64_t address, const struct fde *function, unsigned *work)
{
        struct fde called;
        *work += JUMP_WORK;
        return remote_function(address, &called) &&
               arch_jumps_into(called.start, called.end, function->start, function->end);
}

static bool fits(uint64_t at, enum fit fit, bool known, const struct fde *function, unsigned *work)
{
        uint64_t saved, return_address, target;
        if (!memory_word(at, &saved) || !memory_word(at + WORD, &return_address) ||
            !module_code_known(return_address - 1))
                return false;
        enum arch_call call = arch_call_before(return_address, &target);
        if (!known)
                return fit == BY_CALL && call != ARCH_NO_CALL && saved > at && memory_in_copy(saved, WORD);
        if (fit == BY_INDIRECT_CALL)
                return call == ARCH_INDIRECT_CALL;
        if (call != ARCH_CALL)
                return false;
        target = arch_follow_stub(target);
        return target == function->start || jumps_into(target, function, work);
}

enum belief { NO, PERHAPS, SURELY };

/* Walk on from the fork with this frame pointer: is that to be believed? A return address that is a function's start
 * may be a pointer to a function in a wrong frame, so such an end counts only where no other guess finds a better. */
static enum belief try_frame_pointer(uint64_t guess)
{
        walk = fork_point;
        walk.trial = true;
        walk.count--; /* its last frame is walked once more */
        register_set(&walk.registers, SAMPLE_FP, guess);
        memory_new_account();
        trial_outcome = walk_to_the_end();
        if (trial_outcome == COMPLETE)
                return walk.surely_complete ? SURELY : walk.placed ? PERHAPS : NO;
        if (trial_outcome == CUT)
                return walk.count >= fork_point.count + TRIAL_CUT_FRAMES ? SURELY : NO;
        return trial_outcome == FULL ? SURELY : NO;
}

/* Try all places in the copy with this fit; the first to be believed wins. `perhaps` is the first that may be right. */
static bool search_copy(enum fit fit, unsigned *work, uint64_t *perhaps)
{
        struct fde function;
        uint64_t at = (fork_point.sp + WORD - 1) & ~(WORD - 1);
        bool known = remote_function(fork_point.pc - fork_point.caller, &function);
        for (; memory_in_copy(at, 2 * WORD) && *work < SEARCH_WORK; at += WORD) {
                if (!fits(at, fit, known, &function, work))
                        continue;
                enum belief belief = try_frame_pointer(at);
                if (belief == SURELY)
                        return true;
                if (belief == PERHAPS && *perhaps == 0)
                        *perhaps = at;
                *work += walk.count - fork_point.count + 1;
                memory_new_account();
        }
        return false;
}

/* The last frame of the walk needs the frame pointer. How the walk ended with the one that was found; else it is as
 * before, and the outcome is LOST. */
static enum outcome search_frame_pointer(void)
{
        fork_point = walk;
        struct frame last = stack->frames[walk.count - 1];
        uint64_t perhaps = 0;
        unsigned work = 0;
        if (search_copy(BY_CALL, &work, &perhaps) || search_copy(BY_INDIRECT_CALL, &work, &perhaps) ||
            (perhaps != 0 && try_frame_pointer(perhaps) != NO))
                return trial_outcome;
        walk = fork_point;
        stack->frames[walk.count - 1] = last;
        return LOST;
}

/* --- a stack --- */

static enum outcome unwind_once(const struct sample *sample)
{
        static struct registers registers;
        memcpy(registers.value, sample->registers, sizeof(registers.value));
        registers.known = sample->registers_complete ? (1u << SAMPLE_REGISTERS) - 1 : 1u << SAMPLE_SP | 1u << SAMPLE_PC;
        memset(&walk, 0, sizeof(walk));
        memory_use(sample);
        module_find(registers.value[SAMPLE_PC]); /* what is known of modules is asked without reading maps further on */
        if (!start_at(&registers, false))
                return LOST;
        enum outcome outcome = walk_to_the_end();
        if (outcome == NEEDS_POINTER && !sample->registers_complete)
                outcome = search_frame_pointer();
        memory_use(NULL);
        return outcome;
}

int unwind_sample(const struct sample *sample, struct stack *result)
{
        result->count = 0;
        result->complete = result->truncated = false;
        if (!unwind_ready())
                return -ENOSYS;
        if (sample->loss != CAPTURE_OK)
                return -EINVAL;
        atomic_store(&busy, true);
        stack = result;
        remote_prepare();
        unsigned generation = modules_generation();
        enum outcome outcome = unwind_once(sample);
        if (generation != modules_generation()) { /* objects came and went meanwhile: what was cached may be wrong */
                remote_prepare();
                outcome = unwind_once(sample);
        }
        result->count = walk.count;
        result->complete = outcome == COMPLETE;
        result->truncated = outcome == CUT || outcome == FULL;
        atomic_store(&busy, false);
        return result->count > 0 ? 0 : -EIO;
}

uint64_t unwind_function_at(uint64_t address)
{
        struct fde fde;
        memory_use(NULL);
        return unwind_ready() && remote_function(address, &fde) ? fde.start : 0;
}
