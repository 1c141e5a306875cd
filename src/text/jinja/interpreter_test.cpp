// What templates print. The expected texts are jinja2 3.1.6's, with the settings of Hugging Face
// transformers.
#include "text/jinja/interpreter.h"

#include <gtest/gtest.h>

#include "text/jinja/render_for_test.h"

namespace headrace::jinja {
namespace {

constexpr std::string_view kVariables =
    R"x({"s": "Hello World", "u": "naïve ÉCOLE straße", "n": null, "l": [3, 1, 2],
 "d": {"b": 1, "a": "x", "items": 9, "C": [1, {"k": null}]}, "f": 2.5, "i": 7, "t": true,
 "users": [{"name": "bob", "age": 3, "t": {"z": 1}}, {"name": "Al", "age": 3}, {"name": "cy", "age": 1}],
 "h": "<a href='x'>&\"</a>", "ml": "a\n\nb\nc", "j": "  x y  z "})x";

struct Case {
  std::string_view source;
  std::string_view expected;
};

class Python : public testing::TestWithParam<Case> {};

TEST_P(Python, PrintsTheSame) {
  EXPECT_EQ(render(GetParam().source, kVariables), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Operators, Python,
    testing::Values(
        Case{
            R"({{ 1 + 2 * 3 - 4 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 2 ** 10 }} {{ 2 ** -1 }})",
            "5.0 3 -4 2 -2 1024 0.5"},
        Case{
            R"({{ -7.5 % 2 }} {{ 7.5 // 2 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }} {{ - - 3 }} {{ true + 1 }} {{ 10 / 4 }})",
            "0.5 3.0 64 4 3 2 2.5"},
        Case{R"({{ 1_000 }} {{ 0x1F }} {{ 0b101 }} {{ 0o17 }} {{ 1.5e3 }} {{ 9223372036854775807 }})",
             "1000 31 5 15 1500.0 9223372036854775807"},
        Case{
            R"({{ 'a' ~ 1 ~ none ~ 2.0 ~ [1] }} {{ 'ab' * 3 }} {{ [1] * 2 + [3] }} {{ (1,) + (2, 3) }} {{ () }})",
            "a1None2.0[1] ababab [1, 1, 3] (1, 2, 3) ()"},
        Case{
            R"({{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 == true }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ [1] != (1,) }})",
            "True False True True True True"},
        Case{
            R"({{ 'ell' in s }} {{ 3 in l }} {{ 'b' in d }} {{ 5 not in l }} {{ 'x' in missing }} {{ not 1 == 2 }})",
            "True True True True False True"},
        Case{
            R"({{ 'yes' if t else 'no' }} {{ 'yes' if n }} {{ n or 'x' }} {{ t and 'v' }} {{ n and 1 }} {{ 0 or '' or [] }})",
            "yes  x v None []"},
        Case{
            R"({{ -1 | abs }} {{ 2 * 3 | float }} {{ {'a': 1.0} == {'a': 1} }} {{ none == missing }} {{ missing == other }})",
            "1 6.0 True False True"}));

INSTANTIATE_TEST_SUITE_P(
    Printing, Python,
    testing::Values(
        Case{R"({{ n }} {{ t }} {{ l }} {{ d }} {{ missing }} {{ (1,) }} {{ {1: 2, 'x': none} }})",
             "None True [3, 1, 2] {'b': 1, 'a': 'x', 'items': 9, 'C': [1, {'k': None}]}  (1,) {1: 2, 'x': "
             "None}"},
        Case{
            R"({{ 1.0 }} {{ 0.1 + 0.2 }} {{ 1e15 }} {{ 1e16 }} {{ 1e22 }} {{ 0.0001 }} {{ 1e-5 }} {{ 5e-324 }} {{ 1e300 * 1e10 }})",
            "1.0 0.30000000000000004 1000000000000000.0 1e+16 1e+22 0.0001 1e-05 5e-324 inf"},
        Case{R"({{ ['it\'s', "q\"", 'both\'"', 'nl\n', '\x00\x7f\xa0é🙂\u200b'] }})",
             "[\"it's\", 'q\"', 'both\\'\"', 'nl\\n', '\\x00\\x7f\\xa0é🙂\\u200b']"},
        Case{R"({{ "a\tb\n\"q\" \\ \x41 \u00e9 \101 \q" }} {{ "two " 'parts' }})",
             "a	b\n\"q\" \\ A é A \\q two parts"}));

