/* SPDX-License-Identifier: Apache-2.0
 *
 * notes.c - messages while there is a screen
 *
 * Allocates nothing: that there is no memory is one of the messages.
 *
 * Context: reader
 * Limits:  the last NOTES messages, of NOTE_BYTES each
 */
#include "top/notes.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "now.h"
#include "say.h"

#define NOTES 20
#define NOTE_BYTES 512
#define NEW_NS UINT64_C(10000000000)

static struct {
        bool on;
        char texts[NOTES][NOTE_BYTES];
        size_t count; /* ever */
        uint64_t last_ns;
} notes;

static void take(void *context, const char *bytes, size_t length)
{
        char *text = notes.texts[notes.count++ % NOTES];
        size_t line = length > 0 && bytes[length - 1] == '\n' ? length - 1 : length;
        line = line < NOTE_BYTES - 1 ? line : NOTE_BYTES - 1;
        memcpy(text, bytes, line);
        text[line] = '\0';
        notes.last_ns = now_ns(CLOCK_MONOTONIC);
}

void notes_begin(void)
{
        notes.on = true;
        say_divert(take, NULL);
        atexit(notes_end);
}

const char *notes_last(void)
{
        bool new = notes.count > 0 && now_ns(CLOCK_MONOTONIC) - notes.last_ns < NEW_NS;
        return new ? notes.texts[(notes.count - 1) % NOTES] : NULL;
}

void notes_end(void)
{
        if (!notes.on)
                return;
        notes.on = false;
        say_divert(NULL, NULL);
        for (size_t i = notes.count > NOTES ? notes.count - NOTES : 0; i < notes.count; i++) {
                say_bytes(notes.texts[i % NOTES], strlen(notes.texts[i % NOTES]));
                say_bytes("\n", 1);
        }
}
