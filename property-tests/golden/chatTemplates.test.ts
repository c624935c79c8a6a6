/** Conversations are rendered as transformers renders them. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { chatTemplate, type Message } from '../../accelerated/checkpoints/tokenizer/chatTemplate.js'
import { fixtures } from './golden.js'

type Golden = {
  readonly templates: Readonly<Record<string, string>>
  readonly tokens: Readonly<Record<string, string>>
  readonly cases: ReadonlyArray<{
    readonly template: string
    readonly messages: ReadonlyArray<Message>
    readonly ask: boolean
    readonly text: string
  }>
}
const golden = JSON.parse(readFileSync(join(fixtures, 'chatTemplates.json'), 'utf8')) as Golden

describe.each(Object.keys(golden.templates))('a chat template, %s', (name) => {
  it('renders a conversation as transformers does, with and without the generation prompt', () => {
    const chat = chatTemplate(golden.templates[name] ?? '', golden.tokens, 'T')
    const cases = golden.cases.filter(({ template }) => template === name)
    expect(cases.length).toBeGreaterThan(10)
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
      /^T: expected a chat template in Jinja \(or --prompt-template paper, for instructions\), got one that fails \(.*\)$/,
    )
    expect(message("{{ raise_exception('only system first') }}")).toBe(
      'T: expected a chat template that takes these messages (or --prompt-template paper, for instructions), got one that fails (only system first)',
    )
    expect(message('{% for i in range(1000000000) %}a{% endfor %}')).toMatch(/range of 1000000000 numbers, more than 1000\)$/)
    expect(message(`{% for i in range(900) %}${'a'.repeat(2_000)}{% endfor %}`)).toMatch(
      /^T: expected a chat template that makes at most 1000004 characters of these messages \(or --prompt-template paper, for instructions\), got 1800000$/,
    )
  })
})