INSTANTIATE_TEST_SUITE_P(
    Lookup, Python,
    testing::Values(
        Case{
            R"({{ s[0] }} {{ s[-1] }} {{ s[1:4] }} {{ s[::-1] }} {{ s[::2] }} {{ s[-3:] }} {{ s[10:1:-3] }} {{ s[100:] }}|{{ s[5:2] }})",
            "H d ell dlroW olleH HloWrd rld doo |"},
        Case{
            R"({{ l[1:] }} {{ l[::-1] }} {{ l[-1] }} {{ l[9] }}|{{ l[::100] }} {{ l[::-100] }} {{ u[2] }} {{ u[2:9] }} {{ u[::-2] }})",
            "[1, 2] [2, 1, 3] 2 |[3] [2] ï ïve ÉCO eat LC va"},
        Case{
            R"({{ d.a }} {{ d['a'] }} {{ d.C[1].k }} {{ d.C.0 }} {{ d['items'] }} {{ d.items is string }} {{ d.zz is defined }})",
            "x x None 1 9 False False"},
        Case{
            R"({{ d.get('zz') }} {{ d.get('zz', 5) }} {{ d.get('a') }} {{ d.items() | list }} {{ d.keys() | list }} {{ d.values() | list }})",
            "None 5 x [('b', 1), ('a', 'x'), ('items', 9), ('C', [1, {'k': None}])] ['b', 'a', 'items', 'C'] "
            "[1, 'x', 9, [1, {'k': None}]]"},
        Case{
            R"({{ n.foo }}|{{ s.foo }}|{{ l.foo }}|{{ d.pop is defined }}|{{ l.append is defined }}|{{ s['upper']() }})",
            "|||False|False|HELLO WORLD"}));

INSTANTIATE_TEST_SUITE_P(
    Methods, Python,
    testing::Values(
        Case{
            R"({{ s.upper() }} {{ s.lower() }} {{ 'hELLO wORLD-foo'.title() }} {{ 'hi There'.capitalize() }})",
            "HELLO WORLD hello world Hello World-Foo Hi there"},
        Case{
            R"({{ s.replace('l', 'L') }} {{ s.replace('l', 'L', 1) }} {{ 'abc'.replace('', '-') }} {{ 'aa'.replace('', '-', 1) }})",
            "HeLLo WorLd HeLlo World -a-b-c- -aa"},
        Case{
            R"({{ s.split() }} {{ s.split('o') }} {{ s.split('o', 1) }} {{ s.rsplit('o', 1) }} {{ ''.split(',') }} {{ ''.split() }})",
            "['Hello', 'World'] ['Hell', ' W', 'rld'] ['Hell', ' World'] ['Hello W', 'rld'] [''] []"},
        Case{
            R"({{ j.split() }} {{ j.split(none, 1) }} {{ j.rsplit(none, 1) }} {{ j.split(' ') }} {{ ml.splitlines() }} {{ ml.splitlines(true) }})",
            "['x', 'y', 'z'] ['x', 'y  z '] ['  x y', 'z'] ['', '', 'x', 'y', '', 'z', ''] ['a', '', 'b', "
            "'c'] ['a\\n', '\\n', 'b\\n', 'c']"},
        Case{
            R"({{ s.find('o') }} {{ s.rfind('o') }} {{ s.find('zz') }} {{ s.index('W') }} {{ u.find('É') }} {{ s.count('l') }} {{ s.count('') }})",
            "4 7 -1 6 6 3 12"},
        Case{
            R"({{ s.startswith('He') }} {{ s.endswith(('x', 'ld')) }} {{ ', '.join(['a', 'b']) }} {{ 'abc'.removeprefix('a').removesuffix('c') }})",
            "True True a, b b"},
        Case{
            R"({{ '{}-{}'.format(1, 'x') }} {{ '{1}{0}{1}'.format('a', none) }} {{ '{{{k}}}'.format(k=l, z=1) }} {{ ''.format() }} {{ '{}'.format(true) }} {{ '<{}>'.format(nope) }})",
            "1-x NoneaNone {[3, 1, 2]}  True <>"},
        Case{
            R"([{{ j.strip() }}|{{ j.lstrip() }}|{{ j.rstrip() }}] {{ 'xxaxx'.strip('x') }} {{ 'xyaxy'.lstrip('yx') }} {{ 'xyaxy'.rstrip('yx') }})",
            "[x y  z|x y  z |  x y  z] a axy xya"},
        Case{
            R"({{ 'a,b'.partition(',') }} {{ 'ab'.partition(',') }} {{ 'a,b,c'.rpartition(',') }} {{ 'ab'.rpartition(',') }})",
            "('a', ',', 'b') ('ab', '', '') ('a,b', ',', 'c') ('', '', 'ab')"},
        Case{
            R"({{ '12'.isdigit() }} {{ ''.isdigit() }} {{ 'ab'.isalpha() }} {{ ' '.isspace() }} {{ 'a1'.isalnum() }} {{ l.index(2) }} {{ l.count(3) }})",
            "True False True True True 2 1"},
        Case{R"({{ u.upper() }} {{ u.lower() }} {{ 'Ωμέγα'.upper() }} {{ 'ПРИВЕТ'.capitalize() }})",
             "NAÏVE ÉCOLE STRASSE naïve école straße ΩΜΈΓΑ Привет"}));

