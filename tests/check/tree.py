# SPDX-License-Identifier: Apache-2.0
"""tree.py - the files of this repository, and how a check reports

A check is a function from a folder to a list of complaints, so that each can be tried on a small made-up tree in its
own `--self-test`: a check that can't fail proves nothing.

Context: imported by the checks beside it
"""

import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def files(root):
    """Paths relative to `root` of what is in git or would be added; without git (an unpacked archive) of everything."""
    git = subprocess.run(['git', '-C', str(root), 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
                         capture_output=True, check=False)
    if git.returncode == 0 and (root / '.git').exists():
        names = sorted(set(git.stdout.decode(errors='surrogateescape').split('\0')) - {''})
        return [pathlib.Path(name) for name in names if (root / name).is_file()]
    return sorted(walk(root))


def walk(root):
    for folder, below, names in os.walk(root):
        below[:] = [name for name in below if name not in ('.git', '__pycache__') and not name.startswith('build')]
        for name in names:
            yield (pathlib.Path(folder) / name).relative_to(root)


def text(path):
    return path.read_text(encoding='utf-8', errors='replace')


def plant(contents):
    """A temporary folder with the given files ({'src/a.c': 'text'}); for self-tests."""
    folder = tempfile.TemporaryDirectory(prefix='loopdog-check-')  # pylint: disable=consider-using-with
    for name, content in contents.items():
        path = pathlib.Path(folder.name) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding='utf-8')
    return folder


def expect(check, contents, *words):
    """Run `check` on a planted tree: exactly one complaint for each of `words`, each containing its words."""
    with plant(contents) as folder:
        complaints = check(pathlib.Path(folder))
    unmet = [word for word in words if not any(word in complaint for complaint in complaints)]
    if unmet or len(complaints) != len(words):
        sys.exit(f'self-test of {check.__name__}: expected {list(words)}, got {complaints}')


def main(check, self_test):
    """The main program of a check: `check_x.py`, or `check_x.py --self-test`."""
    if sys.argv[1:] == ['--self-test']:
        self_test()
        return 0
    complaints = check(ROOT)
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0
