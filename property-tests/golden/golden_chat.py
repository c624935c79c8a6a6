"""Conversations as transformers renders them: python golden_chat.py > fixtures/chatTemplates.json  (transformers 5.24)"""
import json

from transformers.utils.chat_template_utils import render_jinja_template

templates = {
    "marked": "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] | trim + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}",
    "bracketed": "{{ bos_token }}{% set told = messages[0]['content'] if messages[0]['role'] == 'system' else '' %}"
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ '[' + (told + ' ' if loop.index0 <= 1 and told else '') + message['content'] + ']' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + ' ' + eos_token }}"
    "{% elif message['role'] != 'system' or not loop.first %}{{ raise_exception('no such role') }}{% endif %}{% endfor %}",
}
tokens = {"bos_token": "<s>", "eos_token": "</s>"}
user, assistant, system = (lambda content, role=role: {"role": role, "content": content} for role in ("user", "assistant", "system"))
conversations = [
    [user("What is it?"), assistant("A stone.")],
    [system("Be short."), user("Name two\nrivers. "), assistant(" Rhine, Po"), user("And one more"), assistant("Nile — 6,650 km")],
    [user("<|end|> {{ 1 + 1 }}"), assistant("{% x %} naïve 日本")],
]
cases = [
    {
        "template": name,
        "messages": messages[:length],
        "ask": ask,
        "text": render_jinja_template([messages[:length]], chat_template=template, add_generation_prompt=ask, **tokens)[0][0],
    }
    for name, template in templates.items()
    for messages in conversations
    for length in range(1, len(messages) + 1)
    for ask in (False, True)
]
print(json.dumps({"templates": templates, "tokens": tokens, "cases": cases}, indent=1, ensure_ascii=False))