INSTANTIATE_TEST_SUITE_P(
    TextFilters, Python,
    testing::Values(
        Case{
            R"([{{ j | trim }}] {{ 'xax' | trim('x') }} {{ s | upper }} {{ s | lower }} {{ 'foo bar-baz (qux' | title }} {{ 'FOO bar' | capitalize }})",
            "[x y  z] a HELLO WORLD hello world Foo Bar-Baz (Qux Foo bar"},
        Case{
            R"({{ s | replace('o', '0') }} {{ s | replace('o', '0', 1) }} {{ 42 | replace(4, 5) }} {{ h | escape }} {{ h | safe }} {{ 5 | string + 'x' }})",
            "Hell0 W0rld Hell0 World 52 &lt;a href=&#39;x&#39;&gt;&amp;&#34;&lt;/a&gt; <a href='x'>&\"</a> "
            "5x"},
        Case{
            R"({{ '42' | int }} {{ 'x' | int }} {{ 'x' | int(5) }} {{ '4.7' | int }} {{ ' 12 ' | int }} {{ 3.9 | int }} {{ n | int }} {{ '1_0' | int }} {{ '1e3' | int }})",
            "42 0 5 4 12 3 0 10 1000"},
        Case{
            R"({{ '1.5' | float }} {{ 'x' | float }} {{ 'x' | float(2.0) }} {{ 3 | float }} {{ 'inf' | float }} {{ -3 | abs }} {{ -2.5 | abs }})",
            "1.5 0.0 2.0 3.0 inf 3 2.5"},
        Case{
            R"({{ h | safe + h }} {{ (h | safe) ~ '<' ~ 1 }} {{ '<' + (('b' | safe)[0] | upper) }} {{ h | escape | e }} {{ '<' | e | forceescape }} {{ '<b>' | safe | replace('b', 'c') + '<' }} {{ (' <b> ' | safe).strip() + '&' }} {{ '<' | safe is escaped }} {{ '<' is escaped }} {{ ('<' | safe) == '<' }})",
            "<a href='x'>&\"</a>&lt;a href=&#39;x&#39;&gt;&amp;&#34;&lt;/a&gt; <a href='x'>&\"</a><1 "
            "&lt;B "
            "&lt;a href=&#39;x&#39;&gt;&amp;&#34;&lt;/a&gt; &amp;lt; <c>< <b>&amp; True False True"},
        Case{
            R"({{ 2.5 | round }} {{ 3.5 | round }} {{ 2.675 | round(2) }} {{ 2.1 | round(0, 'ceil') }} {{ 2.9 | round(method='floor') }} {{ 42 | round }})",
            "2.0 4.0 2.67 3.0 2.0 42"},
        Case{
            R"({{ ml | indent }}|{{ ml | indent(2, true) }}|{{ ml | indent(2, blank=true) }}|{{ ml | indent('> ') }}|{{ 'hello big world' | wordcount }})",
            "a\n\n    b\n    c|  a\n\n  b\n  c|a\n  \n  b\n  c|a\n\n> b\n> c|3"},
        Case{
            R"({{ d | tojson }} {{ h | tojson }} {{ u | tojson }} {{ u | tojson(ensure_ascii=true) }} {{ '🙂\x7f\x01\u2028' | tojson(ensure_ascii=true) }})",
            "{\"b\": 1, \"a\": \"x\", \"items\": 9, \"C\": [1, {\"k\": null}]} \"<a href='x'>&\\\"</a>\" "
            "\"naïve ÉCOLE straße\" \"na\\u00efve \\u00c9COLE stra\\u00dfe\" "
            "\"\\ud83d\\ude42\\u007f\\u0001\\u2028\""},
        Case{
            R"({{ d | tojson(indent=2) }} {{ [] | tojson(indent=4) }} {{ {} | tojson }} {{ {'b': 1, 'a': []} | tojson(sort_keys=true) }} {{ [1, {'a': 2}] | tojson(separators=(',', ':')) }})",
            "{\n  \"b\": 1,\n  \"a\": \"x\",\n  \"items\": 9,\n  \"C\": [\n    1,\n    {\n      \"k\": "
            "null\n    }\n  ]\n} [] {} {\"a\": [], \"b\": 1} [1,{\"a\":2}]"},
        Case{R"({{ [1, 2.0, 1e20, none, true] | tojson }} {{ {1: 2, none: 3, 1.5: 6} | tojson }})",
             "[1, 2.0, 1e+20, null, true] {\"1\": 2, \"null\": 3, \"1.5\": 6}"}));

