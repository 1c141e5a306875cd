#!/usr/bin/env python3
"""Prints unicode_case.inc: Python's one-to-one case mappings beyond ASCII, packed into rows of
{first, last, step, difference}. Written with Python 3.11 (Unicode 14)."""


def rows(mapping):
    changed = []
    for code in range(0x80, 0x110000):
        image = "" if 0xD800 <= code < 0xE000 else mapping(chr(code))
        if len(image) == 1 and ord(image) != code:
            changed.append((code, ord(image) - code))
    at = 0
    while at < len(changed):
        first, difference = changed[at]
        end, step = at, 1
        for candidate in (1, 2):
            stop = at
            while stop + 1 < len(changed) and changed[stop + 1] == (changed[stop][0] + candidate, difference):
                stop += 1
            if stop > end:
                end, step = stop, candidate
        yield f"{{0x{first:X}, 0x{changed[end][0]:X}, {step}, {difference}}},"
        at = end + 1


for name, mapping in (("kLower", str.lower), ("kUpper", str.upper)):
    print(f"constexpr CaseRange {name}[] = {{")
    line = "   "
    for row in rows(mapping):
        if len(line) + len(row) > 107:
            print(line)
            line = "   "
        line += " " + row
    print(line + "\n};")
