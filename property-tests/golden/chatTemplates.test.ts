/** Conversations are rendered as transformers renders them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { chatTemplate, type Message } from '../../accelerated/checkpoints/chatTemplate/chatTemplate.js'
import { parseStored } from '../../accelerated/storage/json.js'
import { fixtures } from './golden.js'

type Golden = {
  readonly date: string
  readonly templates: Readonly<Record<string, string>>
  readonly tokens: Readonly<Record<string, string>>
  readonly cases: readonly {
    readonly template: string
    readonly messages: readonly Message[]
    readonly ask: boolean
    readonly text: string
  }[]
}
const golden = parseStored(readFileSync(join(fixtures, 'chatTemplates.json'), 'utf8')) as Golden

describe.each(Object.keys(golden.templates))('a chat template, %s', (name) => {
  it('renders a conversation as transformers does, with and without the generation prompt', () => {
    const chat = chatTemplate(golden.templates[name] ?? '', golden.tokens, 'T', golden.date)
    const cases = golden.cases.filter(({ template }) => template === name)
    expect(cases.length).toBeGreaterThan(7)
    for (const { messages, ask, text } of cases) expect(chat(messages, ask)).toBe(text)
  })
})

describe('an invalid chat template', () => {
  const message = (template: string): string => {
    try {
      chatTemplate(template, {}, 'T')([{ role: 'user', content: 'a' }], true)
    } catch (error) {
      return (error as Error).message
    }
    return 'none'
  }
  it('is reported in one line: it does not parse, throws, loops or writes without end', () => {
    expect(message('{% for %}')).toMatch(
      /^T: expected a chat template in Jinja \(or promptTemplate paper, for instructions\), got one that fails \(.*\)$/,
    )
    expect(message("{{ raise_exception('only system first') }}")).toBe(
      'T: expected a chat template that takes these messages (or promptTemplate paper, for instructions), got one that fails (only system first)',
    )
    for (const number of ['1e9', '1E0', '0x1', '1_0'])
      expect(message(`{{ messages[${number}].content }}`), number).toMatch(/is no number here\)$/)
    for (const inherited of [
      "{{ 'a' | constructor }}",
      "{{ 'a'.toString() }}",
      "{{ 'a' is constructor }}",
      "{{ [{}] | selectattr('a', 'valueOf') }}",
    ])
      expect(message(inherited), inherited).toMatch(/one that fails \((Unknown|Cannot call)/)
    expect(message("{{ '<b>' | safe + 5 }}")).toMatch(/one that fails \(string \+ integer\)$/)
    expect(message('{{ {1: 2}[1] }}')).toMatch(/one that fails \(/)
    expect(message("{{ strftime_now('%H:%M') }}")).toMatch(/\(strftime_now: expected a date, got %H\)$/)
    expect(message('{% for i in range(1000000000) %}a{% endfor %}')).toMatch(/range of 1000000000 numbers, more than 1000\)$/)
    expect(message(`{% for i in range(900) %}${'a'.repeat(2_000)}{% endfor %}`)).toMatch(
      /\(a value of 1800000 characters, more than 1000004\)$/,
    )
    expect(message(`{% if x %}${' '.repeat(1_001)}{% endif %}`)).toBe(
      'T: expected a chat template with at most 1000 blanks in a row (or promptTemplate paper, for instructions), got one with more',
    )
  })

  const repeated = (statement: string, start: string): string =>
    `{% set ns = namespace(l=${start}) %}{% for a in range(100) %}{% set ns.l = ${statement} %}{% endfor %}`
  const longText = (doublings: number): string =>
    `{% set ns = namespace(l='a') %}{% for a in range(${doublings}) %}{% set ns.l = ns.l + ns.l %}{% endfor %}`
  const often = (statement: string): string => `{% for a in range(1000) %}{% for b in range(1000) %}${statement}{% endfor %}{% endfor %}`

  it.each([
    ['loops within loops', often(often(''))],
    ['loops within loops that do something', often('{{ a + b }}')],
    ['a macro that calls itself twice', '{% macro f(x) %}{% if x > 0 %}{{ f(x - 1) }}{{ f(x - 1) }}{% endif %}{% endmacro %}{{ f(100) }}'],
    ['a list doubled in a namespace', repeated('ns.l + ns.l', '[1]')],
    ['a list that holds the one before twice', `${repeated('[ns.l, ns.l]', '[1]')}{{ ns.l | tojson }}`],
    ['an object that holds the one before twice', `${repeated("{'a': ns.l, 'b': ns.l}", '{}')}{{ ns.l }}`],
    ['a namespace that holds itself', '{% set ns = namespace(l=1) %}{% set ns.l = [ns] %}{{ ns.l | tojson }}'],
    ['a text doubled in a namespace', repeated('ns.l + ns.l', "'a'")],
    ['each character replaced by the text', `${longText(19)}{{ ns.l | replace('a', ns.l) }}`],
    ['one text sought in another', `${longText(18)}{% set needle = 'b' + ns.l %}${often('{{ needle in ns.l + ns.l }}')}`],
    [
      'one text sought in another, after a loop that was left',
      `${longText(16)}{% macro left() %}{% for a in range(2) %}{% if a < 1 %}{% break %}{% endif %}{% endfor %}b{{ ns.l }}{% endmacro %}` +
        '{% for a in range(20) %}{{ left() in ns.l + ns.l }}{% endfor %}',
    ],
    ['a text split often', `${longText(19)}${often("{{ ns.l.split('a') | length }}")}`],
    ['a list sorted often', `{% set l = range(1000) %}${often('{{ l | sort | length }}')}`],
    ['a loop over the characters of a text, often', `${longText(19)}${often('{% for c in ns.l %}{% break %}{% endfor %}')}`],
    ['the last character of a text, often', `${longText(19)}${often('{{ ns.l | last }}')}`],
    ['equal lists compared often', `{% set l = range(1000) %}${often('{{ l == l + [] }}')}`],
    ['a list printed often', `{% set l = range(1000) %}${often('{% set text %}{{ l }}{% endset %}')}`],
    ['a number sought often in a list', `{% set l = range(1000) %}${often('{{ 5000 in l }}')}`],
  ])('is refused within seconds: %s', (what, template) => {
    const began = process.cpuUsage()
    expect(message(template)).toMatch(/more steps than a conversation needs|a value of \d+ characters|a namespace inside another value/)
    const { user, system } = process.cpuUsage(began) // microseconds of this process, whatever else the machine does
    // without a charge for each character, 12 s
    expect((user + system) / 1e6).toBeLessThan(/character.* of a text, often/.test(what) ? 8 : 20)
  })

  it('is given up in one pass through a conversation', () => {
    const turns = ['a', 'b', 'c', 'd'].map((content, i) => ({ role: i % 2 === 0 ? 'user' : 'assistant', content }))
    const beginnings = (before: string, within: string) =>
      chatTemplate(`${before}{% for m in messages %}${within}{{ m.content }}{% endfor %}`, {}, 'T').beginnings?.(turns, [1, 3], true)
    expect(beginnings('', '')?.of.get(3)).toEqual({ shared: 2, rest: 'c' })
    expect(beginnings(often(''), '')).toBeNull()
    expect(beginnings('', often(''))).toBeNull()
    expect(beginnings('', `{% if loop.last %}${often('')}{% endif %}`)).toBeNull()
    expect(beginnings(`{% set list = [messages] %}${repeated('ns.l + ns.l', 'list')}`, '{{ ns.l | tojson }}')).toBeNull()
  })

  it('leaves room for a conversation of 1,000 messages, where each looks at all of them', () => {
    const template = `{% for m in messages %}{% if messages[loop.index0 - 1].role != m.role and messages | length > 2 %}{{ m.content | trim }}{% endif %}{% endfor %}`
    const messages = Array.from({ length: 1_000 }, (_, i) => ({
      role: i % 2 === 0 ? 'user' : 'assistant',
      content: 'abcdefghi '.repeat(50),
    }))
    expect(chatTemplate(template, {}, 'T')(messages, false)).toBe('abcdefghi '.repeat(50).trim().repeat(1_000))
  })
})
