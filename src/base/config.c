/* SPDX-License-Identifier: Apache-2.0
 *
 * config.c - the settings
 *
 * One row a setting. A row's parser answers -EINVAL for what it doesn't understand and -ERANGE for what lies outside of
 * the row's range; the words about it are made in one place from the row itself, so that a new setting is one row and
 * at most one parser. A wrong value never stops the host: it is noted and the default is used.
 *
 * Context: config_load() once in the library's constructor; the rest everywhere
 * Limits:  LIMIT_PATH for strings, which are copied because the host may change its environment
 */
#include "base/config.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/limits.h"
#include "base/notice.h"
#include "base/text.h"

#define MS UINT64_C(1000000)
#define SECOND UINT64_C(1000000000)
#define HOUR (3600 * SECOND)

#define PREFIX "LOOPDOG_"
#define VALUE_SHOWN 48 /* bytes of a wrong value that are repeated */
#define NAME_SHOWN 64

/* Where a row's `fallback` is text that its parser understands, it means the same as this (see test_config.c). */
#define CONFIG_DEFAULTS                                                                                                \
        {                                                                                                              \
                .threshold_ns = 100 * MS, .interval_ns = 10 * MS, .limit_bytes = UINT64_C(256000000), .follow = true,  \
                .python = true,                                                                                        \
        }

struct config config = CONFIG_DEFAULTS;

/* ---- numbers with units ---- */

struct unit {
        const char *name;
        uint64_t factor;
};

static const struct unit duration_units[] = {
        { "", MS },      { "ns", 1 },          { "us", 1000 },         { "ms", MS },
        { "s", SECOND }, { "m", 60 * SECOND }, { "min", 60 * SECOND }, { "h", HOUR },
        { NULL, 0 },
};

static const struct unit size_units[] = {
        { "", 1 },
        { "B", 1 },
        { "k", 1000 },
        { "K", 1000 },
        { "kB", 1000 },
        { "KB", 1000 },
        { "KiB", UINT64_C(1) << 10 },
        { "M", 1000000 },
        { "MB", 1000000 },
        { "MiB", UINT64_C(1) << 20 },
        { "G", 1000000000 },
        { "GB", 1000000000 },
        { "GiB", UINT64_C(1) << 30 },
        { "T", UINT64_C(1000000000000) },
        { "TB", UINT64_C(1000000000000) },
        { "TiB", UINT64_C(1) << 40 },
        { NULL, 0 },
};

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

static const char *skip_spaces(const char *at)
{
        while (*at == ' ')
                at++;
        return at;
}

#define MILLION 1000000

struct decimal {
        uint64_t whole;
        uint64_t millionths; /* further digits are not kept */
        bool zero;           /* every digit is 0, also those not kept */
        bool overflow;
};

/* Read "12" or "12.5" and return what follows, or NULL where there is no number. */
static const char *read_decimal(const char *at, struct decimal *decimal)
{
        *decimal = (struct decimal){ .zero = true };
        if (!is_digit(*at))
                return NULL;
        for (; is_digit(*at); at++) {
                unsigned digit = (unsigned)(*at - '0');
                decimal->zero &= digit == 0;
                decimal->overflow |= __builtin_mul_overflow(decimal->whole, 10, &decimal->whole) ||
                                     __builtin_add_overflow(decimal->whole, digit, &decimal->whole);
        }
        if (*at != '.')
                return at;
        if (!is_digit(*++at))
                return NULL;
        for (uint64_t place = MILLION / 10; is_digit(*at); at++, place /= 10) {
                decimal->zero &= *at == '0';
                decimal->millionths += (uint64_t)(*at - '0') * place;
        }
        return at;
}

static const struct unit *find_unit(const struct unit *units, const char *name)
{
        size_t length = strlen(name);
        while (length > 0 && name[length - 1] == ' ')
                length--;
        for (; units->name; units++)
                if (strlen(units->name) == length && memcmp(units->name, name, length) == 0)
                        return units;
        return NULL;
}

static int parse_quantity(const char *text, const struct unit *units, uint64_t *value)
{
        struct decimal decimal;
        const char *at = read_decimal(skip_spaces(text), &decimal);
        const struct unit *unit = at ? find_unit(units, skip_spaces(at)) : NULL;
        if (!unit)
                return -EINVAL;
        uint64_t whole;
        if (decimal.overflow || __builtin_mul_overflow(decimal.whole, unit->factor, &whole))
                return -ERANGE;
        uint64_t part = decimal.millionths * unit->factor / MILLION; /* at most 10^6 times 3.6 * 10^12 */
        if (__builtin_add_overflow(whole, part, value))
                return -ERANGE;
        /* 0 has a meaning of its own; what is merely too small must not get it. */
        return *value == 0 && !decimal.zero ? -ERANGE : 0;
}

