/* SPDX-License-Identifier: Apache-2.0
 *
 * program_go.c - a program that looks like one of Go's, for test_command.py
 *
 * It has the note by which Go's linker names its builds.
 *
 * Context: program of a test
 */
#include <stdio.h>

__asm__(".pushsection .note.go.buildid, \"a\", @note\n"
        ".balign 4\n"
        ".long 4, 4, 4\n" /* bytes of the name, bytes of the note, its type */
        ".asciz \"Go\\0\"\n"
        ".long 0x12345678\n"
        ".popsection");

int main(void)
{
        puts("go");
        return 0;
}