INSTANTIATE_TEST_SUITE_P(
    SequenceFilters, Python,
    testing::Values(
        Case{
            R"({{ s | length }} {{ u | length }} {{ l | length }} {{ d | count }} {{ missing | length }} {{ l | first }} {{ l | last }} {{ [] | first }}|{{ 'abc' | first }})",
            "11 18 3 4 0 3 2 |a"},
        Case{
            R"({{ l | join(',') }} {{ l | join }} {{ users | join(', ', attribute='name') }} {{ missing | default('x') }} {{ n | default('x') }} {{ n | default('x', true) }})",
            "3,1,2 312 bob, Al, cy x None x"},
        Case{
            R"({{ l | sort }} {{ l | sort(reverse=true) }} {{ ['b', 'A', 'c'] | sort }} {{ ['b', 'A', 'c'] | sort(case_sensitive=true) }} {{ users | sort(attribute='age,name') | map(attribute='name') | join(' ') }})",
            "[1, 2, 3] [3, 2, 1] ['A', 'b', 'c'] ['A', 'b', 'c'] cy Al bob"},
        Case{
            R"({{ l | reverse | list }} {{ 'abc' | reverse }} {{ [1, 2, 1, 'a', 'A'] | unique | list }} {{ l | min }} {{ l | max }} {{ l | sum }} {{ users | sum(attribute='age') }} {{ (users | max(attribute='age')).name }})",
            "[2, 1, 3] cba [1, 2, 'a'] 1 3 6 7 bob"},
        Case{
            R"({{ users | map(attribute='t.z', default=0) | list }} {{ ['a', 'b'] | map('upper') | join }} {{ users | selectattr('age', 'equalto', 3) | map(attribute='name') | list }} {{ users | rejectattr('age', 'eq', 3) | list }})",
            "[1, 0, 0] AB ['bob', 'Al'] [{'name': 'cy', 'age': 1}]"},
        Case{
            R"({{ users | selectattr('t') | list | length }} {{ users | selectattr('t', 'undefined') | list | length }} {{ l | select('odd') | list }} {{ l | reject('gt', 1) | list }} {{ [0, 1, none, ''] | select | list }})",
            "1 2 [3, 1] [1] [1]"},
        Case{
            R"({{ d | items | list }} {{ d | dictsort }} {{ d | dictsort(true) }} {{ {'x': 2, 'y': 1} | dictsort(by='value') }} {{ {'x': 2, 'y': 1} | dictsort(reverse=true) }} {{ s | list | length }} {{ d | list }})",
            "[('b', 1), ('a', 'x'), ('items', 9), ('C', [1, {'k': None}])] [('a', 'x'), ('b', 1), ('C', [1, "
            "{'k': None}]), ('items', 9)] [('C', [1, {'k': None}]), ('a', 'x'), ('b', 1), ('items', 9)] "
            "[('y', 1), ('x', 2)] [('y', 1), ('x', 2)] 11 ['b', 'a', 'items', 'C']"}));