int config_parse_duration(const char *text, uint64_t *duration_ns)
{
        return parse_quantity(text, duration_units, duration_ns);
}

int config_parse_size(const char *text, uint64_t *bytes)
{
        return parse_quantity(text, size_units, bytes);
}

/* ---- the table ---- */

static int parse_duration_in(const char *value, uint64_t least_ns, uint64_t most_ns, bool zero, uint64_t *duration_ns)
{
        uint64_t parsed;
        int status = config_parse_duration(value, &parsed);
        if (status < 0)
                return status;
        if ((parsed < least_ns && !(zero && parsed == 0)) || parsed > most_ns)
                return -ERANGE;
        *duration_ns = parsed;
        return 0;
}

static int parse_threshold(struct config *into, const char *value)
{
        return parse_duration_in(value, MS, HOUR, true, &into->threshold_ns);
}

static int parse_interval(struct config *into, const char *value)
{
        return parse_duration_in(value, MS, 60 * SECOND, false, &into->interval_ns);
}

static int parse_grace(struct config *into, const char *value)
{
        return parse_duration_in(value, 0, HOUR, true, &into->grace_ns);
}

static int parse_limit(struct config *into, const char *value)
{
        uint64_t parsed;
        int status = config_parse_size(value, &parsed);
        if (status < 0)
                return status;
        if (parsed < 4000 || parsed > UINT64_C(1000000000000))
                return -ERANGE;
        into->limit_bytes = parsed;
        return 0;
}

/* Only what the sink can replace may follow a '%': a path with another one would surprise whoever wrote it. */
static int parse_output(struct config *into, const char *value)
{
        if (!*value)
                return -EINVAL;
        if (strlen(value) >= LIMIT_PATH)
                return -ERANGE;
        for (const char *at = value; (at = strchr(at, '%')) != NULL; at += 2)
                if (at[1] == '\0' || !strchr("pnt%", at[1]))
                        return -EINVAL;
        into->output = strcmp(value, "stderr") == 0 ? NULL : value;
        return 0;
}

static int parse_own(struct config *into, const char *value)
{
        if (strlen(value) >= LIMIT_PATH)
                return -ERANGE;
        into->own = *value ? value : NULL; /* empty is its default */
        return 0;
}

static int parse_loops(struct config *into, const char *value)
{
        static const char *const names[] = {
                [CONFIG_LOOPS_AUTO] = "auto", [CONFIG_LOOPS_ALL] = "all", [CONFIG_LOOPS_API] = "api"
        };
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                if (strcmp(value, names[i]) == 0) {
                        into->loops = (enum config_loops)i;
                        return 0;
                }
        }
        return -EINVAL;
}

static unsigned redact_bit(const char *name, size_t length)
{
        static const struct {
                const char *name;
                unsigned bit;
        } bits[] = {
                { "peers", CONFIG_REDACT_PEERS },
                { "paths", CONFIG_REDACT_PATHS },
                { "labels", CONFIG_REDACT_LABELS },
        };
        for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
                if (strlen(bits[i].name) == length && memcmp(bits[i].name, name, length) == 0)
                        return bits[i].bit;
        return 0;
}

static int parse_redact(struct config *into, const char *value)
{
        unsigned redact = 0;
        if (strcmp(value, "none") != 0) {
                for (const char *at = value;; at++) {
                        size_t length = strcspn(at, ",");
                        unsigned bit = redact_bit(at, length);
                        if (!bit)
                                return -EINVAL;
                        redact |= bit;
                        at += length;
                        if (!*at)
                                break;
                }
        }
        into->redact = redact;
        return 0;
}

static int parse_follow(struct config *into, const char *value)
{
        if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
                return -EINVAL;
        into->follow = value[0] == '1';
        return 0;
}

static int parse_python(struct config *into, const char *value)
{
        if (strcmp(value, "auto") != 0 && strcmp(value, "0") != 0)
                return -EINVAL;
        into->python = value[0] != '0';
        return 0;
}

