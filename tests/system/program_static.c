/* SPDX-License-Identifier: Apache-2.0
 *
 * program_static.c - a program that no preload reaches, for test_command.py and test_doctor.py
 *
 * Context: program of a test
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
        puts("static");
        if (argc > 1 && strcmp(argv[1], "wait") == 0) /* to be looked at */
                pause();
        return 0;
}