INSTANTIATE_TEST_SUITE_P(
    Tests, Python,
    testing::Values(
        Case{
            R"({{ n is none }} {{ missing is undefined }} {{ s is defined }} {{ s is string }} {{ d is mapping }} {{ n is not none }} {{ t is sameas true }})",
            "True True True True True False True"},
        Case{
            R"({{ l is sequence }} {{ s is sequence }} {{ d is sequence }} {{ i is sequence }} {{ missing is sequence }} {{ (l | map('string')) is sequence }} {{ d.items() is sequence }})",
            "True True True False True False False"},
        Case{
            R"({{ l is iterable }} {{ s is iterable }} {{ i is iterable }} {{ missing is iterable }} {{ (l | map('string')) is iterable }} {{ s.upper is callable }})",
            "True True False True True True"},
        Case{
            R"({{ i is number }} {{ f is number }} {{ t is number }} {{ i is integer }} {{ t is integer }} {{ f is float }} {{ t is boolean }} {{ t is true }} {{ t is false }})",
            "True True True True False True True True False"},
        Case{
            R"({{ 3 is odd }} {{ 4 is even }} {{ 9 is divisibleby 3 }} {{ 1 is in l }} {{ 3 is eq 3 }} {{ i is gt 3 }} {{ 'abc' is lower }} {{ 'ABC' is upper }} {{ '1' is lower }} {{ 'upper' is filter }})",
            "True True True True True True True True False True"}));

INSTANTIATE_TEST_SUITE_P(
    Statements, Python,
    testing::Values(
        Case{
            R"({% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }};{% endfor %})",
            "1032TrueFalse31;2121FalseFalse332;3210FalseTrue31;"},
        Case{
            R"({% for x in [] %}x{% else %}none{% endfor %}{% for k, v in d.items() %}{{ k }}={{ v }},{% endfor %}{% for c in 'héy' %}[{{ c }}]{% endfor %}{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %})",
            "noneb=1,a=x,items=9,C=[1, {'k': None}],[h][é][y]123"},
        Case{
            R"({% for x in l if x > 1 %}{{ loop.index }}:{{ x }}{{ loop.last }} {% else %}e{% endfor %}{% for x in l if x > 5 %}{{ x }}{% else %}e{% endfor %})",
            "1:3False 2:2True e"},
        Case{
            R"({% set ns = namespace(stop=false) %}{% for x in [1, 2, 3] if not ns.stop %}{{ x }}{% if x == 2 %}{% set ns.stop = true %}{% endif %}{% endfor %})",
            "12"},
        Case{
            R"({% for x in [1, 2, 3, 4] %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 4 %}{% break %}{% endif %}{{ x }}{% endfor %})",
            "13"},
        Case{
            R"({% for x in [1, 1, 2] %}{{ loop.changed(x) }}{{ loop.cycle('a', 'b') }}{% endfor %}{% for a in [1] %}{% for b in [1, 2] %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}{{ loop is defined }})",
            "TrueaFalsebTruea121False"},
        Case{
            R"({% set x = 1 %}{% for y in [1, 2] %}{% set x = x + y %}{{ x }}{% endfor %}{{ x }}{% if true %}{% set x = 9 %}{% endif %}{{ x }}{% set a, b = 1, 'z' %}{{ a }}{{ b }})",
            "23191z"},
        Case{
            R"({% set b %}block {{ s }}{% set c = 1 %}{% endset %}[{{ b }}{{ c }}]{% set b | upper | trim %} up {{ s }} {% endset %}[{{ b }}]{% filter upper %}abc{{ s }}{% endfilter %})",
            "[block Hello World][UP HELLO WORLD]ABCHELLO WORLD"},
        Case{
            R"({% with q = 1, r = 2 %}{{ q }}{{ r }}{% endwith %}{{ q }}{% generation %}gen{{ s }}{% set g = 1 %}{% endgeneration %}{{ g }})",
            "12genHello World"},
        Case{
            R"({% macro m(a, b='B', c=a) %}({{ a }}{{ b }}{{ c }}){% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(b=3, a=4) }}{{ m() }}{{ m(1, c=5) | lower }})",
            "(1B1)(121)(434)(B)(1b5)"},
        Case{
            R"({% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}{% macro w(t) %}<{{ t }}>{{ caller('arg') }}</{{ t }}>{% endmacro %}{% call(z) w('b') %}body {{ z }}{% endcall %})",
            "(1, 2){'x': 3}<b>body arg</b>"},
        Case{
            R"({% macro fact(n) %}{{ 1 if n < 2 else n * (fact(n - 1) | int) }}{% endmacro %}{{ fact(10) }}{% set g = 5 %}{% macro seen() %}{{ g }}{% endmacro %}{% set g = 6 %}{{ seen() }})",
            "36288006"},
        Case{
            R"({% set ns = namespace(a=1, b='x') %}{% set ns.a = ns.a + 1 %}{{ ns.a }}{{ ns.b }}{{ ns.c }}{{ ns['a'] }}{% for i in range(3) %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }})",
            "2x25"},
        Case{
            R"({{ range(5) | list }}{{ range(1, 10, 3) | list }}{{ range(5, 0, -2) | list }}{{ dict(a=1, b=2) }}{{ dict([('x', 1)]) }})",
            "[0, 1, 2, 3, 4][1, 4, 7][5, 3, 1]{'a': 1, 'b': 2}{'x': 1}"},
        Case{
            R"({% if n %}a{% elif l %}b{% else %}c{% endif %}{% if n %}a{% elif n %}b{% else %}c{% endif %}{% set ms = users | selectattr('age', 'lt', 2) | list %}{{ ms[0].name }})",
            "bccy"}));

