#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_hosts.py - no name of a package registry's host stands anywhere in the repository

Where packages come from is the machine's own business (its apt sources, its proxy): a host name in a script would one
day bypass it.

Context: meson test, suite check
"""

import re
import sys

import tree

# Written with blanks, so that this file does not contain them either.
HOSTS = [name.replace(' ', '.') for name in (
    'deb debian org', 'ftp debian org', 'security debian org', 'snapshot debian org', 'archive ubuntu com',
    'registry npmjs org', 'registry yarnpkg com', 'pypi org', 'files pythonhosted org', 'crates io', 'rubygems org',
    'proxy golang org', 'deb nodesource com', 'packages cloud google com', 'dl google com', 'apt llvm org',
    'repo maven apache org', 'ghcr io', 'docker io', 'quay io')]
PATTERN = re.compile('|'.join(rf'(?<![\w-]){re.escape(host)}(?![\w-])' for host in HOSTS), re.IGNORECASE)


def check_hosts(root):
    complaints = []
    for name in tree.files(root):
        for number, line in enumerate(tree.text(root / name).splitlines(), 1):
            for host in PATTERN.findall(line):
                complaints.append(f'{name}:{number}: the host of a package registry: {host}')
    return complaints


def self_test():
    tree.expect(check_hosts, {'README.md': 'See debian.org and https://docs.example.org/crates.iox.\n'})
    for host in HOSTS:
        tree.expect(check_hosts, {'a/b.txt': f'first\nhttp://{host}/x\n'}, f'a/b.txt:2: the host of a package registry')


if __name__ == '__main__':
    sys.exit(tree.main(check_hosts, self_test))
