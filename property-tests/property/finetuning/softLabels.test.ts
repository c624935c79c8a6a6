/** Rows with a probability for each class: what is read, what is refused, and what stays as it was. */
import { describe, expect, it } from 'vitest'
import { readDelimited, type DelimitedOptions } from '../../../finetuning/data/index.js'
import { rowsDigest } from '../../../finetuning/run/runRows.js'
import { loadTask } from '../../../finetuning/tasks/index.js'
import { refusalOf } from '../../support/refusal.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder, write } = temporaryFolder('soft')

const csv = (...labels: readonly string[]): string =>
  ['text,label', ...labels.map((label, i) => `text ${i},"${label.replaceAll('"', '""')}"`)].join('\n')
const jsonl = (...labels: readonly unknown[]): string => labels.map((label, i) => JSON.stringify({ text: `text ${i}`, label })).join('\n')
const refusal = async (name: string, content: string, options: DelimitedOptions = {}): Promise<string> =>
  (await refusalOf(() => readDelimited(write(name, content), options))).replaceAll(`${folder}/`, '')

const objects = [{ b: 0.25, a: 0.75 }, { c: 1 }, { a: 0.3, c: 0.3, b: 0.4 }]
const expected = [
  {
    label: 0,
    shares: [
      [1, 0.25],
      [0, 0.75],
    ],
  }, // prettier-ignore
  { label: 2, shares: [[2, 1]] },
  {
    label: 1,
    shares: [
      [0, 0.3],
      [2, 0.3],
      [1, 0.4],
    ],
  },
]

describe('soft labels', () => {
  it.each([
    ['s.jsonl', jsonl(...objects)],
    ['s.json', JSON.stringify(objects.map((label, i) => ({ text: `text ${i}`, label })))],
    ['s.csv', csv(...objects.map((object) => JSON.stringify(object)))],
  ])('are objects in %s', async (name, content) => {
    const { examples, labelNames, notes } = await readDelimited(write(name, content))
    expect(labelNames).toEqual(['a', 'b', 'c'])
    expect(examples.map(({ label, shares }) => ({ label, shares }))).toEqual(expected)
    const changed = examples.map((example) => ({
      ...example,
      text: example.text,
      row: 0,
      label: example.label,
      shares: [[example.label, 1] as const],
    }))
    expect(rowsDigest({ examples: changed, labelNames })).not.toBe(rowsDigest({ examples, labelNames })) // another run's data
    expect(notes?.join()).toContain('3 of 3 rows have a probability for each class')
  })

  it('may stand beside labels, are divided by their sum, and give the first of equal classes', async () => {
    const { examples, labelNames } = await readDelimited(write('m.jsonl', jsonl('x', { y: 0.33, x: 0.33, z: 0.33, w: 0 })))
    expect(labelNames).toEqual(['w', 'x', 'y', 'z'])
    expect(examples.map(({ label }) => label)).toEqual([1, 1])
    expect(examples[0]?.shares).toBeUndefined()
    expect(examples[1]?.shares?.map(([label, share]) => [label, share.toFixed(6)])).toEqual([
      [2, '0.333333'],
      [1, '0.333333'],
      [3, '0.333333'],
    ])
  })

  it('are the softmax of logits if the user gives a temperature, and add up where two names are one class', async () => {
    const name = write('z.jsonl', jsonl({ a: Math.log(3), B: 0, b: 0 }, { b: -1000, a: 1000 }))
    const { examples } = await readDelimited(name, { teacherTemperature: 2, mergeLabels: 'case' })
    expect(examples[0]?.shares?.map(([label, share]) => [label, share.toFixed(6)])).toEqual([
      [0, '0.600000'],
      [1, '0.400000'],
    ])
    expect(examples[1]?.shares).toEqual([[0, 1]])
  })

  it('leave labels that only look so as they are', async () => {
    const { labelNames } = await readDelimited(write('t.csv', csv('{name}', '{"a": 1}')), { labelsAsText: true })
    expect(labelNames).toEqual(['{"a": 1}', '{name}'])
    expect((await readDelimited(write('u.csv', csv('{name}', '{other}')))).labelNames).toEqual(['{name}', '{other}'])
  })

  it('are refused in one line that has the row and the remedy', async () => {
    const sum = 'probabilities from 0 on whose sum is 1 within 0.01 (for logits: --set teacher-temperature=1)'
    expect(await refusal('a.csv', csv('{"a": 0.5, "b": 0.5}', '{"a": 2.5, "b": 0.5}'))).toBe(
      `a.csv, row 3: expected ${sum}, got a sum of 3`,
    )
    expect(await refusal('a.jsonl', jsonl({ a: 1.5, b: -0.5 }))).toBe(`a.jsonl, row 1: expected ${sum}, got -0.5`)
    expect(await refusal('b.jsonl', jsonl({ a: 'much' }))).toBe(
      'b.jsonl, row 1: expected a number for each class, such as {"positive": 0.8, "negative": 0.2}, got ""much""',
    )
    expect(await refusal('c.jsonl', jsonl({}))).toMatch(/^c\.jsonl, row 1: expected 1 to 1000 classes by name, .*, got "\{\}"$/)
    expect(await refusal('d.jsonl', jsonl(Object.fromEntries(Array.from({ length: 1001 }, (_, i) => [`c${i}`, 1 / 1001]))))).toMatch(
      /^d\.jsonl, row 1: expected 1 to 1000 classes by name/,
    )
    expect(await refusal('e.jsonl', jsonl(...Array.from({ length: 1001 }, (_, i) => ({ [`c${i}`]: 1 }))))).toBe(
      'e.jsonl, row 1001: expected at most 1000 classes in a file of probabilities, got more',
    )
    expect(await refusal('f.jsonl', '{"text":"a","label":{"a":1e999}}')).toContain('row 1: expected a number for each class')
    expect(await refusal('g.jsonl', jsonl({ a: 0.4, b: 0.6 }), { labelNames: ['a', 'c'] })).toBe(
      'g.jsonl, row 1: expected a label of the training data (a or c), got "b"',
    )
    expect(await refusal('h.jsonl', jsonl({ a: 0.4, b: 0.6 }), { teacherTemperature: 1 })).toBe(
      '--set teacher-temperature: expected logits as labels, got probabilities in each row of h.jsonl: leave the setting out',
    )
  })

  it('with a temperature, are refused if it is none, and if a row of the training data has a label', async () => {
    const line = async (label: unknown, teacherTemperature: number | string): Promise<string> =>
      (await refusalOf(() => loadTask({ task: write('i.jsonl', jsonl({ a: 2, b: 1 }, label)), teacherTemperature }))).replaceAll(
        `${folder}/`,
        '',
      )
    expect(await line('a', 1)).toBe('i.jsonl, row 2: expected a logit for each class (--set teacher-temperature), got another label')
    for (const temperature of ['0', 'warm', 1e4])
      expect(await line({ a: 2 }, temperature)).toBe(
        `--set teacher-temperature: expected a number above 0 and at most 1000, got "${temperature}"`,
      )
  })
})
