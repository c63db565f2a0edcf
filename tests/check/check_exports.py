#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_exports.py - what libloopdog.so shows to its host, and what it asks of it

A preloaded library comes before all others in the search for a symbol: each one that it exports replaces somebody
else's, so it exports the functions of hooks.def and the API and nothing more. What it needs is loaded into every
process: libc and nothing more. What it keeps in .data and .bss is paid for by every program that locks its memory
(mlockall), loop or not: large tables are mapped when they are needed (base/table.h). _Unwind_* would take the host's
C++ exceptions over, and __tls_get_addr allocates at its first use in a signal handler.

Usage: check_exports.py LIBRARY

Context: meson test, suite check; `--self-test CC` builds small libraries that each break one rule
"""

import pathlib
import re
import subprocess
import sys
import tempfile

import tree

HOOK_ROW = re.compile(r'^HOOK\w*\(([^,]+),\s*(\w+)', re.MULTILINE)
KEPT_MOST = 2200000  # bytes in .data and .bss
NEEDED_ALLOWED = re.compile(r'libc\.so\.6|ld-linux[\w-]*\.so\.\d+')


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def dynamic_symbols(library):
    """(defined, undefined) names without versions."""
    defined, undefined = set(), set()
    for line in output('readelf', '--wide', '--dyn-syms', str(library)).splitlines():
        fields = line.split()
        if len(fields) < 8 or not fields[0].rstrip(':').isdigit():
            continue
        name = fields[7].split('@')[0]
        if fields[6] == 'UND':
            undefined.add(name)
        elif fields[6] != 'ABS':  # ABS: the names of versions
            defined.add(name)
    return defined, undefined


def check_names(library, hooks):
    defined, undefined = dynamic_symbols(library)
    for name in sorted(defined - hooks):
        if not name.startswith('loopdog_'):
            yield f'{name} is exported, but is no row of hooks.def and no part of the API'
    for name in sorted(hooks - defined):
        yield f'{name} is a row of hooks.def, but not exported'
    for name in sorted(defined | undefined):
        if re.match(r'_Unwind_|__(gcc|gxx)_personality', name):
            yield f'{name}: the unwinder of the host must stay its own (an __attribute__((cleanup)) or C++?)'
        elif name == '__tls_get_addr':
            yield f'{name}: a thread-local variable that is not initial-exec'


def check_dynamic(library):
    for kind, value in re.findall(r'\((\w+)\)\s+(.*)', output('readelf', '--wide', '--dynamic', str(library))):
        if kind == 'NEEDED':
            name = re.search(r'\[(.*)\]', value).group(1)
            if not NEEDED_ALLOWED.fullmatch(name):
                yield f'needs {name}: only libc may be needed'
        elif kind == 'TEXTREL':
            yield 'has text relocations'
    if re.search(r'R_\w+_(DTPMOD64|DTPOFF64|TLSDESC)\b', output('readelf', '--wide', '--relocs', str(library))):
        yield 'has relocations of dynamic thread-local storage: only initial-exec does not allocate'


def check_kept(library):
    _, undefined = dynamic_symbols(library)
    if '__asan_init' in undefined:  # which puts a zone around each table
        return
    kept = sum(int(size, 16) for size in re.findall(r' \.t?(?:data|bss)\s+\w+\s+\w+ \w+ (\w+) ',
                                                    output('readelf', '--wide', '--sections', str(library))))
    if kept > KEPT_MOST:
        yield f'{kept} bytes in .data and .bss, of which all programs pay that lock their memory: at most {KEPT_MOST}'


def check_exports(library, hooks):
    return [f'{library.name}: {complaint}'
            for complaint in [*check_names(library, hooks), *check_dynamic(library), *check_kept(library)]]


def rows(definitions):
    names = [match[1] for match in HOOK_ROW.findall(definitions)]
    twice = {name for name in names if names.count(name) > 1}
    if not names or twice:
        sys.exit(f'hooks.def: {"twice: " + ", ".join(sorted(twice)) if twice else "no rows found"}')
    return set(names)


SOURCE = '#define SHOWN __attribute__((visibility("default")))\nint poll(void); void *loopdog_open(void);\n' \
         'SHOWN int poll(void) { return 1; } SHOWN void *loopdog_open(void) { return 0; }\n'
BREAKERS = [
    ('', '', []),
    ('SHOWN int stray(void) { return 1; }', '', ['stray is exported']),
    ('', '-Dpoll=other', ['other is exported', 'poll is a row of hooks.def, but not exported']),
    ('#include <math.h>\nSHOWN double loopdog_f(double x) { return sin(x); }', '-lm', ['needs libm.so.6']),
    ('extern void _Unwind_Resume(void *); SHOWN void loopdog_f(void) { _Unwind_Resume(0); }', '-Wl,-z,undefs',
     ['_Unwind_Resume: the unwinder']),
    ('SHOWN __thread int loopdog_t; SHOWN int *loopdog_f(void) { return &loopdog_t; }', '-ftls-model=global-dynamic',
     ['__tls_get_addr: a thread-local', 'relocations of dynamic thread-local']),
    ('SHOWN __thread int loopdog_t; SHOWN int *loopdog_f(void) { return &loopdog_t; }', '-ftls-model=initial-exec',
     []),
    ('SHOWN char loopdog_t[1300000]; SHOWN char loopdog_u[1000000] = "a";', '', ['bytes in .data and .bss'])]


def self_test(compiler):
    hooks = rows('HOOK(int, poll,\n     (struct pollfd *fds))\n/* HOOK(int, no, ()) */\n')
    with tempfile.TemporaryDirectory(prefix='loopdog-check-') as folder:
        source, library = pathlib.Path(folder) / 'a.c', pathlib.Path(folder) / 'liba.so'
        for line, flags, expected in BREAKERS:
            source.write_text(SOURCE + line + '\n', encoding='utf-8')
            libraries = [flag for flag in flags.split() if flag.startswith('-l')]
            subprocess.run([*compiler, '-shared', '-fPIC', '-fvisibility=hidden', '-nostdlib',
                            *(flag for flag in flags.split() if flag not in libraries), '-o', str(library),
                            str(source), '-Wl,--no-as-needed', *libraries, '-lc'], check=True)
            found = check_exports(library, hooks)
            if len(found) != len(expected) or not all(want in have for want, have in zip(expected, found)):
                sys.exit(f'self-test: {line!r} {flags}: expected {expected}, got {found}')


def main(arguments):
    if arguments[0] == '--self-test':
        self_test(arguments[1:] or ['cc'])
        return 0
    hooks = rows(tree.text(tree.ROOT / 'src' / 'hooks' / 'hooks.def'))
    complaints = check_exports(pathlib.Path(arguments[0]), hooks)
    print('\n'.join(complaints), end='\n' if complaints else '')
    return 1 if complaints else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
