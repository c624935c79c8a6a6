/** Expressions of chat templates, as Jinja renders them in Python: thousands of combinations of values, operators, filters, methods and tests. */
import { readFileSync } from 'node:fs'
import { Template } from '@huggingface/jinja'
import { describe, expect, it } from 'vitest'
import { renderWithin } from '../../accelerated/checkpoints/chatTemplate/boundedTemplate.js'
import { parseStored } from '../../accelerated/storage/json.js'

const { values, cases } = parseStored(readFileSync(new URL('fixtures/jinja.json', import.meta.url), 'utf8')) as {
  readonly values: Readonly<Record<string, unknown>>
  readonly cases: Readonly<Record<string, string | null>>
}
const constants = { true: true, false: false }

/** null: the template is refused. */
const rendered = (template: string): string | null => {
  try {
    return renderWithin(new Template(template).parsed, { ...constants, ...values }, { messages: 2, characters: 1_000_000 })
  } catch {
    return null
  }
}

const all = Object.entries(cases).map(([template, python]) => ({ template, python, own: rendered(template) }))

describe('an expression of a chat template', () => {
  it('is rendered as in Python, or refused', () => {
    expect(all.filter(({ python, own }) => python !== null && own !== null && own !== python)).toEqual([])
  })

  it("truncates a negative number to a whole one toward 0, as Python's int does", () => {
    for (const [template, python] of [
      ['{{ (-1.5) | int }}', '-1'],
      ["{{ '-1.5' | int }}", '-1'],
      ['{{ (0 - 2.9) | int }}', '-2'],
      ["{{ '-0.5' | int }}", '0'],
    ] as const)
      expect(rendered(template), template).toBe(python)
  })

  it('is refused where Python refuses it', () => {
    expect(all.filter(({ python, own }) => python === null && own !== null)).toEqual([])
  })

  it('is refused for few that Python renders, which make little sense', () => {
    const known = all.filter(({ python }) => python !== null)
    expect([known.length, known.filter(({ own }) => own === null).length]).toEqual([3212, 339])
  })
})