INSTANTIATE_TEST_SUITE_P(
    Whitespace, Python,
    testing::Values(Case{"  {% if true %}  \n  a\n  {%- if true -%}  \n  b\n  {% endif +%}\n {%+ if true %} "
                         "c {% endif %}\n {% endif %}\n end\n",
                         "  \n  ab\n\n  c  end"},
                    Case{" {# comment #}\n d {#- trim -#}   e\n {{- \" f \" -}}   g\n h{# x #} {# y #}\n",
                         " de f g\n h "},
                    Case{"{% raw %}{{ not }} {% if %}{% endraw %} h {%- raw -%} {{ x }} {%- endraw -%}  i",
                         "{{ not }} {% if %} h{{ x }}i"},
                    Case{"{%- for x in [1,2] %}\n\n{{ x }}\n{%- endfor %}\n\n{{ \"x\" }}\n\n", "\n1\n2\nx\n"},
                    Case{"a\r\nb\rc{{ \"\r\n\" }}\n", "a\nb\nc\n"},
                    Case{"a {{- 1 }} b {{ 2 -}} c {{+ 3 }}", "a1 b 2c 3"},
                    Case{"{% if true -%}\n\n x\n{%- endif %}\ny", "xy"},
                    Case{"\n\n  {% set a = 1 %}\n{{ {\"a\": {\"b\": 1}} }}{{ a }}", "\n\n{'a': {'b': 1}}1"},
                    Case{"x {%- if true %}y{% endif -%}　z", "xyz"},
                    Case{"{%- raw %}\n a\n{% endraw %}\n b", "\n a\n b"},
                    Case{"{{ \"%}\" }}{% if \"%}\" == \"}}\" %}{% endif %}{", "%}{"},
                    Case{"{ % } }} %} #}{{ 1 }}", "{ % } }} %} #}1"}));

class Refused : public testing::TestWithParam<std::string_view> {};

TEST_P(Refused, WherePythonRaises) {
  const auto pieces = render_pieces(GetParam(), kVariables);
  ASSERT_FALSE(pieces);
  EXPECT_NE(pieces.error().message.find("line 1: "), std::string::npos) << pieces.error().message;
}

