/* SPDX-License-Identifier: Apache-2.0
 *
 * tables.c - which field of a record goes where
 *
 * One table for each kind of object; docs/records.md describes the fields.
 *
 * Context: reader
 */
#include "read/tables.h"

#include "record/record.h"

#define COMMON(member) offsetof(struct record, member)

const struct field common_fields[] = {
        { "time", FIELD_TIME, COMMON(time_ns) },
        { "host", FIELD_STRING, COMMON(host) },
        { "pid", FIELD_I32, COMMON(pid) },
        { "run", FIELD_STRING, COMMON(run) },
        { "program", FIELD_STRING, COMMON(program) },
        { 0 },
};

#define PROCESS(member) offsetof(struct record_process, member)

const struct field process_fields[] = {
        { "command", FIELD_STRING, PROCESS(command) },
        { "executable", FIELD_STRING, PROCESS(executable) },
        { "agent_version", FIELD_STRING, PROCESS(agent_version) },
        { "ppid", FIELD_I32, PROCESS(ppid) },
        { "threshold_ns", FIELD_U64, PROCESS(threshold_ns) },
        { "interval_ns", FIELD_U64, PROCESS(interval_ns) },
        { "clock", FIELD_STRING, PROCESS(clock) },
        { "begin", FIELD_TIME, PROCESS(begin_ns) },
        { 0 },
};

#define STALL(member) offsetof(struct record_stall, member)

const struct field stall_fields[] = {
        { "id", FIELD_U64, STALL(id) },
        { "begin", FIELD_TIME, STALL(begin_ns) },
        { "state", FIELD_STRING, STALL(state) },
        { "tid", FIELD_I32, STALL(tid) },
        { "thread", FIELD_STRING, STALL(thread) },
        { "loop", FIELD_STRING, STALL(loop) },
        { "threshold_ns", FIELD_U64, STALL(threshold_ns) },
        { "duration_ns", FIELD_U64, STALL(duration_ns) },
        { "cpu_ns", FIELD_U64, STALL(cpu_ns) },
        { "suspended_ns", FIELD_U64, STALL(suspended_ns) },
        { "late_ns", FIELD_U64, STALL(late_ns) },
        { "yields", FIELD_U32, STALL(yields) },
        { "phase", FIELD_STRING, STALL(phase) },
        { "end", FIELD_STRING, STALL(end) },
        { "cause", FIELD_CAUSE, STALL(cause) },
        { "callbacks", FIELD_U32, STALL(callbacks) },
        { "signature", FIELD_HEX, STALL(signature) },
        { "repeats", FIELD_U64, STALL(repeats) },
        { "samples", FIELD_U32, STALL(samples) },
        { "callbacks_seen", FIELD_U32, STALL(callbacks_seen) },
        { "stacks_omitted", FIELD_BOOL, STALL(stacks_omitted) },
        { "stacks_dropped", FIELD_U32, STALL(stacks_dropped) },
        { "ready_more", FIELD_U32, STALL(ready_more) },
        { "ready_before", FIELD_U32, STALL(ready_before) },
        { "ready_loss", FIELD_STRING, STALL(ready_loss) },
        { "script_losses", FIELD_U32, STALL(script_losses) },
        { "script_loss", FIELD_STRING, STALL(script_loss) },
        { 0 },
};

#define DETAIL(member) offsetof(struct record_detail, member)

