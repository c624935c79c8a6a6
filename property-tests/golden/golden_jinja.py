"""Expressions of templates as transformers renders them: python golden_jinja.py > fixtures/jinja.json  (transformers 5.24, jinja2 3.1)

An expression without a text is one that Python refuses.
"""
import copy
import json

from transformers.utils.chat_template_utils import _compile_jinja_template

values = {
    "none": None, "yes": True, "no": False, "zero": 0, "three": 3, "minus": -7, "half": 0.5, "whole": 1.0, "large": 1e16, "tiny": 1e-5,
    "long": 12345678901234567890, "empty": "", "word": "word", "words": "heLLo wORLD's (end", "digits": "12", "decimal": "1.5", "emoji": 'a😀é"b',
    "blanks": "\x1f \t\u00a0x\u3000\n", "quotes": "it's \"q\"\\\n\x85y", "list": [1, "two", None, True, 2.0, "it's"], "same": [1, "two", None, True, 2.0, "it's"],
    "nested": [[], {"a": "x\u200b\ufeff"}], "object": {"a": 1, "items": None, "é": [0.1, 1e-7]}, "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": None}],
}  # fmt: skip
names = [*values, "missing"]
operands = ["none", "yes", "zero", "three", "minus", "half", "whole", "large", "long", "word", "digits", "emoji", "list", "same", "object", "missing"]
operators = ["+", "-", "*", "/", "%", "~", "==", "!=", "<", ">=", "in", "not in", "and", "or"]
filters = [
    "string", "length", "count", "upper", "title", "capitalize", "trim", "int", "int(5)", "float", "float(2.5)", "first", "last", "list", "join", "join(', ')",
    "tojson", "tojson(indent=2)", "tojson(ensure_ascii=true, sort_keys=true)", "tojson(separators=(',', ':'))", "default('d')", "default('d', true)",
    "indent", "indent(2, true)", "indent('>', blank=true)", "selectattr('content', 'none') | list", "rejectattr('role', 'equalto', 'user') | list",
    "map(attribute='content') | join('-')", "string | length",
]  # fmt: skip
methods = ["strip()", "lstrip()", "rstrip('d')", "split()", "split('o', 1)", "title()", "capitalize()", "upper()", "startswith('w')", "replace('o', '0')", "get('a')", "get('b', 5)", "items", "length"]
indices = ["[0]", "[1]", "[-1]", "[9]", "['a']", "['items']", "[1:]", "[::-1]", "[:-1]"]
tests = ["defined", "none", "string", "number", "integer", "boolean", "mapping", "sequence", "iterable", "lower", "upper", "not none", "not string", "true"]
others = [
    "{% for message in messages %}{{ message }}{{ loop.last }}{% endfor %}",
    "{% for name, value in object.items() %}{{ name }}={{ value }};{% endfor %}",
    "{% set text %}a{{ none }}b{% endset %}{{ text }}{% set text = yes %}{{ text }}",
    "{% macro both(a, b=none) %}{{ a }} {{ b }}{% endmacro %}{{ both(1) }} {{ both(yes, [word]) }}",
    "{% set space = namespace(found=false) %}{{ space.found }}{% set space.found = messages[0] %}{{ space.found == messages[0] }}",
    "{% filter upper %}{{ yes }}{% endfilter %}{# nothing #}{% if none %}{% else %}{{ none }}{% endif %}",
    "{% for message in messages %}{% if message == {'role': 'assistant', 'content': none} %}{{ loop.index }}{% endif %}{% endfor %}",
    "{{ ('a', 1.0, none) }}{{ ('a',) }}{{ () }}{{ [] }}{{ {} }}",
    "{{ word ~ none ~ true ~ 1.0 ~ [1] ~ missing }}",
    "{{ 7 // -2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7.5 % -2 }} {{ -7.5 % 2 }} {{ 6.0 % -3 }} {{ 6 / 3 }}",
    "{% for message in messages %}{{ before }}<{{ message.role }}>{% set before = 'set' %}{% if loop.first %}{{ word }}{% continue %}{% endif %}after{% break %}{% endfor %}",
    "{% for message in messages %}{% continue %}{% else %}none{% endfor %}{% for message in [] %}{% else %}none{% endfor %}{% for x in missing %}{{ x }}{% endfor %}",
    "{% for a, b in [(1, 2), ['x', 'y']] %}{{ a }}{{ b }};{% endfor %}{% for letter in emoji %}{{ letter }},{% endfor %}{% for key in object %}{{ key }},{% endfor %}",
    "{% for x in list if x is string %}{{ loop.index }}{{ loop.revindex0 }}{{ x }}{{ loop.nextitem }}{% endfor %}{{ x }}{{ none | selectattr('role') | list }}",
    "{% for message in messages %}{% for part in message.role %}{% if part == 's' %}{% break %}{% endif %}{{ part }}{{ loop.length }}{% endfor %}{{ loop.index }}{% endfor %}",
    "{{ messages | tojson }}{{ object['items'] }}{{ object['é'] }}",
    "{{ {'a': [true, none, 'é\\n', 1e-05]} }}",
]
templates = [
    *("{{ %s }}" % name for name in names),
    *("{{ %s | %s }}" % (name, each) for name in names for each in filters),
    *("{{ %s.%s }}" % (name, each) for name in names for each in methods),
    *("{{ %s%s }}" % (name, each) for name in names for each in indices),
    *("{{ %s is %s }}" % (name, each) for name in names for each in tests),
    *("{{ %s %s %s }}" % (a, operator, b) for a in operands for operator in operators for b in operands),
    *others,
]


def text_of(template):
    try:
        return _compile_jinja_template(template).render(**copy.deepcopy(values))
    except Exception:
        return None


cases = {template: text for template in templates for text in [text_of(template)] if text is None or not any(part in text for part in (" at 0x", "dict_items"))}
print(json.dumps({"values": values, "cases": cases}, indent=0, ensure_ascii=False))
