/** Rated answers: their rows, their tokens with those of the mismatched texts, and their scores. */
import { cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { unlabeled, type LabeledText } from '../../../accelerated/objectives/labeledTokens.js'
import { readRatedAnswers } from '../../../finetuning/tasks/preferences/examples.js'
import { scoreRatedAnswers } from '../../../finetuning/tasks/preferences/metrics.js'
import { openRatedTokens } from '../../../finetuning/tasks/preferences/tokens.js'
import { fixtures } from '../../golden/golden.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder } = temporaryFolder('rated')
beforeAll(async () => {
  await cp(join(fixtures, 'llama'), folder, { recursive: true })
})

const read = async (...rows: readonly object[]) => {
  const file = join(folder, 'rated.jsonl')
  await writeFile(file, rows.map((row) => JSON.stringify(row)).join('\n'))
  return (await readRatedAnswers(file, 'chat')).examples.map(({ text, textPair, label, row }) => [JSON.parse(text), textPair, label, row])
}
const user = { role: 'user', content: 'w5' }
const assistant = (content: string) => ({ role: 'assistant', content })
const messages = (content: string) => ({ messages: [user, assistant(content)] })

describe('rows of rated answers', () => {
  it.each([true, 1, 'true'])('are desirable with the label %j', async (label) => {
    expect(await read({ prompt: 'w5', completion: 'a', label })).toEqual([[messages('a'), undefined, 1, 1]])
  })

  it.each([false, 0, 'false'])('are undesirable with the label %j', async (label) => {
    expect(await read({ prompt: [user], completion: [assistant('a')], label })).toEqual([[messages('a'), undefined, 0, 1]])
  })

  it('are two of a pair', async () => {
    expect(await read({ prompt: 'w5', completion: 'a', label: true }, { prompt: 'w5', chosen: 'b', rejected: 'c' })).toEqual([
      [messages('a'), undefined, 1, 1],
      [messages('b'), undefined, 1, 2],
      [messages('c'), undefined, 0, 2],
    ])
  })

  it.each<readonly [string, object, RegExp]>([
    ['no label', { prompt: 'w5', completion: 'a' }, /expected a row with "prompt", "completion" and "label" .*, got one without "label"$/],
    ['no prompt', { completion: 'a', label: true }, /got one without "prompt"$/],
    ['no answer', { prompt: 'w5', label: true }, /got one without "completion"$/],
    ['an answer beside a pair without its other half', { prompt: 'w5', chosen: 'a' }, /got one without "completion"$/],
    ['a label that is no rating', { prompt: 'w5', completion: 'a', label: 'good' }, /expected true or false in "label", got "good"$/],
    ['a number that is no rating', { prompt: 'w5', completion: 'a', label: 2 }, /expected true or false in "label", got 2$/],
    ['an empty prompt', { prompt: ' ', completion: 'a', label: true }, /expected a prompt, got an empty one$/],
    ['an empty answer', { prompt: 'w5', completion: ' ', label: true }, /expected an answer \(or skipMissing: true\), got an empty one$/],
    [
      'an answer of the user',
      { prompt: 'w5', completion: [user], label: true },
      /expected a text, or one message of role "assistant", in "completion", got the roles "user"$/,
    ],
  ])('refuse %s', async (_, row, message) => {
    await expect(read(row)).rejects.toThrow(message)
  })
})

describe('tokens of rated answers', () => {
  const example = (prompt: string, answer: string, label: number, row: number) => ({ text: JSON.stringify({ prompt, answer }), label, row })
  const idsAndLabels = ({ inputIds, targets }: LabeledText) => [Array.from(inputIds), Array.from(targets)]
  const open = async (maxLength: number) =>
    openRatedTokens(await openModelFolder(folder), { promptTemplate: 'paper', templateDate: undefined }, maxLength)
  const examples = [
    example('w5 w6 ', 'w7', 1, 1),
    example('w8 ', 'w9 w10', 0, 2),
    example('w11 ', 'w12', 0, 3),
    example('w13 ', 'w14 w15 w16', 1, 4),
  ]

  it('have a mismatched text: their prompt, with the answer half of the rows away', async () => {
    const { training } = await open(16)
    const list = training(examples)
    expect(idsAndLabels(list.at(0)!.answer)).toEqual([
      [1, 5, 6, 7, 2],
      [unlabeled, unlabeled, 7, 2, unlabeled],
    ])
    expect(idsAndLabels(list.at(0)!.mismatched)).toEqual([
      [1, 5, 6, 12, 2],
      [unlabeled, unlabeled, 12, 2, unlabeled],
    ])
    expect(idsAndLabels(list.at(3)!.mismatched)).toEqual([
      [1, 13, 9, 10, 2],
      [unlabeled, 9, 10, 2, unlabeled],
    ])
    expect([0, 1, 2, 3].map((i) => [list.at(i)?.isDesirable, list.at(i)?.ends])).toEqual([
      [true, [5, 10]],
      [false, [5, 11]],
      [false, [4, 8]],
      [true, [6, 11]],
    ])
  })

  it('cut a mismatched text, leave out an answer, where they are too long', async () => {
    const { training, warnings } = await open(5)
    const list = training(examples)
    expect([list.length, warnings()]).toEqual([3, ['1 of 4 answers are longer than --max-length 5 and are left out']])
    // two rows away of three: the first has the answer of the third, the second that of the first, the third that of the second
    expect(idsAndLabels(list.at(2)!.mismatched)).toEqual([
      [1, 11, 9, 10, 2],
      [unlabeled, 9, 10, 2, unlabeled],
    ])
    const { training: longer } = await open(5)
    const cut = longer([example('w5 w6 ', 'w7', 1, 1), example('w8 ', 'w9 w10', 0, 2)]).at(0)!.mismatched
    expect(idsAndLabels(cut)).toEqual([
      [1, 5, 6, 9, 10],
      [unlabeled, unlabeled, 9, 10, unlabeled],
    ])
  })

  it('are refused if all have the same label, or none fits', async () => {
    const { training, evaluation } = await open(5)
    expect(() => training(examples.slice(1, 3))).toThrow(
      /^data: expected answers with label true and answers with label false, got 2 with label false/,
    )
    expect(() => evaluation(examples.slice(0, 1))).toThrow(/got 1 with label true$/)
    expect(() => training(examples.slice(1))).toThrow(/got 2 with label false, and 1 longer than maxLength 5$/)
    const short = await open(2)
    expect(() => short.training(examples)).toThrow(
      /^maxLength: expected at least \d+, the tokens of the shortest prompt with its answer, got 2$/,
    )
  })
})

describe('scores of rated answers', () => {
  const settings = { beta: 0.5, desirableWeight: 1.5, undesirableWeight: 0.5 }
  const ratio = fc.integer({ min: -3, max: 3 }) // so that ties occur
  const answers = fc
    .tuple(
      fc.array(fc.tuple(ratio, ratio), { minLength: 1, maxLength: 6 }),
      fc.array(fc.tuple(ratio, ratio), { minLength: 1, maxLength: 6 }),
    )
    .map((kinds) =>
      kinds.flatMap((kind, i) =>
        kind.map(([own, mismatched]) => ({ direction: i === 0 ? 1 : -1, ratio: own, mismatchedRatio: mismatched })),
      ),
    )

  it('count pairs, and have the loss of equation (7)', () => {
    fc.assert(
      fc.property(answers, (all) => {
        const of = (kind: number) => all.filter(({ direction }) => direction === kind)
        const pairs = of(1).flatMap((a) => of(-1).map((b) => (a.ratio > b.ratio ? 1 : a.ratio === b.ratio ? 0.5 : 0)))
        const mean = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0) / numbers.length
        const z0 = Math.max(0, mean(all.map(({ mismatchedRatio }) => mismatchedRatio)))
        const sigma = (x: number): number => 1 / (1 + Math.exp(-x))
        const loss = mean(
          all.map(({ direction, ratio: r }) => (direction === 1 ? 1.5 * (1 - sigma(0.5 * (r - z0))) : 0.5 * (1 - sigma(0.5 * (z0 - r))))),
        )
        const scores = scoreRatedAnswers(settings, all)
        expect(scores.accuracy).toBeCloseTo(mean(pairs), 12)
        expect(scores.loss).toBeCloseTo(loss, 12)
        expect(scores.chosenReward).toBeCloseTo(0.5 * mean(of(1).map(({ ratio: r }) => r)), 12)
        expect(scores.margin).toBeCloseTo(scores.chosenReward - scores.rejectedReward, 12)
      }),
    )
  })
})
