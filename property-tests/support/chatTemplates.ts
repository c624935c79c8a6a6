/** Chat templates in the manner of well-known model families, and a few that no family has: for tests that compare two ways to render. */

/** Rendered in one pass through a conversation, because what they read of it is known by then. */
export const onePassTemplates: Readonly<Record<string, string>> = {
  'a role before each content':
    "{% for message in messages %}{{ '<|' + message['role'] + '|>\n' + message['content'] | trim + '</s>\n' }}{% endfor %}" +
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}",
  'the system prompt within the first message': `{{ bos_token }}{% set told = messages[0]['content'] if messages[0]['role'] == 'system' else '' %}
{%- for message in messages %}
    {%- if message['role'] == 'user' %}{{ '[' + (told + ' ' if loop.index0 <= 1 and told else '') + message['content'] + ']' }}
    {%- elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + ' ' + eos_token }}{% endif %}
{%- endfor %}`,
  'messages after the system prompt': `{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] | trim %}
    {%- set messages = messages[1:] %}
{%- else %}{% set system_message = '' %}{% endif %}
{{- bos_token }}<|system|>{{ system_message }}</s>
{%- for message in messages %}{{ '<s>' + message.role + '\n\n' }}
    {%- if 'tool_calls' in message %}{{ message.tool_calls | tojson }}{% else %}{{ message.content | trim }}{% endif %}{{ '</s>' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<s>assistant\n\n' }}{% endif %}`,
  'roles that must alternate': `{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% else %}{% set loop_messages = messages %}{% endif %}
{%- if not add_generation_prompt is defined %}{% set add_generation_prompt = false %}{% endif %}
{%- for message in loop_messages %}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}
    {%- if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}
    {{- '<s>' + role + '\n' + message['content'] | trim + '</s>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<s>model\n' }}{% endif %}`,
  'the generation prompt within the loop': `{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}<|system|>
none</s>
{% endif %}<|{{ message['role'] }}|>
{{ message['content'] }}</s>
{% if loop.last and add_generation_prompt %}<|assistant|>
{% endif %}{% endfor %}`,
  'answers of tools, which are joined': `{%- for message in messages %}
    {%- if message.role == 'user' or message.role == 'system' or (message.role == 'assistant' and not message.tool_calls) %}
        {{- '<s>' + message.role + '\n' + message.content + '</s>' + '\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<s>' + message.role }}
        {%- for call in message.tool_calls %}{{ '\n<call>' + call.function.name + (call.function.arguments | tojson) }}{% endfor %}
        {{- '</s>\n' }}
    {%- elif message.role == 'tool' %}
        {%- if (loop.index0 == 0) or (messages[loop.index0 - 1].role != 'tool') %}{{ '<s>user' }}{% endif %}
        {{- '\n<response>' + message.content }}
        {%- if loop.last or (messages[loop.index0 + 1].role != 'tool') %}{{ '</s>\n' }}{% endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<s>assistant\n' }}{% endif %}`,
  'a namespace, a macro, and the loop within a condition': `{% set ns = namespace(seen=0, system='') %}
{%- macro shown(role, text) %}{{ '<s>' + role + ' ' + text + '</s>' }}{% endmacro %}
{%- if messages %}
    {%- for message in messages %}
        {%- if message.role == 'system' %}{% set ns.system = message.content %}{% continue %}{% endif %}
        {%- set ns.seen = ns.seen + 1 %}
        {{- shown(message.role, ns.seen | string + ' ' + message.content) }}
    {%- else %}nothing
    {%- endfor %}
{%- endif %}{% if add_generation_prompt %}<s>assistant {{ ns.seen + 1 }} {% endif %}`,
  'neighbors of each message': `{% for message in messages %}{% if loop.previtem is defined and loop.previtem.role == message.role %}<again>{% endif %}
{{- message.content }}{% if loop.nextitem is defined and loop.nextitem.role == 'tool' %}{% endif %}</s>{% endfor %}`,
  'a check before the loop, and the last message of the user for tools': `{{- bos_token }}{% if not tools is defined %}{% set tools = none %}{% endif %}
{%- set user_messages = messages | selectattr('role', 'equalto', 'user') | list %}
{%- set ns = namespace() %}{% set ns.index = 0 %}{% set ns.seen = 0 %}
{%- for message in messages %}
    {%- if message.role == 'system' and not loop.first %}{{ raise_exception('the system prompt comes first') }}{% endif %}
    {%- if message.role != 'tool' %}{% set ns.index = ns.index + 1 %}{% endif %}
{%- endfor %}
{%- for message in messages %}{% set ns.seen = ns.seen + 1 %}
    {%- if tools is not none and message == user_messages[-1] %}{{ tools | tojson }}{% endif %}
    {{- '<s>' + message.role + ns.seen | string + message.content + '</s>' }}
{%- endfor %}{% if add_generation_prompt %}{{ '<s>assistant' + (ns.seen + 1) | string }}{% endif %}`,
}

