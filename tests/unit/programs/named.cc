/* SPDX-License-Identifier: Apache-2.0
 *
 * named.cc - a C++ program with names that need demangling, for test_symbolize.c
 *
 * Context: program of test_symbolize.c
 */
#include "places.h"

namespace shop
{

struct Server {
        __attribute__((noinline)) void handle(int request, const char *path);
};

void Server::handle(int request, const char *path)
{
        HERE("shop::Server::handle");
        printf("# %d %s\n", request, path);
}

template <typename T> __attribute__((noinline)) void serve(T value)
{
        HERE("shop::serve<int>");
        printf("# %d\n", value);
}

namespace
{

__attribute__((noinline)) void hidden()
{
        HERE("shop::(anonymous namespace)::hidden");
}

} // namespace
} // namespace shop

int main()
{
        shop::Server server;
        server.handle(1, "/");
        shop::serve(2);
        shop::hidden();
        return 0;
}