const struct field detail_fields[] = {
        { "call", FIELD_STRING, DETAIL(call) },
        { "reason", FIELD_STRING, DETAIL(reason) },
        { "called", FIELD_STRING, DETAIL(called) },
        { "task", FIELD_STRING, DETAIL(task) },
        { "coroutine", FIELD_STRING, DETAIL(coroutine) },
        { "cpu_percent", FIELD_U32, DETAIL(cpu_percent) },
        { "fd", FIELD_I32, DETAIL(fd) },
        { "what", FIELD_STRING, DETAIL(what) },
        { "address", FIELD_STRING, DETAIL(address) },
        { "device", FIELD_STRING, DETAIL(device) },
        { "wchan", FIELD_STRING, DETAIL(wchan) },
        { "file_offset", FIELD_U64, DETAIL(file_offset) },
        { "timeout_ns", FIELD_U64, DETAIL(timeout_ns) },
        { "left_ns", FIELD_U64, DETAIL(left_ns) },
        { "waits_for_more", FIELD_U32, DETAIL(waits_for_more) },
        { "object", FIELD_STRING, DETAIL(object) },
        { "owner", FIELD_I32, DETAIL(owner) },
        { "deadlock", FIELD_BOOL, DETAIL(deadlock) },
        { "user_ns", FIELD_U64, DETAIL(user_ns) },
        { "system_ns", FIELD_U64, DETAIL(system_ns) },
        { "switches_voluntary", FIELD_U64, DETAIL(voluntary) },
        { "switches_involuntary", FIELD_U64, DETAIL(involuntary) },
        { "major_faults", FIELD_U64, DETAIL(major_faults) },
        { "run_delay_ns", FIELD_U64, DETAIL(delay_ns) },
        { "throttled_ns", FIELD_U64, DETAIL(throttled_ns) },
        { "steal_ns", FIELD_U64, DETAIL(steal_ns) },
        { "others_cpu_ns", FIELD_U64, DETAIL(others_cpu_ns) },
        { "pressure_ns", FIELD_U64, DETAIL(pressure_ns) },
        { "runnable", FIELD_U32, DETAIL(runnable) },
        { "cpus", FIELD_U32, DETAIL(cpus) },
        { "watchdog_delay_ns", FIELD_U64, DETAIL(watchdog_delay_ns) },
        { 0 },
};

#define FD(member) offsetof(struct record_fd, member)

const struct field fd_fields[] = {
        { "fd", FIELD_I32, FD(fd) },
        { "what", FIELD_STRING, FD(what) },
        { "events", FIELD_STRING, FD(events) },
        { 0 },
};

#define HOLDER(member) offsetof(struct record_holder, member)

const struct field holder_fields[] = {
        { "role", FIELD_STRING, HOLDER(role) },
        { "pid", FIELD_I32, HOLDER(pid) },
        { "name", FIELD_STRING, HOLDER(name) },
        { "command", FIELD_STRING, HOLDER(command) },
        { 0 },
};

#define STACK(member) offsetof(struct record_stack, member)

const struct field stack_fields[] = {
        { "count", FIELD_U32, STACK(count) },          { "first_ns", FIELD_U64, STACK(first_ns) },
        { "last_ns", FIELD_U64, STACK(last_ns) },      { "state", FIELD_STATE, STACK(state) },
        { "missing", FIELD_STRING, STACK(missing) },   { "complete", FIELD_BOOL, STACK(complete) },
        { "truncated", FIELD_BOOL, STACK(truncated) }, { 0 },
};

#define CALLBACK(member) offsetof(struct record_callback, member)

const struct field callback_fields[] = {
        { "name", FIELD_STRING, CALLBACK(name) },
        { "function", FIELD_STRING, CALLBACK(function) },
        { "object", FIELD_STRING, CALLBACK(object) },
        { "begin_ns", FIELD_U64, CALLBACK(begin_ns) },
        { "duration_ns", FIELD_U64, CALLBACK(duration_ns) },
        { 0 },
};

#define LABEL(member) offsetof(struct record_label, member)

const struct field label_fields[] = {
        { "key", FIELD_STRING, LABEL(key) },
        { "value", FIELD_STRING, LABEL(value) },
        { 0 },
};

#define OTHER(member) offsetof(struct record_other, member)

