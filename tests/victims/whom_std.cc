// SPDX-License-Identifier: Apache-2.0
//
// whom_std.cc - a loop that waits for a std::mutex
//
//     whom_std RUNS
//
// Context: one loop, in the main thread
#include <atomic>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "truth.h"
#include "turn.h"

namespace
{
std::mutex mutex;
std::atomic<bool> taken;

VICTIM_FRAME void holds_by_sleeping()
{
        std::lock_guard<std::mutex> guard(mutex);
        taken = true;
        quiet_sleep_ms(260);
}

VICTIM_FRAME void wants_mutex()
{
        std::lock_guard<std::mutex> guard(mutex);
        taken = false;
}

void callback(turn *)
{
        truth begin = truth_begin();
        std::thread holder(holds_by_sleeping);
        while (!taken)
                std::this_thread::yield();
        wants_mutex();
        truth_end(begin, "lock", "", "");
        holder.join();
}
} // namespace

int main(int, char **argv)
{
        turn loop;
        turn_open(&loop);
        turn_run(&loop, 5, nullptr);
        for (int i = std::atoi(argv[1]); i > 0; i--) {
                turn_run(&loop, 1, callback);
                turn_run(&loop, 3, nullptr);
        }
        turn_close(&loop);
        return 0;
}
