#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_includes.py - the include rule of src/README.md

A stage includes base/, itself, and the stage before it on the path. hooks/ and api/ stand at the path's beginning and
are where the host's thread comes in: they call loop/, the one call down the path. Only agent.c, look.c, account.c,
asked.c and told.c see all stages. tools/ includes record/ and base/ of src, and itself; of record/ only what is not the
agent's own.
Without such a rule every stage would know every other within a year.

Context: meson test, suite check
"""

import re
import sys

import tree

PATH = ['hooks', 'api', 'loop', 'watch', 'capture', 'unwind', 'script', 'explain', 'record']
ENTRANCES = ('hooks', 'api')
BESIDE = ('agent', 'look', 'account', 'asked', 'told')  # these see all stages
# The part of record/ that the reader has no use for.
AGENTS_OWN = ('record/fill.h', 'record/journal.h', 'record/sink.h')
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def stage_before(stage, stages):
    """The stages that hand over to `stage`, of those that exist."""
    if stage in ENTRANCES:
        return []
    before = [name for name in PATH[:PATH.index(stage)] if name in stages]
    if before and before[-1] in ENTRANCES:
        return [name for name in before if name in ENTRANCES]
    # script/ adds frames to the stack that unwind/ made, and hands that on.
    return before[-2:] if before[-1:] == ['script'] else before[-1:]


def allowed(room, stages):
    if room == 'base':
        return {'base'}
    rooms = {'base', room, *stage_before(room, stages)}
    return rooms | {'loop'} if room in ENTRANCES else rooms


def check_stage(name, room, inner, stages):
    if room != 'base' and room not in PATH:
        return f'{name}: src/{room}/ is no stage of the path'
    if inner in allowed(room, stages) or inner == 'include':
        return None
    return f'{name}: {room}/ may include {", ".join(sorted(allowed(room, stages)))}, not {inner}/'


def room_of(root, name, included):
    """Which folder of src an include names: 'include' for the public headers, 'tools' for the reader's own."""
    first = included.split('/')[0]
    if '..' in included.split('/'):
        return None
    if (root / 'src' / included).is_file():
        return first
    if (root / 'include' / included).is_file():
        return 'include'
    if (root / 'tools' / included).is_file() or (root / name.parent / included).is_file():
        return 'tools' if name.parts[0] == 'tools' else None
    return None


def check_file(root, name, stages):
    for included in INCLUDE.findall(tree.text(root / name)):
        room = room_of(root, name, included)
        if room is None:
            yield f'{name}: "{included}" is no path below src/ or include/ (or tools/, for the reader)'
        elif name.parts[0] == 'tools':
            if room not in ('tools', 'record', 'base', 'include') or included in AGENTS_OWN:
                yield f'{name}: tools/ may include record/ and base/ of src, not {included}'
        elif len(name.parts) > 2:
            complaint = check_stage(name, name.parts[1], room, stages)
            if complaint:
                yield complaint
        elif name.stem not in BESIDE:
            yield f'{name}: only ' + ', '.join(f'{beside}.c' for beside in BESIDE) + ' may stand beside the stages'


def check_includes(root):
    sources = [name for name in tree.files(root)
               if name.parts[0] in ('src', 'tools') and name.suffix in ('.c', '.h', '.def')]
    stages = {name.parts[1] for name in sources if name.parts[0] == 'src' and len(name.parts) > 2}
    if not sources:
        return [f'{root}: no sources found']
    return [complaint for name in sources for complaint in check_file(root, name, stages)]


GOOD = {
    'src/base/text.h': '', 'src/base/text.c': '#include "base/text.h"\n#include <stdio.h>\n',
    'src/hooks/hooks.h': '#include "base/text.h"\n', 'src/hooks/waits.c': '#include "loop/loop.h"\n',
    'src/loop/loop.h': '#include "hooks/hooks.h"\n', 'src/watch/policy.c': '#include "loop/loop.h"\n',
    'src/unwind/stack.h': '', 'src/script/script.h': '#include "unwind/stack.h"\n',
    'src/explain/cause.h': '# include "unwind/stack.h"\n#include "script/script.h"\n',
    'src/record/sink.h': '',
    'src/record/record.h': '#include "base/text.h"\n#include "explain/cause.h"\n#include "loopdog.h"\n',
    'src/agent.c': '#include "hooks/hooks.h"\n#include "record/record.h"\n', 'include/loopdog.h': '',
    'tools/read/read.h': '', 'tools/main.c': '#include "record/record.h"\n#include "read/read.h"\n',
}


def self_test():
    tree.expect(check_includes, GOOD)
    for name, line, complaint in [
            ('src/base/clock.c', '#include "loop/loop.h"', 'base/ may include base'),
            ('src/watch/up.c', '#include "record/record.h"', 'watch/ may include'),
            ('src/explain/far.c', '#include "loop/loop.h"', 'explain/ may include'),
            ('src/script/far.c', '#include "explain/cause.h"', 'script/ may include'),
            ('src/hooks/far.c', '#include "record/record.h"', 'hooks/ may include'),
            ('src/loop/dots.c', '#include "../base/text.h"', 'is no path'),
            ('src/loop/lost.c', '#include "base/nothing.h"', 'is no path'),
            ('src/other.c', '#include "base/text.h"', 'may stand beside the stages'),
            ('src/extra/new.c', '#include "base/text.h"', 'no stage'),
            ('src/base/reader.c', '#include "read/read.h"', 'is no path'),
            ('tools/cmd_x.c', ' #\tinclude "loop/loop.h"', 'tools/ may include'),
            ('tools/cmd_y.c', '#include "record/sink.h"', 'tools/ may include')]:
        tree.expect(check_includes, {**GOOD, name: line + '\n'}, complaint)


if __name__ == '__main__':
    sys.exit(tree.main(check_includes, self_test))
