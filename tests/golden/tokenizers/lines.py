"""Texts that tokenizers disagree on, the same ones every time."""

import random
import unicodedata

PROSE = """The quick brown fox jumps over the lazy dog. It's what we'd call a pangram; they'll say I'M WRONG, they'Ve said so.
In 1999 there were 1234567 of them, 3.14159 on average, and 50% more at 12:30:45 on 2024-02-29.
Die Größe der Straße übersteigt 3,5 m. L'été où naît Noël, çà et là. El niño pingüino comió ñandúes.
Быстрая коричневая лиса прыгает через ленивую собаку. Γρήγορη καφέ αλεπού. שלום עולם. مرحبا بالعالم ١٢٣.
नमस्ते दुनिया, क्षत्रिय। สวัสดีชาวโลก ภาษาไทย. 你好，世界！今天天气很好。こんにちは世界、カタカナ。안녕하세요 세계. Xin chào thế giới, tiếng Việt.
""".splitlines()

CODE = """int main(int argc, char** argv) {\n\tfor (int i = 0; i < 10; ++i) printf("%d\\n", i);\n\treturn 0;\n}
def f(x: list[int]) -> dict[str, Any]:\n    return {k: v for k, v in enumerate(x) if v != 0}  # comment
<div class="a b"><p>&amp; &lt;x&gt;</p></div>\r\n<table><tr><td>1</td></tr></table>
SELECT * FROM t WHERE a <= 3 AND b LIKE '%x_%'; -- 'it''s'
{"key": [1, 2.5e-10, null, true], "nested": {"\\u00e9": "\\n"}}
#include <stdio.h>\n#define X(a,b) ((a)##b)\n\n\n\n/* ... */ ======== -------- ........
https://example.org/a/b?q=1&r=%20#frag user@example.com ../../etc/passwd C:\\Users\\x""".split("\n")

EMOJI = ["😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "👨🏿‍🚀", "❤️", "1️⃣", "🧑🏻‍❤️‍💋‍🧑🏾", "☺", "☺️", "\u200d", "\ufe0f", "🏽", "🇦"]
MARKS = [chr(c) for c in (0x300, 0x301, 0x302, 0x303, 0x308, 0x30A, 0x316, 0x323, 0x327, 0x328, 0x338, 0x345, 0x34F, 0x5B4,
                          0x5BC, 0x64B, 0x651, 0x93C, 0x94D, 0x9BE, 0x9D7, 0xE38, 0xF71, 0x102E, 0x3099, 0x309A, 0x1D165, 0x11127)]
COMPOSING = list("aeionsuyAEIONS=<>;") + ["é", "ü", "ệ", "ǭ", "Å", "Ω", "K", "ﬁ", "か", "が", "각", "ᄀ", "ᅡ", "ᆨ", "가", "क", "ড়", "ো", "ಕ", "≠", "≮",
                                           "豈", "𝅗𝅥", "שׁ", "ཱི", "ျ"]
SPACES = [" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\xa0", "\u1680", "\u180e", "\u2003", "\u200b",
          "\u2028", "\u2029", "\u202f", "\u205f", "\u2060", "\u3000", "\ufeff"]
CONTROLS = [chr(c) for c in list(range(0, 32)) + list(range(127, 160))] + ["\u200e", "\u202e", "\u2066", "\ufffc", "\ufffd", "\ufffe", "\uffff", "\U000e0041",
                                                                           "\U0010ffff", "\ue000", "\U000f0000"]


def assigned():
    """Characters that every Unicode version in use knows, and so agrees on."""
    # 3.2 is the oldest that Python carries; what came since 2019 (12.1) is left to chance of no library.
    old = unicodedata.ucd_3_2_0
    return [chr(c) for c in range(0x20, 0x30000) if not 0xD800 <= c < 0xE000 and old.category(chr(c)) != "Cn"]


def lines(count, added):
    """`added`: spellings of the vocabulary's added tokens."""
    rng = random.Random(20240229)
    known = assigned()
    added = sorted(added)
    picked = [a for a in added if not a.startswith(("<unused", "[PAD", "<|reserved"))]
    picked += rng.sample(added, min(20, len(added)))

    def text(n):
        return "".join(rng.choice(known) for _ in range(n))

    def spelling():
        s = rng.choice(picked or ["<s>"])
        kind = rng.randrange(6)
        if kind == 0:
            return s[: rng.randrange(len(s) + 1)]
        if kind == 1:
            return s[:-1] + rng.choice(MARKS) + s[-1:]
        if kind == 2:
            return s.upper()
        if kind == 3:
            return s + rng.choice(MARKS + SPACES)
        return s

    def part():
        kind = rng.randrange(14)
        if kind == 0:
            words = rng.choice(PROSE).split(" ")
            at = rng.randrange(len(words))
            return " ".join(words[at : at + rng.randrange(1, 8)])
        if kind == 1:
            return rng.choice(CODE)
        if kind == 2:
            return rng.choice(EMOJI) * rng.randrange(1, 3)
        if kind == 3:
            return rng.choice(COMPOSING) + "".join(rng.choice(MARKS) for _ in range(rng.randrange(4)))
        if kind == 4:
            return "".join(rng.choice(SPACES) for _ in range(rng.randrange(1, 5)))
        if kind == 5:
            return rng.choice(CONTROLS)
        if kind in (6, 7):
            return spelling()
        if kind == 8:
            return text(rng.randrange(1, 6))
        if kind == 9:
            return rng.choice(["a", "=", " ", "\n", "\t", "7", "é", "の", "ab", "-=", " \n", "🙂", "\u0301", "▁", "Ġ"]) * rng.choice([2, 3, 5, 17, 40])
        if kind == 10:
            return rng.choice(["'s", "'S", "'T", "'re", "'LL", "'ſ", "’s", "'d've", "don't", "I'm", " 'll"])
        if kind == 11:
            return str(rng.randrange(10 ** rng.randrange(1, 14)))
        if kind == 12:
            return rng.choice(["▁", "▁▁", " ▁", "Ġ", "Ċ", "<0x0A>", "<0x41>", "</s", "[INST]", "<|", "|>", "½", "²³", "Ⅷ", "٣", "௧", "〇"])
        return unicodedata.normalize(rng.choice(["NFC", "NFD", "NFKC"]), rng.choice(PROSE)[:40])

    out = ["", " ", "  ", "\n", "a", " a", "a ", "\u0301", "\u0301a"] + PROSE + CODE + picked
    out += [" " + p for p in picked] + [p + " x" for p in picked]
    # Many alternating marks: what sorts them must not take quadratic time.
    out += ["a" + "\u0301\u0316" * 500, "\u0316" * 300 + "e", "ab" * 2000, " " * 3000, "x" + "\n" * 500]
    while len(out) < count:
        out.append("".join(part() for _ in range(rng.randrange(1, 7))))
    return out[:count]