/* "40", "SIGRTMIN+3", "RTMAX-5". */
static int parse_signal(struct config *into, const char *value)
{
        if (strcmp(value, "none") == 0) {
                into->signal = CONFIG_SIGNAL_NONE;
                return 0;
        }
        struct decimal number;
        const char *at = strncmp(value, "SIG", 3) == 0 ? value + 3 : value;
        bool from_least = strncmp(at, "RTMIN", 5) == 0, from_most = strncmp(at, "RTMAX", 5) == 0;
        int64_t base = from_least ? SIGRTMIN : from_most ? SIGRTMAX : 0;
        int sign = 1;
        if (base) {
                at += 5;
                if (*at == '\0')
                        at = "+0";
                if (*at != '+' && *at != '-')
                        return -EINVAL;
                sign = *at == '-' ? -1 : 1;
                at++;
        } else if (at != value) {
                return -EINVAL;
        }
        at = read_decimal(at, &number);
        if (!at || *at || number.millionths)
                return -EINVAL;
        if (number.overflow || number.whole > 1000)
                return -ERANGE;
        int64_t parsed = base + sign * (int64_t)number.whole;
        if (parsed < SIGRTMIN || parsed > SIGRTMAX)
                return -ERANGE;
        into->signal = (int)parsed;
        return 0;
}

const struct config_setting config_settings[] = {
        { "LOOPDOG_THRESHOLD", "threshold", "DURATION", "100ms", "1ms to 1h, or 0 to turn the detector off",
          "report an iteration of a loop that takes longer than this; a plain number is milliseconds",
          parse_threshold },
        { "LOOPDOG_OUTPUT", "output", "PATH", "stderr", "a path; %p pid, %n name, %t start time, %% a percent sign",
          "write records as JSON Lines to this file, or to one file a process in this directory", parse_output },
        { "LOOPDOG_INTERVAL", "interval", "DURATION", "a tenth of the threshold", "1ms to 60s",
          "time between two samples of a stalled loop", parse_interval },
        { "LOOPDOG_LOOPS", "loops", "WHICH", "auto", "auto, all or api",
          "what counts as a loop: what looks like one, every thread that waits, or only what the API names",
          parse_loops },
        { "LOOPDOG_GRACE", "grace", "DURATION", "0", "0 to 1h",
          "treat stalls that begin earlier than this after the first wait as start-up", parse_grace },
        { "LOOPDOG_OWN", "own", "PREFIXES", "", "path prefixes separated by ':', below 1024 bytes",
          "code below these paths is the user's own wherever it is installed", parse_own },
        { "LOOPDOG_LIMIT", "limit", "SIZE", "256MB", "4kB to 1TB", "bytes of one output file; then counts only",
          parse_limit },
        { "LOOPDOG_REDACT", "redact", "LIST", "none", "peers, paths and labels separated by ',', or none",
          "what is left out of records", parse_redact },
        { "LOOPDOG_FOLLOW", "follow", "0|1", "1", "0 or 1", "with 0, child processes do not inherit the preload",
          parse_follow },
        { "LOOPDOG_SIGNAL", "signal", "SIGNAL", "a free one",
          "SIGRTMIN to SIGRTMAX, as a number or like RTMAX-5, or none",
          "the real-time signal that captures a running thread; with none, only sleeping ones have stacks",
          parse_signal },
        { "LOOPDOG_PYTHON", "python", "auto|0", "auto", "auto or 0", "with 0, stacks have no frames of Python",
          parse_python },
        { .variable = NULL },
};

/* ---- complaints ---- */

/* `string` in at most VALUE_SHOWN bytes, and safe on a terminal. */
static void shown(struct text *out, const char *string)
{
        char bytes[VALUE_SHOWN];
        struct text start = TEXT_IN(bytes);
        text_printable(&start, string);
        text_bytes(out, start.bytes, start.length);
        if (start.cut)
                text_string(out, "...");
}

/* "LOOPDOG_THRESHOLD=2h is out of range (1ms to 1h ...)". */
static void complain(struct text *out, const char *name, const char *value, int status, const char *range)
{
        text_string(out, name);
        text_char(out, '=');
        if (*value)
                shown(out, value);
        text_string(out, !*value ? " is empty" : status == -ERANGE ? " is out of range" : " is not understood");
        text_format(out, " (%s)", range);
}

static size_t smallest(size_t a, size_t b, size_t c)
{
        size_t least = a < b ? a : b;
        return least < c ? least : c;
}

/* Levenshtein's distance; both names are shorter than NAME_SHOWN. One row of the matrix at a time. */
static size_t edit_distance(const char *from, const char *to)
{
        size_t row[NAME_SHOWN + 1];
        size_t to_length = strlen(to);
        for (size_t j = 0; j <= to_length; j++)
                row[j] = j;
        for (size_t i = 1; from[i - 1]; i++) {
                size_t diagonal = row[0];
                row[0] = i;
                for (size_t j = 1; j <= to_length; j++) {
                        size_t above = row[j];
                        row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (from[i - 1] != to[j - 1]));
                        diagonal = above;
                }
        }
        return row[to_length];
}

