/* SPDX-License-Identifier: Apache-2.0
 *
 * program_static.c - a program that no preload reaches, for test_command.py
 *
 * Context: program of a test
 */
#include <stdio.h>

int main(void)
{
        puts("static");
        return 0;
}
