/* SPDX-License-Identifier: Apache-2.0
 *
 * quiet_boost.cc - an executor of Boost.Asio with four threads, idle after load
 *
 *     quiet_boost SECONDS
 *
 * Load for a fifth of the time: timers and posted work in all threads. Then idle: three threads sleep on the
 * scheduler's condition variable and one in epoll_wait, which is nobody's stall. At the end one more burst, so that a
 * false stall would end and be written.
 *
 * Context: four threads
 */
#include <boost/asio.hpp>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "truth.h"

namespace asio = boost::asio;

static void burst(asio::io_context &context, int pieces)
{
        for (int i = 0; i < pieces; i++) {
                asio::post(context, [] { quiet_busy_ms(1); });
                auto timer = std::make_shared<asio::steady_timer>(context, std::chrono::milliseconds(i % 20));
                timer->async_wait([timer](const boost::system::error_code &) { quiet_busy_ms(1); });
        }
}

int main(int argc, char **argv)
{
        double seconds = argc > 1 ? atof(argv[1]) : 5;
        asio::io_context context;
        auto work = asio::make_work_guard(context);
        std::vector<std::thread> threads;
        for (int i = 0; i < 4; i++)
                threads.emplace_back([&context] { context.run(); });
        for (uint64_t end_ns = truth_now_ns() + (uint64_t)(seconds * 2e8); truth_now_ns() < end_ns;) {
                burst(context, 2);
                quiet_sleep_ms(20);
        }
        quiet_sleep_ms((unsigned)(seconds * 700));
        burst(context, 5);
        quiet_sleep_ms((unsigned)(seconds * 100));
        work.reset();
        for (auto &thread : threads)
                thread.join();
        return 0;
}
