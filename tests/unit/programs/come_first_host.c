/* SPDX-License-Identifier: Apache-2.0
 *
 * come_first_host.c - do the hooks of a library come first? Loaded late they do not, preloaded they do
 *
 *     come_first_host LIBRARY
 *
 * Context: unit test; both at once, in this process and in one that it becomes
 */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool says(void *handle)
{
        bool (*come_first)(void) = (bool (*)(void))(uintptr_t)dlsym(handle, "come_first");
        if (come_first == NULL) {
                printf("no library: %s\n", dlerror());
                exit(2);
        }
        return come_first();
}

int main(int argc, char **argv)
{
        if (argc != 2 || getenv("PRELOADED") != NULL) {
                bool first = says(RTLD_DEFAULT);
                printf("preloaded they come first: %d\n", first);
                return !first;
        }
        void *handle = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        bool first = handle == NULL || says(handle);
        printf("loaded late they come first: %d\n", first);
        if (first)
                return 1;
        fflush(stdout);
        setenv("PRELOADED", "1", 1);
        setenv("LD_PRELOAD", argv[1], 1);
        execv("/proc/self/exe", argv);
        return 3;
}
