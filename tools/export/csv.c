/* SPDX-License-Identifier: Apache-2.0
 *
 * csv.c - export: a row a stall (RFC 4180), for spreadsheets
 *
 * A spreadsheet takes a cell that begins with one of =+-@ for a formula, and what stands in a record is a stranger's:
 * such a cell gets an apostrophe in front.
 *
 * Context: reader
 */
#include <stdlib.h>
#include <string.h>

#include "export/export.h"

static void put_string(FILE *out, const char *string)
{
        string = string ? string : "";
        fputc('"', out);
        if (string[0] && strchr("=+-@\t\r", string[0]))
                fputc('\'', out);
        for (; *string; string++) {
                if (*string == '"')
                        fputc('"', out);
                fputc(*string, out);
        }
        fputc('"', out);
}

static void put_strings(FILE *out, const char *const *strings, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                put_string(out, strings[i]);
                fputc(',', out);
        }
}

static void put_ms(FILE *out, uint64_t ns)
{
        fprintf(out, "%llu.%06llu,", (unsigned long long)(ns / 1000000), (unsigned long long)(ns % 1000000));
}

static void begin(struct export *export)
{
        fputs("id,host,pid,program,tid,thread,loop,begin,duration_ms,cpu_ms,ended,phase,cause,call,function,file,line,"
              "module,"
              "signature,samples\r\n",
              export->out);
}

static void add_stall(struct export *export, const struct record *record, const struct counted *counted)
{
        const struct record_stall *stall = &record->stall;
        const struct record_frame none = { 0 };
        const struct record_frame *culprit = stall->culprit ? stall->culprit : &none;
        char begin_bytes[40];
        struct text moment = TEXT_IN(begin_bytes);
        FILE *out = export->out;
        char *id = export_id(record);
        text_time(&moment, stall->begin_ns);
        put_strings(out, (const char *[]){ id, record->host }, 2);
        fprintf(out, "%d,", record->pid);
        put_strings(out, (const char *[]){ record->program }, 1);
        fprintf(out, "%d,", stall->tid);
        put_strings(out, (const char *[]){ stall->thread, stall->loop, begin_bytes }, 3);
        put_ms(out, stall->duration_ns);
        put_ms(out, stall->cpu_ns);
        put_strings(out,
                    (const char *[]){ counted->ended ? "yes" : "no", stall->phase, record_cause_name(stall->cause),
                                      stall->detail.call, culprit->function, culprit->file },
                    6);
        fprintf(out, culprit->line ? "%u," : ",", culprit->line);
        put_strings(out, (const char *[]){ culprit->module }, 1);
        fprintf(out, "\"%016llx\",%u\r\n", (unsigned long long)stall->signature, stall->samples);
        free(id);
}

static void end(struct export *export)
{
}

const struct export_format export_csv = {
        .name = "csv",
        .help = "a row a stall, for spreadsheets",
        .begin = begin,
        .stall = add_stall,
        .end = end,
};
