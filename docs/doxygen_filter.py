#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""doxygen_filter.py - the comments of the public headers as Doxygen wants them

People read the headers themselves, so those have no tool's commands in them. What stands in a comment as "name: ..." is
a parameter where the function has one of that name, else a paragraph of that title (Errors, Context, Returns).

Usage: doxygen_filter.py HEADER

Context: doxygen
"""

import re
import sys

COMMENT = re.compile(r'/\*(?!\*)(.*?)\*/', re.DOTALL)


def item(match, arguments):
    name, text = match[1], match[2]
    if re.search(rf'\b{re.escape(name)}\b', arguments):
        return f'\n * @param {name} {text}'
    return f'\n * @return {text}' if name == 'Returns' else f'\n * @par {name}\n * {text}'


def of_function(comment, arguments):
    return re.sub(r'\n \* (\w+):\s+(.*)', lambda match: item(match, arguments), comment)


def convert(text):
    out, at = [], 0
    for comment in COMMENT.finditer(text):
        line_before = text[text.rfind('\n', 0, comment.start()) + 1:comment.start()]
        after = text[comment.end():text.find(';', comment.end()) + 1]
        body = comment[1].replace('<', '&lt;').replace('#', '&#35;').replace('@', '&#64;').replace('%', '%%')
        out.append(text[at:comment.start()])
        if comment.start() == 0:
            out.append(f'/** @file\n *\n *{body}*/')
        elif line_before.strip():
            out.append(f'/**<{body}*/')
        elif '(' in after:
            out.append(f'/**{of_function(body, after)}*/')
        else:
            out.append(f'/**{body}*/')
        at = comment.end()
    return ''.join(out) + text[at:]


if __name__ == '__main__':
    with open(sys.argv[1], encoding='utf-8') as header:
        sys.stdout.write(convert(header.read()))
