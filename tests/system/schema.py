# SPDX-License-Identifier: Apache-2.0
"""schema.py - check a value against a JSON Schema, strictly

Debian's python3 has no JSON Schema in its library, so the keywords that docs/record.schema.json uses are done here. A
keyword that is not known is an error, not ignored: a schema that silently checks nothing is no test. Beyond JSON
Schema, a field that the schema does not describe is a complaint: every field that the agent writes must be
documented.

Context: tests; Python's standard library only
"""

import re

_TYPES = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool}
_IGNORED = {"$schema", "$id", "$defs", "title", "description", "then"}


class Schema:
    def __init__(self, root):
        self.root = root

    def complaints(self, value):
        """What is wrong with the value; an empty list for nothing."""
        found, known = [], set()
        self._check(self.root, value, "", found, known)
        self._unknown(value, "", known, found)
        return found

    def _unknown(self, value, path, known, found):
        if isinstance(value, dict):
            for name, inner in value.items():
                where = f"{path}/{name}"
                if where in known:
                    self._unknown(inner, where, known, found)
                else:
                    found.append(f"{where}: a field that the schema does not describe")
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                self._unknown(inner, f"{path}/{index}", known, found)

    def _check(self, schema, value, path, found, known):
        for keyword, wanted in schema.items():
            if keyword in _IGNORED:
                continue
            method = getattr(self, "_" + keyword.lstrip("$").lower(), None)
            if method is None:
                raise ValueError(f"schema.py does not know the keyword {keyword}")
            method(schema, wanted, value, path, found, known)

    def _valid(self, schema, value):
        found = []
        self._check(schema, value, "", found, set())
        return not found

    def _ref(self, schema, wanted, value, path, found, known):
        target = self.root
        for step in wanted.removeprefix("#/").split("/"):
            target = target[step]
        self._check(target, value, path, found, known)

    def _type(self, schema, wanted, value, path, found, known):
        if not isinstance(value, _TYPES[wanted]) or (wanted == "integer" and isinstance(value, bool)):
            found.append(f"{path}: {value!r} is no {wanted}")

    def _const(self, schema, wanted, value, path, found, known):
        if value != wanted or isinstance(value, bool) != isinstance(wanted, bool):
            found.append(f"{path}: {value!r} is not {wanted!r}")

    def _enum(self, schema, wanted, value, path, found, known):
        if value not in wanted:
            found.append(f"{path}: {value!r} is none of {wanted}")

    def _pattern(self, schema, wanted, value, path, found, known):
        if isinstance(value, str) and not re.search(wanted, value):
            found.append(f"{path}: {value!r} does not match {wanted}")

    def _minimum(self, schema, wanted, value, path, found, known):
        if isinstance(value, int) and value < wanted:
            found.append(f"{path}: {value} is below {wanted}")

    def _maximum(self, schema, wanted, value, path, found, known):
        if isinstance(value, int) and value > wanted:
            found.append(f"{path}: {value} is above {wanted}")

    def _minitems(self, schema, wanted, value, path, found, known):
        if isinstance(value, list) and len(value) < wanted:
            found.append(f"{path}: {len(value)} items are fewer than {wanted}")

    def _required(self, schema, wanted, value, path, found, known):
        if isinstance(value, dict):
            found += [f"{path}: no field {name}" for name in wanted if name not in value]

    def _dependentrequired(self, schema, wanted, value, path, found, known):
        if isinstance(value, dict):
            for name, others in wanted.items():
                if name in value:
                    self._required(schema, others, value, path, found, known)

    def _properties(self, schema, wanted, value, path, found, known):
        if isinstance(value, dict):
            for name, inner in wanted.items():
                if name in value:
                    known.add(f"{path}/{name}")
                    self._check(inner, value[name], f"{path}/{name}", found, known)

    def _additionalproperties(self, schema, wanted, value, path, found, known):
        if isinstance(value, dict):
            for name, inner in value.items():
                if name not in schema.get("properties", {}):
                    known.add(f"{path}/{name}")
                    self._check(wanted, inner, f"{path}/{name}", found, known)

    def _items(self, schema, wanted, value, path, found, known):
        if isinstance(value, list):
            for index, inner in enumerate(value):
                self._check(wanted, inner, f"{path}/{index}", found, known)

    def _allof(self, schema, wanted, value, path, found, known):
        for inner in wanted:
            self._check(inner, value, path, found, known)

    def _if(self, schema, wanted, value, path, found, known):
        if self._valid(wanted, value):
            self._check(schema["then"], value, path, found, known)