const struct field other_fields[] = {
        { "role", FIELD_STRING, OTHER(role) },     { "tid", FIELD_I32, OTHER(tid) },
        { "thread", FIELD_STRING, OTHER(thread) }, { "state", FIELD_STATE, OTHER(state) },
        { "call", FIELD_STRING, OTHER(call) },     { "object", FIELD_STRING, OTHER(object) },
        { "owner", FIELD_I32, OTHER(owner) },      { 0 },
};

#define FRAME(member) offsetof(struct record_frame, member)

const struct field frame_fields[] = {
        { "lang", FIELD_LANG, FRAME(lang) },       { "function", FIELD_STRING, FRAME(function) },
        { "file", FIELD_STRING, FRAME(file) },     { "line", FIELD_U32, FRAME(line) },
        { "module", FIELD_STRING, FRAME(module) }, { "build_id", FIELD_STRING, FRAME(build_id) },
        { "offset", FIELD_HEX, FRAME(offset) },    { "caller", FIELD_BOOL, FRAME(caller) },
        { "inlined", FIELD_BOOL, FRAME(inlined) }, { 0 },
};

#define LOOP(member) offsetof(struct record_loop, member)

const struct field loop_fields[] = {
        { "tid", FIELD_I32, LOOP(tid) },
        { "thread", FIELD_STRING, LOOP(thread) },
        { "loop", FIELD_STRING, LOOP(loop) },
        { "iterations", FIELD_U64, LOOP(iterations) },
        { "busy_ns", FIELD_U64, LOOP(busy_ns) },
        { "idle_ns", FIELD_U64, LOOP(idle_ns) },
        { "outside_ns", FIELD_U64, LOOP(outside_ns) },
        { "stalls", FIELD_U64, LOOP(stalls) },
        { "stall_ns", FIELD_U64, LOOP(stall_ns) },
        { "longest_ns", FIELD_U64, LOOP(longest_ns) },
        { 0 },
};

#define BUCKET(member) offsetof(struct record_bucket, member)

const struct field bucket_fields[] = {
        { "from_ns", FIELD_U64, BUCKET(from_ns) },
        { "count", FIELD_U32, BUCKET(count) },
        { 0 },
};

#define EXIT(member) offsetof(struct record_exit, member)

const struct field exit_fields[] = {
        { "reason", FIELD_STRING, EXIT(reason) },
        { "loops", FIELD_U64, EXIT(loops) },
        { "stalls", FIELD_U64, EXIT(stalls) },
        { "stalls_startup", FIELD_U64, EXIT(stalls_startup) },
        { "stalls_suspended", FIELD_U64, EXIT(stalls_suspended) },
        { "stalls_crowded", FIELD_U64, EXIT(stalls_crowded) },
        { "captures", FIELD_U64, EXIT(captures) },
        { "captures_signal", FIELD_U64, EXIT(captures_signal) },
        { "candidates_dropped", FIELD_U64, EXIT(candidates_dropped) },
        { "iterations_lost", FIELD_U64, EXIT(iterations_lost) },
        { "loops_unwatched", FIELD_U64, EXIT(loops_unwatched) },
        { "records_dropped", FIELD_U64, EXIT(records_dropped) },
        { "bytes_dropped", FIELD_U64, EXIT(bytes_dropped) },
        { "reopened", FIELD_U64, EXIT(reopened) },
        { "watchdog_cpu_ns", FIELD_U64, EXIT(watchdog_cpu_ns) },
        { "wakeups", FIELD_U64, EXIT(wakeups) },
        { "latest_ns", FIELD_U64, EXIT(latest_ns) },
        { "starved_ns", FIELD_U64, EXIT(starved_ns) },
        { "stopped_ns", FIELD_U64, EXIT(stopped_ns) },
        { "captures_ns", FIELD_U64, EXIT(captures_ns) },
        { "calls_mended", FIELD_U64, EXIT(calls_mended) },
        { "calls_unmended", FIELD_U64, EXIT(calls_unmended) },
        { 0 },
};