/* The setting whose name is nearest, or NULL where none is near enough to have been meant. */
static const struct config_setting *nearest(const char *name, bool flag)
{
        const struct config_setting *best = NULL;
        size_t least = strlen(name) < NAME_SHOWN ? 4 : 0; /* distances from here on are no misspelling */
        for (const struct config_setting *setting = config_settings; least && setting->variable; setting++) {
                const char *known = flag ? setting->flag : setting->variable + strlen(PREFIX);
                size_t distance = edit_distance(name, known);
                if (distance < least && distance * 2 <= strlen(known)) {
                        least = distance;
                        best = setting;
                }
        }
        return best;
}

static void note_unknown(const char *name)
{
        char bytes[LIMIT_NOTICE_BYTES];
        struct text line = TEXT_IN(bytes);
        const struct config_setting *meant = nearest(name + strlen(PREFIX), false);
        shown(&line, name);
        text_string(&line, " is not a setting and is ignored");
        if (meant)
                text_format(&line, ": did you mean %s?", meant->variable);
        else
                text_string(&line, "; loopdog help run lists them");
        notice("%s", line.bytes);
}

static void note_wrong(const struct config_setting *setting, const char *value, int status)
{
        char bytes[LIMIT_NOTICE_BYTES];
        struct text line = TEXT_IN(bytes);
        complain(&line, setting->variable, value, status, setting->range);
        text_format(&line, ": using %s", setting->fallback[0] ? setting->fallback : "none");
        notice("%s", line.bytes);
}

/* ---- loading ---- */

/* The index of the setting named by the `length` bytes at `variable`, or -1. */
static int find_variable(const char *variable, size_t length)
{
        for (int i = 0; config_settings[i].variable; i++)
                if (strlen(config_settings[i].variable) == length &&
                    memcmp(config_settings[i].variable, variable, length) == 0)
                        return i;
        return -1;
}

/* `seen` has a bit for each setting: as for getenv(), the first of two equal names counts. */
static void load_variable(struct config *into, const char *variable, unsigned *seen)
{
        const char *equals = strchr(variable, '=');
        if (!equals)
                return;
        size_t length = (size_t)(equals - variable);
        int index = find_variable(variable, length);
        if (index < 0) {
                char name[NAME_SHOWN + 1];
                struct text copy = TEXT_IN(name);
                text_bytes(&copy, variable, length);
                note_unknown(name);
                return;
        }
        if (*seen & 1u << index)
                return;
        *seen |= 1u << index;
        int status = config_settings[index].parse(into, equals + 1);
        if (status < 0)
                note_wrong(&config_settings[index], equals + 1, status);
}

static uint64_t default_interval_ns(uint64_t threshold_ns)
{
        uint64_t tenth_ns = threshold_ns / 10;
        return tenth_ns < MS ? MS : tenth_ns > SECOND ? SECOND : tenth_ns;
}

static const char *keep(char *copy, const char *string)
{
        if (!string)
                return NULL;
        struct text text = { .bytes = copy, .capacity = LIMIT_PATH };
        text_string(&text, string);
        return copy;
}

void config_load(struct config *into, char *const *environment)
{
        static char output_copy[LIMIT_PATH], own_copy[LIMIT_PATH];
        unsigned seen = 0;
        *into = (struct config)CONFIG_DEFAULTS;
        into->interval_ns = 0;
        for (; environment && *environment; environment++)
                if (strncmp(*environment, PREFIX, strlen(PREFIX)) == 0)
                        load_variable(into, *environment, &seen);
        if (into->interval_ns == 0)
                into->interval_ns = default_interval_ns(into->threshold_ns);
        into->output = keep(output_copy, into->output);
        into->own = keep(own_copy, into->own);
}

int config_check(const char *name, const char *value, char *complaint, size_t capacity)
{
        struct text line = { .bytes = complaint, .capacity = capacity };
        text_clear(&line);
        bool flag = strncmp(name, PREFIX, strlen(PREFIX)) != 0;
        for (const struct config_setting *setting = config_settings; setting->variable; setting++) {
                if (strcmp(name, flag ? setting->flag : setting->variable) != 0)
                        continue;
                struct config ignored;
                int status = setting->parse(&ignored, value);
                if (status < 0) {
                        text_string(&line, flag ? "--" : "");
                        complain(&line, name, value, status, setting->range);
                }
                return status < 0 ? -EINVAL : 0;
        }
        const struct config_setting *meant = nearest(flag ? name : name + strlen(PREFIX), flag);
        text_string(&line, flag ? "--" : "");
        shown(&line, name);
        text_string(&line, " is not a setting");
        if (meant)
                text_format(&line, ": did you mean %s%s?", flag ? "--" : "", flag ? meant->flag : meant->variable);
        return -EINVAL;
}
