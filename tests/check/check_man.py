#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_man.py - the man pages say what the programs and the header say, and are well formed

What loopdog.h(3) says of functions, structures and adapters, and the settings in libloopdog(7), are made from the
headers and from the agent's own table: --update writes them, the check compares. Each command has a page with every
option that its help lists. mandoc has no complaint about any.

Usage: check_man.py [--update] PRINT_SETTINGS LOOPDOG
       check_man.py --self-test

Context: meson test, suite check; mandoc where it is installed
"""

import re
import shutil
import subprocess
import sys

import tree

MAN = tree.ROOT / 'docs' / 'man'
HEADER = tree.ROOT / 'include' / 'loopdog.h'
FUNCTION = re.compile(r'/\* ([^/]*?) \*/\n((?:(?:const char \*|int |void |loopdog_loop \*)loopdog_\w+\([^;]*\);\n)+)')
STRUCT = re.compile(r'(?:^/\*(?:(?!\*/).)*\*/\n)?^struct \w+ \{.*?^\};\n(?:#define \w+[^\n]*\n(?: {8}[^\n]*\n)?)*',
                    re.MULTILINE | re.DOTALL)
ATTACHING = re.compile(r'/\* ((?:(?!\*/).)*?Context:(?:(?!\*/).)*) \*/\nstatic inline ([^(]*?)(\w+)\(([^)]*)\)\n\{',
                       re.DOTALL)
MACRO = re.compile(r'/\* ((?:(?!\*/).)*) \*/\n#define (LOOPDOG_\w+)\(([^)]*)\)', re.DOTALL)
PROTOTYPE = re.compile(r'^(const char \*|int |void |loopdog_loop \*)(loopdog_\w+)\(([^;]*)\);$', re.MULTILINE)
OPTION = re.compile(r'^ {2,6}(?:-(\w), )?(?:    )?--([\w-]+)', re.MULTILINE)
BEGIN, END = '.\\" begin of what is generated: {}\n', '.\\" end of what is generated\n'


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def sentences(text):
    """mdoc wants each on a line of its own; none may look like a request."""
    text = re.sub(r'(?<=[\w)"]\.) (?=[A-Z])', '\n', ' '.join(text.split()))
    return ''.join(f'\\&{line}\n' if line[:1] in ".'" else f'{line}\n' for line in text.split('\n'))


def function_text(comment, names):
    first, *rest = re.sub(r'\n \* ?', '\n', comment).split('\n\n')
    page = '.It ' + ' , '.join(f'Fn {name}' for name in names) + '\n' + sentences(first)
    for item in re.split(r'\n(?=\w+:\s)', '\n'.join(rest).strip('\n')):
        page += f'.br\n{sentences(item)}' if item.strip() else ''
    return page


def functions_page(header):
    """Every function of the header with its comment."""
    found = FUNCTION.findall(header[:header.index('#else /* LOOPDOG_DISABLE')])
    return ''.join(function_text(comment, re.findall(r'^.*?(loopdog_\w+)\(', prototypes, re.MULTILINE))
                   for comment, prototypes in found)


def prototype(kind, name, parameters):
    """One function of a synopsis. A comma within parentheses parts no parameters."""
    lines = [f'.Fa "{part.strip()}"\n' for part in re.split(r',(?![^(]*\))', parameters)]
    return f'.Ft {kind.strip()}\n.Fo {name}\n{"".join(lines)}.Fc\n'


def synopsis_page(header):
    return ''.join(prototype(*found) for found in PROTOTYPE.findall(header[:header.index('#else /* LOOPDOG_DISABLE')]))


def structures_page(header):
    """As they stand in the header, with the constants that follow them."""
    found = [text.replace('\\', '\\e') for text in STRUCT.findall(header)]
    return '.Bd -literal\n' + '\n'.join(found) + '.Ed\n'


def adapter_page(name, header):
    """The functions that attach and the macros that wrap."""
    page = f'.Ss <loopdog/{name}>\n.Bl -tag -width Ds\n'
    for comment, kind, function, parameters in ATTACHING.findall(header):
        words = ' '.join(f'{kind}{function}({parameters})'.split())
        page += function_text(comment, [function]).replace(f'.It Fn {function}\n', f'.It Li \\&{words}\n', 1)
    for comment, macro, parameters in MACRO.findall(header):
        page += function_text(comment, [macro]).replace(f'.It Fn {macro}\n', f'.It Li {macro}({parameters})\n', 1)
    return page + '.El\n'


def adapters_page():
    headers = sorted((HEADER.parent / 'loopdog').glob('*.h'))
    return ''.join(adapter_page(path.name, path.read_text()) for path in headers)


def settings_page(printed):
    page = ''
    for line in printed.splitlines()[2:]:
        variable, _, default, values, meaning = (cell.strip().strip('`') for cell in line[2:-2].split(' | '))
        page += f'.It Ev {variable}\n' + sentences(f'{meaning[0].upper()}{meaning[1:]}.')
        page += f'.br\nRange: {values}.\n.br\nDefault: {default or "none"}.\n'
    return page


def exchange(page, name, made):
    before, _, rest = page.partition(BEGIN.format(name))
    return before + BEGIN.format(name) + made + END + rest.partition(END)[2]


def check_options(page, help_text):
    plain = page.replace('\\-', '-')
    return [f'--{name}' for _, name in OPTION.findall(help_text)
            if name not in ('help', 'usage') and not re.search(rf'Fl -{re.escape(name)}(\s|$)', plain, re.MULTILINE)]


def check_commands(loopdog):
    for command in re.findall(r'^  loopdog ([a-z]+)\b', output(loopdog, 'help'), re.MULTILINE):
        page = MAN / f'loopdog-{command}.1'
        if command == 'help':
            continue
        if not page.is_file():
            yield f'docs/man/{page.name}: missing'
            continue
        for option in check_options(page.read_text(), output(loopdog, 'help', command)):
            yield f'docs/man/{page.name}: {option} is missing'


def check_form():
    if not shutil.which('mandoc'):
        print('mandoc is not installed: the form of the pages was not checked')
        return
    for page in sorted(MAN.glob('*.[137]')):
        said = subprocess.run(['mandoc', '-T', 'lint', '-W', 'warning', str(page)], capture_output=True, text=True,
                              check=False).stdout
        yield from said.splitlines()


def self_test():
    header = '/* Do it.\n *\n * loop: which\n * Errors: none\n */\nint loopdog_do(void);\n#else /* LOOPDOG_DISABLE'
    structs = 'x\n/* All. */\nstruct loopdog_x {\n        int a;\n};\n#define LOOPDOG_Y 1\n\n'
    adapter = ('/* Attach.\n *\n * Context: any\n */\nstatic inline void loopdog_x_attach(int a)\n{\n}\n'
               '/* Wrap. */\n#define LOOPDOG_X(name) f(name)\n')
    settings = 'a\nb\n| `LOOPDOG_A` | `--a X` | 1 | 0 or 1 | what it means |'
    for got, wanted in [
            (functions_page(header), '.It Fn loopdog_do\nDo it.\n.br\nloop: which\n.br\nErrors: none\n'),
            (settings_page(settings), '.It Ev LOOPDOG_A\nWhat it means.\n.br\nRange: 0 or 1.\n.br\nDefault: 1.\n'),
            (synopsis_page('void loopdog_a(void (*f)(int, int), long b);\n#else /* LOOPDOG_DISABLE'),
             '.Ft void\n.Fo loopdog_a\n.Fa "void (*f)(int, int)"\n.Fa "long b"\n.Fc\n'),
            (structures_page(structs), '.Bd -literal\n' + structs[2:-1] + '.Ed\n'),
            (adapter_page('x.h', adapter),
             '.Ss <loopdog/x.h>\n.Bl -tag -width Ds\n.It Li \\&void loopdog_x_attach(int a)\nAttach.\n.br\n'
             'Context: any\n.It Li LOOPDOG_X(name)\nWrap.\n.El\n'),
            (exchange(f'x\n{BEGIN.format("a")}old\n{END}y\n', 'a', 'new\n'),
             f'x\n{BEGIN.format("a")}new\n{END}y\n'),
            (check_options('.It Fl \\-color Ns = Ns Ar WHEN\n', '      --color=WHEN\n  -o, --output=PATH\n'),
             ['--output'])]:
        if got != wanted:
            sys.exit(f'self-test: expected {wanted!r}, got {got!r}')


def main(arguments):
    if arguments == ['--self-test']:
        self_test()
        return 0
    update = arguments[0] == '--update'
    print_settings, loopdog = arguments[1:] if update else arguments
    complaints = []
    header = HEADER.read_text()
    for name, part, made in (('loopdog.h.3', 'synopsis', synopsis_page(header)),
                             ('loopdog.h.3', 'functions', functions_page(header)),
                             ('loopdog.h.3', 'structures', structures_page(header)),
                             ('loopdog.h.3', 'adapters', adapters_page()),
                             ('libloopdog.7', 'settings', settings_page(output(print_settings)))):
        page = (MAN / name).read_text()
        whole = exchange(page, part, made)
        if update:
            (MAN / name).write_text(whole)
        elif page != whole:
            complaints.append(f'docs/man/{name} is not what is generated: check_man.py --update')
    complaints += [*check_commands(loopdog), *check_form()]
    print('\n'.join(complaints), end='\n' if complaints else '')
    return 1 if complaints else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
