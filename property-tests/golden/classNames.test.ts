/** Names of classes in Parquet files that Python's datasets library wrote, against the names that the library itself gives their rows. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { classNamesIn } from '../../finetuning/data/parquetRows.js'
import { loadEvaluation } from '../../finetuning/tasks/index.js'
import { refusalOf } from '../support/refusal.js'

type Row = { readonly text?: string; readonly label?: string | number | readonly string[]; readonly ner_tags?: readonly string[] }
const fixtures = fileURLToPath(new URL('./fixtures/', import.meta.url))
const { rows } = JSON.parse(readFileSync(`${fixtures}class_names.json`, 'utf8')) as {
  readonly rows: Readonly<Record<string, readonly Row[]>>
}
const file = (name: string): string => `${fixtures}datasets/${name}.parquet`

describe('a Parquet file of the datasets library', () => {
  it('has the names of its classes, and a row with −1 has no label', async () => {
    const { evaluation } = await loadEvaluation({ task: file('classes'), skipMissing: true })
    const { labelNames, examples, skipped } = evaluation
    expect(labelNames).toEqual(['neg', 'pos', 'so-so'])
    expect(examples.map(({ text, label }) => ({ text, label: labelNames?.[label] }))).toEqual(rows['classes']?.slice(0, -1))
    expect(skipped).toEqual([{ row: 5, reason: 'no label' }])
    expect(await refusalOf(() => loadEvaluation({ task: file('classes') }))).toContain(
      'row 5: expected a label (or --skip-missing), got null',
    )
  })

  it('has them for several labels of a row', async () => {
    const { evaluation } = await loadEvaluation({ task: file('sets'), problemType: 'multi-label' })
    const { labelNames, examples } = evaluation
    expect(examples.map(({ text, labels = [] }) => ({ text, label: labels.map((i) => labelNames?.[i]) }))).toEqual(rows['sets'])
  })

  it.each(['tags', 'tags-2', 'tags-1'])('has them for tags, in the form of each version: %s', async (name) => {
    const task = { task: file(name), problemType: 'token-classification' }
    const { labelNames, examples } = (await loadEvaluation(task)).evaluation
    const expected = rows[name]?.map(({ ner_tags: tags }) => tags) ?? []
    expect(examples.map(({ labels: tags }) => tags?.map((tag) => labelNames?.[tag]))).toEqual(expected)
    // --tag-names still says what the numbers stand for
    const others = (await loadEvaluation({ ...task, tagNames: 'O,B-ORG,I-ORG' })).evaluation
    expect(others.labelNames).toEqual(['O', 'B-ORG', 'I-ORG'])
  })

  it('keeps its numbers where numbers are learned', async () => {
    const { examples } = (await loadEvaluation({ task: file('classes'), problemType: 'regression', skipMissing: true })).evaluation
    expect(examples.map(({ label }) => label)).toEqual([1, 0, 2, 1, -1])
  })

  it('is refused for a number without a name', async () => {
    expect(await refusalOf(() => loadEvaluation({ task: file('outside') }))).toContain(
      'row 1: expected a class from 0 to 2, which the file names, got 7',
    )
  })
})

describe('what another program wrote in their place', () => {
  const label = (value: unknown) => [{ key: 'huggingface', value: JSON.stringify({ info: { features: { label: value } } }) }]
  it('gives names for a ClassLabel', () => {
    expect(classNamesIn(label({ _type: 'ClassLabel', names: ['a', 'b'] }))).toEqual(new Map([['label', ['a', 'b']]]))
  })

  it.each<readonly [string, Parameters<typeof classNamesIn>[0]]>([
    ['nothing', []],
    ['no value', [{ key: 'huggingface' }]],
    ['no JSON', [{ key: 'huggingface', value: '{' }]],
    ['another key', label({ _type: 'ClassLabel', names: ['a'] }).map(({ value }) => ({ key: 'pandas', value }))],
    ['no features', [{ key: 'huggingface', value: '{"info": 3}' }]],
    ['a value', label({ _type: 'Value', dtype: 'string' })],
    ['no names', label({ _type: 'ClassLabel', names: [] })],
    ['a name twice', label({ _type: 'ClassLabel', names: ['a', 'a'] })],
    ['a name of a megabyte', label({ _type: 'ClassLabel', names: ['a'.repeat(1_000_000)] })],
    ['numbers', label({ _type: 'ClassLabel', names: [1, 2] })],
  ])('gives none: %s', (_, metadata) => expect(classNamesIn(metadata)).toEqual(new Map()))
})
