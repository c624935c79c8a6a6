/** rows.json contains all rows of a run, by their texts, and no others. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { isAmong, readRunRows, rowsDigest, encodeRunRows, writeRunRows } from '../../../finetuning/run/runRows.js'
import type { Example } from '../../../finetuning/data/index.js'
import type { LoadedTask } from '../../../finetuning/tasks/index.js'
import { SEED } from '../../support/seed.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder } = temporaryFolder('rows')

const example: fc.Arbitrary<Example> = fc
  .record({ text: fc.string(), textPair: fc.option(fc.string(), { nil: undefined }), label: fc.nat(1), row: fc.nat() })
  .map(({ textPair, ...rest }) => (textPair === undefined ? rest : { ...rest, textPair }))
const dataset = (examples: readonly Example[]) => ({ source: 'made', examples, labelNames: ['a', 'b'], skipped: [] })
const written = async (training: readonly Example[], evaluation: readonly Example[]) => {
  const task: Pick<LoadedTask, 'train' | 'evaluation' | 'heldOut'> = {
    train: dataset(training),
    evaluation: dataset(evaluation),
    heldOut: true,
  }
  await writeRunRows(folder, encodeRunRows(task as LoadedTask))
  return (await readRunRows(folder))!
}
const nameOf = ({ text, textPair }: Example): string => JSON.stringify([text, textPair])

it('contains exactly the texts of each part', () =>
  fc.assert(
    fc.asyncProperty(fc.array(example), fc.array(example), async (training, evaluation) => {
      const rows = await written(training, evaluation)
      const [ofTraining, ofEvaluation] = [new Set(training.map(nameOf)), new Set(evaluation.map(nameOf))]
      for (const one of [...training, ...evaluation])
        expect([isAmong(rows.training, one), isAmong(rows.evaluation, one)]).toEqual([
          ofTraining.has(nameOf(one)),
          ofEvaluation.has(nameOf(one)),
        ])
    }),
    { seed: SEED, numRuns: 50 },
  ))

it('has a different digest for other texts, second texts, labels, words, class names, or another order', () =>
  fc.assert(
    fc.property(fc.array(example, { minLength: 1 }), example, (examples, other) => {
      const digest = rowsDigest(dataset(examples))
      const [first, ...rest] = examples as [Example, ...Example[]]
      expect(rowsDigest(dataset(examples.map((one) => ({ ...one, row: one.row + 1 }))))).toBe(digest)
      expect(rowsDigest(dataset([...examples, other]))).not.toBe(digest)
      expect(rowsDigest(dataset([{ ...first, label: 1 - first.label }, ...rest]))).not.toBe(digest)
      expect(rowsDigest(dataset([{ ...first, labels: [0, 1] }, ...rest]))).not.toBe(
        rowsDigest(dataset([{ ...first, labels: [1] }, ...rest])),
      )
      expect(rowsDigest(dataset([{ ...first, text: `${first.text}.` }, ...rest]))).not.toBe(digest)
      expect(rowsDigest(dataset([{ ...first, textPair: `${first.textPair ?? ''}.` }, ...rest]))).not.toBe(digest)
      const ofWords = (...words: readonly number[]) => rowsDigest(dataset([{ ...first, words }, ...rest]))
      expect(new Set([digest, ofWords(0), ofWords(1), ofWords(0, 1)]).size).toBe(4)
      expect(rowsDigest({ ...dataset(examples), labelNames: ['x', 'y'] })).not.toBe(digest)
      if (nameOf(other) !== nameOf(first)) expect(rowsDigest(dataset([other, first]))).not.toBe(rowsDigest(dataset([first, other])))
    }),
    { seed: SEED, numRuns: 50 },
  ))

it('is refused if the file is invalid', async () => {
  await writeFile(join(folder, 'rows.json'), JSON.stringify({ heldOut: true, training: 'AAAA', evaluation: '' }))
  await expect(readRunRows(folder)).rejects.toThrow('rows.json: expected eight bytes for each row, got 3')
})