/** Each asks for the number of messages or for the last ones, or renders a message differently once another follows. */
export const otherTemplates: Readonly<Record<string, string>> = {
  'an end after the last message':
    '{% for message in messages %}<s>{{ message.role }} {{ message.content }}{% endfor %}{% if not add_generation_prompt %}</s>{% endif %}',
  'only the last message': '{{ messages[-1].content }}',
  'thoughts of the last answer only': `{% for message in messages %}<s>{{ message.role }}:
{%- if message.role == 'assistant' and not loop.last %}{{ message.content.split('.')[-1] }}{% else %}{{ message.content }}{% endif %}</s>{% endfor %}
{%- if add_generation_prompt %}<s>assistant:{% endif %}`,
  'the number of messages before them': '{{ messages | length }}{% for message in messages %}{{ message.content }}{% endfor %}',
  'a message read before the loop':
    '{% if messages[2] is defined %}<more>{% endif %}{% for message in messages %}{{ message.content }}</s>{% endfor %}',
  'an error for the last message':
    "{% for message in messages %}{% if loop.last and '123' in message.content %}{{ raise_exception('no numbers') }}{% endif %}" +
    '<s>{{ message.content }}</s>{% endfor %}',
  'the messages counted down': '{% for message in messages %}{{ loop.revindex }}{{ message.content }}{% endfor %}',
  'later messages, which change nothing':
    '{% for message in messages %}<s>{{ message.role }} {{ message.content }}{% if loop.length > 0 %}{% endif %}</s>{% endfor %}' +
    '{% if add_generation_prompt %}<s>assistant {% endif %}',
  'two messages ahead': `{% for message in messages %}{{ message.content }}{% if messages[loop.index0 + 2] is defined %} {% endif %}</s>{% endfor %}`,
  'a loop that is left': `{% for message in messages %}{% if loop.index0 == 3 %}{% break %}{% endif %}{{ message.content }}</s>{% endfor %}`,
  'messages in reverse': '{% for message in messages[::-1] %}{{ message.content }}</s>{% endfor %}',
  'messages of some roles': "{% for message in messages if message.role != 'system' %}<s>{{ message.content }}</s>{% endfor %}",
  'a number counted in a check':
    '{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}' +
    "{% for message in messages %}{{ ns.n if message.role == 'system' }}<s>{{ message.content }}</s>{% endfor %}",
  'a check that looks ahead':
    '{% set ns = namespace(n=0) %}{% for m in messages %}{% if loop.last %}{% set ns.n = 1 %}{% endif %}{% endfor %}{{ ns.n }}' +
    '{% for message in messages %}<s>{{ message.content }}</s>{% endfor %}',
  'two loops that write': '{% for m in messages %}{{ m.role }}{% endfor %}{% for m in messages %}{{ m.content }}</s>{% endfor %}',
  'the facts of the loop': '{% for message in messages %}{{ loop.length }}{{ message.content }}{% endfor %}',
  'the messages as JSON': '{{ messages | tojson }}',
}
