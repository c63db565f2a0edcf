#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_schema.py - the golden records, the JSON Schema and docs/records.md say the same

Every golden line of version 1 is valid and has no field that the schema does not list; every field of the schema
stands in at least one golden line, has a description with its unit, and stands in docs/records.md in the right section,
in bold exactly if it is required.

Context: meson test, suite check; needs python3-jsonschema
"""

import copy
import json
import re
import sys

import tree

try:
    import jsonschema
except ImportError:
    sys.exit('check_schema.py: no module jsonschema: apt-get install python3-jsonschema')

SCHEMA = 'docs/record.schema.json'
PAGE = 'docs/records.md'
GOLDEN = 'tests/golden/v1'

# Where the page describes what the schema calls so: the beginning of the heading, or of the head of the table.
SECTIONS = {
    '': '## In every record', 'process': '## `process`', 'stall': '## `stall` and', 'detail': '| field of `detail`',
    'dump': '## `dump`',
    'fd': '### A descriptor', 'holder': '### A holder',
    'callback': '| field of `callback`', 'label': '| field of a label',
    'stack': '### A stack', 'share': '### A share', 'other': '### Another thread', 'frame': '### A frame',
    'lost': '### `lost`',
    'loop': '## `loop`', 'bucket': '| field of a bucket', 'exit': '## `exit`'}
UNITS = {'_ns': 'nanoseconds', 'bytes_': 'bytes', '_percent': 'percent'}


def objects(schema):
    """{name: object schema}, for each object that has fields of its own"""
    found = {'': schema, **{name: part for name, part in schema['$defs'].items() if 'properties' in part}}
    found['detail'] = found['stall']['properties']['detail']
    found['bucket'] = found['loop']['properties']['buckets']['items']
    return found


def strict(schema):
    """The schema without its promise that there may be fields which it does not know"""
    schema = copy.deepcopy(schema)
    for part in objects(schema).values():
        if part.get('type') == 'object':
            part['unevaluatedProperties'] = False
    return schema


def fields_of(value):
    """The names of all fields in a record, however deep; those in `reasons` are words and not names"""
    if isinstance(value, list):
        return set().union(*map(fields_of, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    return set(value).union(*(fields_of(part) for name, part in value.items() if name != 'reasons'))


def golden_lines(root):
    for path in sorted((root / GOLDEN).glob('*.jsonl')):
        for number, line in enumerate(tree.text(path).splitlines(), 1):
            yield f'{path.relative_to(root)}:{number}', line


def check_golden(root, schema):
    validator = jsonschema.Draft202012Validator(strict(schema))
    seen = set()
    for place, line in golden_lines(root):
        try:
            record = json.loads(line)
        except ValueError as error:
            yield f'{place}: {error}'
            continue
        seen |= fields_of(record)
        for error in validator.iter_errors(record):
            yield f'{place}: {error.json_path}: {error.message[:200]}'
    known = set().union(*(part['properties'] for part in objects(schema).values()))
    for name in sorted(known - seen):
        yield f'{GOLDEN}: no line has the field {name}'


def check_descriptions(schema):
    for part_name, part in objects(schema).items():
        for name, field in part['properties'].items():
            words = field.get('description', '')
            if not words:
                yield f'{SCHEMA}: {part_name}.{name} has no description'
            for mark, unit in UNITS.items():
                if mark in name and unit not in words:
                    yield f'{SCHEMA}: the description of {part_name}.{name} does not say {unit}'
            if field.get('$ref') == '#/$defs/count' and not re.search(r'\bcounts?\b|\bbytes\b', words):
                yield f'{SCHEMA}: the description of {part_name}.{name} does not say what it counts'


def table_after(page, start):
    """{field: bold} of the first table at or after the line that begins with `start`"""
    lines = page.splitlines()
    first = next((number for number, line in enumerate(lines) if line.startswith(start)), None)
    if first is None:
        return None
    fields = {}
    for line in lines[first:]:
        row = re.match(r'\| (\*\*)?`(\w+)`(\*\*)? \| .', line)
        if row:
            fields[row[2]] = bool(row[1])
        elif fields:
            break
    return fields


def check_page(page, schema):
    for part_name, part in objects(schema).items():
        fields = table_after(page, SECTIONS[part_name])
        if fields is None:
            yield f'{PAGE}: no "{SECTIONS[part_name]}"'
            continue
        for name in part['properties']:
            if name not in fields:
                yield f'{PAGE}: {SECTIONS[part_name]}: the field {name} is missing'
            elif fields[name] != (name in part.get('required', [])):
                yield f'{PAGE}: {SECTIONS[part_name]}: {name} is bold if it is required, and only then'
        for name in sorted(set(fields) - set(part['properties'])):
            yield f'{PAGE}: {SECTIONS[part_name]}: there is no field {name} in the schema'


def check_schema(root):
    try:
        schema = json.loads(tree.text(root / SCHEMA))
        jsonschema.Draft202012Validator.check_schema(schema)
    except (ValueError, jsonschema.SchemaError) as error:
        return [f'{SCHEMA}: {error}']
    complaints = [*check_golden(root, schema), *check_descriptions(schema),
                  *check_page(tree.text(root / PAGE), schema)]
    return complaints or ([] if any(golden_lines(root)) else [f'{GOLDEN}: no records'])


# ---- self-test: one change at a time to what is there, and each must be found

OTHER_KIND = {str: 5, int: 'five', bool: 'yes', list: {}, dict: []}


def damaged(value, path=()):
    """(path, a copy of `value` with one thing wrong) for each thing that can be"""
    if isinstance(value, dict):
        for name, part in value.items():
            yield (*path, name), {**value, name: OTHER_KIND[type(part)]}
            for deeper, changed in damaged(part, (*path, name)):
                yield deeper, {**value, name: changed}
        if path[-1:] != ('reasons',):
            yield (*path, 'made_up'), {**value, 'made_up': 1}
    elif isinstance(value, list) and value:
        for deeper, changed in damaged(value[0], (*path, 0)):
            yield deeper, [changed, *value[1:]]


def self_test_damage(schema):
    validator = jsonschema.Draft202012Validator(strict(schema))
    tried = 0
    for place, line in golden_lines(tree.ROOT):
        for path, changed in damaged(json.loads(line)):
            tried += 1
            if validator.is_valid(changed):
                sys.exit(f'self-test: {place} is still valid with {path} changed')
        record = json.loads(line)
        for name in schema['required'] + schema['$defs'][record['type'].removesuffix('-begin')]['required']:
            if validator.is_valid({key: part for key, part in record.items() if key != name}):
                sys.exit(f'self-test: {place} is still valid without {name}')
    if tried < 300:
        sys.exit(f'self-test: only {tried} changes tried')


def self_test():
    schema, page = tree.text(tree.ROOT / SCHEMA), tree.text(tree.ROOT / PAGE)
    golden = {str(path.relative_to(tree.ROOT)): tree.text(path) for path in (tree.ROOT / GOLDEN).glob('*.jsonl')}
    self_test_damage(json.loads(schema))
    whole = {SCHEMA: schema, PAGE: page, **golden}
    tree.expect(check_schema, whole)
    exit_file, stall_file = f'{GOLDEN}/exit.jsonl', f'{GOLDEN}/stall.jsonl'
    for name, old, new, *words in [
            (exit_file, '"wakeups"', '"wake_ups"', "'wakeups' is a required", 'Unevaluated properties',
             "'wakeups' is a required", 'Unevaluated properties', 'no line has the field wakeups'),
            (exit_file, '}\n', '}\n{\n', 'exit.jsonl:2', 'exit.jsonl:4'),
            (stall_file, '"inlined":true', '"line":1', 'no line has the field inlined'),
            (SCHEMA, 'CPU time of the watchdog in nanoseconds', 'CPU time', 'watchdog_cpu_ns does not say nanoseconds'),
            (SCHEMA, 'count of wake-ups of the watchdog', 'wake-ups', 'wakeups does not say what it counts'),
            (SCHEMA, '"minItems": 1', '"minItems": "one"', SCHEMA),
            (PAGE, '| **`wakeups`** |', '| `wakeups` |', 'wakeups is bold'),
            (PAGE, '| **`wakeups`** |', '| **`wakings`** |', 'the field wakeups is missing', 'no field wakings'),
            (PAGE, '## `exit`', '## The exit', 'no "## `exit`"')]:
        if old not in whole[name]:
            sys.exit(f'self-test: {name} has no {old}')
        tree.expect(check_schema, {**whole, name: whole[name].replace(old, new)}, *words)


if __name__ == '__main__':
    sys.exit(tree.main(check_schema, self_test))
