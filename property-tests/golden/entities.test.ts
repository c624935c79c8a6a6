/** Entities and their scores are seqeval's in its default mode, which are conlleval's; and those that WNUT 2017 published for two systems. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { parseEntities, iob2, reportByType, scoreEntities } from '../../finetuning/tasks/tokenClassification/metrics.js'
import { readTagged } from '../../finetuning/tasks/tokenClassification/examples.js'
import { assertClose } from '../support/assertClose.js'

type Tags = readonly (readonly string[])[]
type Case = {
  readonly scheme: string
  readonly labels: Tags
  readonly predictions: Tags
  readonly entities: readonly (readonly (readonly [string, number, number])[])[]
  readonly byType: Readonly<Record<string, readonly [number, number, number, number]>>
} & Readonly<Record<'precision' | 'recall' | 'f1' | 'accuracy', number>>

const { cases } = JSON.parse(readFileSync(join(import.meta.dirname, 'fixtures', 'entities.json'), 'utf8')) as {
  readonly cases: readonly Case[]
}

describe.each(cases.map((golden) => [`${golden.scheme}, ${golden.labels.length} sentences`, golden] as const))('%s', (_, golden) => {
  it('has the entities of seqeval, whatever follows what', () => {
    expect(golden.labels.map((tags) => parseEntities(tags).map(({ type, start, end }) => [type, start, end]))).toEqual(golden.entities)
  })

  it('has the same entities in IOB2', () => {
    for (const tags of golden.labels) {
      expect(parseEntities(iob2(tags))).toEqual(parseEntities(tags))
      expect(iob2(iob2(tags))).toEqual(iob2(tags))
    }
  })

  it("has seqeval's precision, recall, F1 and accuracy, over all entities and by type", () => {
    const scores = scoreEntities(golden.predictions, golden.labels)
    for (const name of ['precision', 'recall', 'f1', 'accuracy'] as const)
      assertClose([scores[name]], [golden[name]], { relative: 1e-12, absolute: 1e-12, name })
    const byType = Object.fromEntries(
      reportByType(golden.predictions, golden.labels).map(({ label, precision, recall, f1, examples }) => [
        label,
        [precision, recall, f1, examples],
      ]),
    )
    expect(Object.keys(byType)).toEqual(Object.keys(golden.byType).sort())
    for (const [type, row] of Object.entries(golden.byType))
      assertClose(byType[type] ?? [], row, { relative: 1e-12, absolute: 1e-12, name: type })
  })
})

describe('scoreEntities', () => {
  it('refuses sentences of different lengths, and no words', () => {
    expect(() => scoreEntities([['O']], [['O', 'O']])).toThrow('got 2 words; sentence 0 differs')
    expect(() => scoreEntities([], [])).toThrow('got 0 words')
  })

  it('gives 0 where there is no entity, and takes a name without a prefix as a tag inside', () => {
    expect(scoreEntities([['O']], [['O']])).toEqual({ precision: 0, recall: 0, f1: 0, accuracy: 1 })
    expect(parseEntities(['PER', 'PER', 'LOC', 'O', 'U-PER', 'L-PER'])).toEqual([
      { type: 'PER', start: 0, end: 2 },
      { type: 'LOC', start: 2, end: 3 },
      { type: 'PER', start: 4, end: 5 },
      { type: 'PER', start: 5, end: 6 },
    ])
  })
})

const wnut = join(import.meta.dirname, '../../../shared/data/ner')

/** UH-RiTUAL and Drexel-CCI in Derczynski et al., 2017, tables of entity scores. Their files break sentences elsewhere, so tags are aligned word by word. */
describe.skipIf(!existsSync(wnut))('WNUT 2017 (../shared/data/ner)', () => {
  it.each([
    ['submission_uh_ritual.conll', 57.54, 32.9, 41.86],
    ['submission_drexel_cci.conll', 50.39, 17.79, 26.3],
  ])('%s has its published precision, recall and F1', async (name, ...published) => {
    const { examples, labelNames } = await readTagged(join(wnut, 'emerging.test.annotated'), {})
    const labels = examples.map((example) => (example.labels ?? []).map((label) => labelNames?.[label] ?? ''))
    const system = await readTagged(join(wnut, name), {})
    const all = system.examples.flatMap((example) => (example.labels ?? []).map((label) => system.labelNames?.[label] ?? ''))
    const starts = labels.map((_, i) => labels.slice(0, i).flat().length)
    const predictions = labels.map((tags, i) => all.slice(starts[i], (starts[i] ?? 0) + tags.length))
    expect(predictions.flat()).toHaveLength(all.length)
    const { precision, recall, f1 } = scoreEntities(predictions, labels)
    expect([precision, recall, f1].map((share) => Math.round(1e4 * share) / 100)).toEqual(published)
  })
})
