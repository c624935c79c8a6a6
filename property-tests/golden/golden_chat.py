"""Conversations as transformers renders them: python golden_chat.py > fixtures/chatTemplates.json  (transformers 5.24)"""
import datetime
import json

from transformers.utils import chat_template_utils
from transformers.utils.chat_template_utils import render_jinja_template


class Today(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2026, 3, 7)


chat_template_utils.datetime = Today

templates = {
    "marked": "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] | trim + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}",
    "bracketed": "{{ bos_token }}{% set told = messages[0]['content'] if messages[0]['role'] == 'system' else '' %}"
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ '[' + (told + ' ' if loop.index0 <= 1 and told else '') + message['content'] + ']' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + ' ' + eos_token }}"
    "{% elif message['role'] != 'system' or not loop.first %}{{ raise_exception('no such role') }}{% endif %}{% endfor %}",
    # characters to strip, as in Qwen3's template, and tests of attributes that some messages lack, as in Mistral NeMo's
    "stripped": "{% for message in messages | rejectattr('tool_calls', 'defined') %}{{ message.role }}:{{ message.content.lstrip('\n W').rstrip('.s🙂?') }}:"
    "{{ message['content'].strip('B.—m') }}:{{ message.content.strip() }}\n{% endfor %}"
    "{{ messages | selectattr('tool_calls', 'undefined') | list | length }}{{ messages | selectattr('role', 'equalto', 'user') | list | length }}"
    "{{ messages | rejectattr('tool_calls') | list | length }}{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}",
    # calls: most templates write their arguments as JSON, and DeepSeek's adds the text to its own
    "called": "{% for message in messages %}{{ message.role }}:{{ message.content }}{% for call in message.tool_calls or [] %}"
    "{{ {'name': call.function.name, 'arguments': call.function.arguments} | tojson }}{{ call.function.arguments }}{% endfor %}"
    "{% if message == messages[-1] %}{{ message.name is defined }}{{ loop.index == 1 }}{% endif %}{% endfor %}"
    "{% if tools is not none %}{{ tools }}{% endif %}{{ add_generation_prompt }}",
    "lines": "{% for message in messages %}\r\n{{ message.role }}\r\n{{ message.content }}\r{% endfor %}\r\n{{ add_generation_prompt }}",
    # as in the templates of Llama 3.2, gpt-oss and Granite
    "dated": "{% if strftime_now is defined %}{{ strftime_now('%d %b %Y') }};{{ strftime_now('%Y-%m-%d %-d/%-m/%y') }};"
    "{{ strftime_now('%A, %B %d, %Y: %a %j %w 100%%') }}{% endif %}{{ messages[0].content }}{{ add_generation_prompt }}",
    # an operator right after a number, numbers as keys (Seed-OSS), and texts that are safe beside others that are not (Functionary)
    "numbered": "{% if messages | length == 0or messages[0].role == 'user' %}{{ messages | length }}{% endif %}"
    "{% set budgets = {512: 'b', 0: 'a', 1024: messages[0].role} %}{% for limit, name in budgets | dictsort %}{{ limit }}{{ name }}{% endfor %}"
    "{{ [3, 1.5, true] | min }}{{ [3, 1.5, 4] | max }}{{ ['b', 'A', 'a', 'B'] | min }}{{ ['b', 'A', 'a', 'B'] | max }}{{ [] | max }}"
    "{{ '<b>' | safe + messages[0].content + '\"&' }}{{ messages[0].role + '<' | safe + '&>' }}{{ '<' + messages[0].content }}",
    "added": "{% for message in messages %}{{ message.role }}:{{ message.content }}{% for call in message.tool_calls or [] %}"
    "{{ '```json' + call.function.arguments + '```' }}{% endfor %}{% endfor %}{{ add_generation_prompt }}",
}
tokens = {"bos_token": "<s>", "eos_token": "</s>"}
user, assistant, system = (lambda content, role=role: {"role": role, "content": content} for role in ("user", "assistant", "system"))
conversations = [
    [user("What is it?"), assistant("A stone.")],
    [system("Be short."), user("Name two\nrivers. "), assistant(" Rhine, Po"), user("And one more"), assistant("Nile — 6,650 km")],
    [user("<|end|> {{ 1 + 1 }}"), assistant("{% x %} naïve 日本")],
    [user("\n\n Was it 🙂?"), {**assistant("🙂.."), "tool_calls": [{"type": "function"}]}, user("..mm—"), assistant(" \n...")],
]
arguments = {"count": 25.0, "share": 1e-05, "large": 1e16, "items": [True, None, -0.0], "text": "it's 2.0, \"é\"", "id": 7}
calls = lambda given: [user("How many?"), {**assistant(""), "tool_calls": [{"type": "function", "function": {"name": "add", "arguments": given}}]}]
conversations_of = {
    "called": [[*calls(arguments), user("How many?")], [user("How many?"), user("How many?")]],
    "added": [calls(json.dumps(arguments)), calls('{"a":1.0, "b" : 2}')],
}
cases = [
    {
        "template": name,
        "messages": messages[:length],
        "ask": ask,
        "text": render_jinja_template([messages[:length]], chat_template=template, add_generation_prompt=ask, **tokens)[0][0],
    }
    for name, template in templates.items()
    for messages in conversations_of.get(name, conversations)
    for length in range(1, len(messages) + 1)
    for ask in (False, True)
]
print(json.dumps({"date": "2026-03-07", "templates": templates, "tokens": tokens, "cases": cases}, indent=1, ensure_ascii=False))