INSTANTIATE_TEST_SUITE_P(
    AtRunTime, Refused,
    testing::Values(
        "{{ missing + 1 }}", "{{ n + 1 }}", "{{ 'a' + 1 }}", "{{ missing.foo }}", "{{ missing() }}",
        "{{ n[1:2] }}", "{{ n | length }}", "{{ l.append(4) }}", "{{ d.update(d) }}", "{{ 1 // 0 }}",
        "{{ 1 % 0 }}", "{{ 1.0 / 0 }}", "{{ 1 < 'a' }}", "{{ n in s }}", "{{ 1 in n }}",
        "{% for x in n %}{% endfor %}", "{% for x in 5 %}{% endfor %}",
        "{% for a, b in [(1, 2, 3)] %}{% endfor %}", "{{ l | tojson(foo=1) }}", "{{ missing | tojson }}",
        "{{ (l | map('string')) | tojson }}", "{{ missing | int }}", "{{ raise_exception('no') }}",
        "{{ (l | map('string')) | length }}", "{{ (l | map('nofilter')) | list }}", "{{ [1, 'a'] | sort }}",
        "{% set x.y = 1 %}", "{% set ns = namespace(_a=1) %}", "{{ {[1]: 2} }}", "{{ s.nope() }}",
        "{{ 1() }}", "{{ s.split('') }}", "{{ s.index('q') }}", "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}",
        "{% macro m(a) %}{% endmacro %}{{ m(x=2) }}", "{% macro m(a) %}{% endmacro %}{{ m(1, a=2) }}",
        "{{ 'a' if false else missing.b }}", "{{ s.__class__.__mro__ }}", "{{ s | join | map(1) | list }}",
        "{{ l[::0] }}", "{{ l['a':] }}"));

INSTANTIATE_TEST_SUITE_P(WhenParsed, Refused,
                         testing::Values("{% if %}{% endif %}", "{% for x in l %}", "{% endif %}",
                                         "{{ 1 + }}", "{{ (1, 2 }}", "{{ 'abc }}", "{% foo %}", "{# open",
                                         "{% raw %} x", "{{ a b }}", "{% break %}", "{% set true = 1 %}",
                                         "{{ x is nosuch }}", "{{ x | nosuch }}", "{{", "{%", "{{ ] }}",
                                         "{{ [1 }}", "{{ a. }}", "{{ '\\ud800' }}", "{{ '\\x4' }}",
                                         "{{ f(a=1, 2) }}", "{% macro m(a=1, b) %}{% endmacro %}",
                                         "{% call 1 %}{% endcall %}", "{% for x l %}{% endfor %}",
                                         "{% set %}", "{% if 1 %}{% endfor %}", "{{ a is b is c }}",
                                         "{{ 007 }}", "{{ $ }}", "{{ \xE2\x80\x9Cx\xE2\x80\x9D }}"));

class Unsupported : public testing::TestWithParam<std::string_view> {};

TEST_P(Unsupported, IsRefusedByName) {
  const auto pieces = render_pieces(GetParam(), kVariables);
  ASSERT_FALSE(pieces);
  EXPECT_EQ(pieces.error().code, Errc::unsupported) << pieces.error().message;
}

INSTANTIATE_TEST_SUITE_P(Features, Unsupported,
                         testing::Values("{{ l | batch(2) }}", "{{ s is escaping }}", "{% extends 'x' %}",
                                         "{% for x in l recursive %}{% endfor %}", "{{ f(*l) }}",
                                         "{{ f(**d) }}", "{{ '%s' % 1 }}", "{{ '{:>5}'.format(1) }}",
                                         "{{ cycler(1) }}", "{{ range(3) }}", "{{ s.upper }}",
                                         "{{ l | map('string') }}", "{{ 'é'.isalpha() }}", "{{ l[1, 2] }}",
                                         "{{ (-8) ** 0.5 }}"));

TEST(Template, AnIteratorIsWalkedOnce) {
  EXPECT_EQ(render("{% set it = [1, 2] | map('string') %}{{ it | join }}|{{ it | join }}"), "12|");
  EXPECT_EQ(render("{% set v = {'a': 1}.items() %}{{ v | length }}{{ v | length }}{{ v | list }}"),
            "11[('a', 1)]");
}
}  // namespace
}  // namespace headrace::jinja
