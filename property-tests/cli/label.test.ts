/** salora label, with its keys from a pipe: what it writes, how a later session continues, and which row it asks for next. */
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { readDelimited } from '../../finetuning/data/delimited.js'
import { permutation } from '../../accelerated/parameters/random.js'
import { fitLinearModel, computeLogits } from '../../accelerated/probe/linearModel.js'
import { describeGain, labelingLoop } from '../../finetuning/use/labeling.js'
import { saloraIn } from './inProcess.js'
import { toyFolder } from './toyFolder.js'

const cwd = toyFolder('label', {})
const texts = Array.from({ length: 24 }, (_, i) => `${i % 3 === 0 ? 'bad awful' : 'good "fine"'} film, number ${i}`)
beforeAll(() => writeFile(join(cwd, 'films.csv'), `film\n${texts.map((text) => `"${text.replaceAll('"', '""')}"`).join('\n')}\n`))

const file = join(cwd, 'films.labels.csv')
const label = (input: string, ...more: readonly string[]) =>
  saloraIn(['label', 'films.csv', '--text', 'film', '--model', 'tiny', '--device', 'cpu', ...more], { cwd, input })
const named = ['--labels', 'good,bad'] as const
const read = async () => {
  const { examples, labelNames } = await readDelimited(file)
  return examples.map(({ text, label: at }) => [text, labelNames?.[at]] as const)
}
/** The texts that were shown, in order. */
const shown = (stderr: string): readonly string[] => [...stderr.matchAll(/^(.*film, number \d+)$/gm)].map(([, text = '']) => text)

describe('salora label', () => {
  it('writes a label for each key, undoes the last one, skips a row, and continues in a later session', async () => {
    const first = await label('12s1u2q111', ...named)
    expect([first.code, first.stdout]).toEqual([0, '3 labels in films.labels.csv (good 1, bad 2)\n'])
    const [a, b, skipped, c, , again] = shown(first.stderr)
    expect(again).toBe(c) // undone
    expect(await read()).toEqual([
      [a, 'good'],
      [b, 'bad'],
      [c, 'bad'],
    ])
    expect(texts).toContain(a)

    const second = await label('2x1')
    expect(shown(second.stderr)).not.toContain(a)
    expect(second.stderr).toContain('warning: expected 1 to 2, s, u or q, got "x"')
    const all = await read()
    // without --labels the classes are those of the file in the order of their names
    expect(all.slice(3).map(([, name]) => name)).toEqual(['good', 'bad'])
    expect(new Set(all.map(([text]) => text)).size).toBe(5)

    const third = await label('1'.repeat(40))
    expect(new Set((await read()).map(([text]) => text))).toEqual(new Set(texts))
    expect(shown(third.stderr)).toContain(skipped)
    expect(third.stderr).toMatch(/^10 labels: a probe of the others predicts \d+ of 10 rows \(95 % interval: \d+ to \d+ %\)$/m)
  })

  it('teaches the probe what the file already says, and leaves no file where all is undone', async () => {
    await writeFile(join(cwd, 'some.csv'), 'text,label\na film,x\nno film,y\nany film,\n')
    const { code, stdout } = await saloraIn(['label', 'some.csv', '--model', 'tiny', '--device', 'cpu', '--json'], { cwd, input: 'u1u' })
    expect([code, JSON.parse(stdout)]).toEqual([0, { file: 'some.labels.csv', labels: 0, classes: { x: 0, y: 0 } }])
    expect(existsSync(join(cwd, 'some.labels.csv'))).toBe(false)
  })

  it.each([
    ['no names', [], '--labels: expected two to 9 different names of classes, got none'],
    ['one name', ['--labels', 'a'], '--labels: expected two to 9 different names of classes, got "a"'],
  ])('is refused in one line with %s', async (_, flags, message) => {
    await writeFile(join(cwd, 'bare.csv'), 'text\na film\n')
    const { code, stderr } = await saloraIn(['label', 'bare.csv', '--model', 'tiny', ...flags], { cwd })
    expect([code !== 0, stderr]).toEqual([true, expect.stringContaining(message) as string])
  })

  it('is refused in one line where the labels are of other rows, and leaves them as they are', async () => {
    await writeFile(join(cwd, 'bare.csv'), 'text\na film\n')
    await writeFile(join(cwd, 'bare.labels.csv'), 'row,text,label\n2,"another film",a\n')
    const { stderr } = await saloraIn(['label', 'bare.csv', '--model', 'tiny', '--labels', 'a,b'], { cwd, input: '1' })
    expect(stderr).toBe('bare.labels.csv: expected the labels that an earlier session gave to these rows, got another text in row "2"\n')
    expect(await readFile(join(cwd, 'bare.labels.csv'), 'utf8')).toContain('another film')
  })
})

it('a labeling loop asks for the row nearest to the border between two classes, and every fifth time for one at random', () => {
  const features = [[-2], [2], [-1.5], [1.5], [0.1], [-0.6], [0.8]]
  const { next } = labelingLoop(features, 2)
  const labels = [0, 1, 2, 3].map((row) => ({ row, label: row % 2 }))
  expect(next(labels.slice(0, 2), new Set())).toBe(4)
  expect(next(labels.slice(0, 2), new Set([4]))).toBe(5)
  const order = permutation(0, 'order', 0, features.length)
  const drawn = order.find((row) => row > 3) ?? NaN
  expect(next(labels, new Set())).toBe(drawn)
  expect(next(labels.slice(0, 1), new Set())).toBe(order.find((row) => row > 0)) // no border yet
  expect(next(labels, new Set([4, 5, 6]))).toBe(null)
})

describe('what the last labels added', () => {
  const features = Array.from({ length: 45 }, (_, i) => [Math.sin(i), Math.cos(3 * i)])
  const labels = features.map(([x = 0, y = 0], row) => ({ row, label: x + y / 2 > 0.1 * Math.sin(7 * row) ? 1 : 0 }))

  it('is measured on the same rows, by probes of the other parts without and with them', () => {
    const { crossValidate } = labelingLoop(features, 2)
    const places = [...labels].sort((a, b) => a.label - b.label || a.row - b.row)
    for (const used of [25, 45])
      expect(crossValidate(labels, used)).toEqual(
        labels.map(({ row, label: truth }) => {
          const part = places.findIndex((one) => one.row === row) % 5
          const others = places.filter((one, place) => place % 5 !== part && one.row < used).map((one) => one.row)
          const targets = { kind: 'single', classes: 2, labels: labels.map((one) => one.label) } as const
          const [no = 0, yes = 0] = computeLogits(
            fitLinearModel({ rows: features, targets, hasBias: true }, 10, others),
            features[row] ?? [],
          )
          return Number(yes > no) === truth
        }),
      )
    expect(crossValidate(labels, 9)).toBe(null)
  })

  const rights = (count: number, of = 60): boolean[] => Array.from({ length: of }, (_, i) => i < count)

  it('is nothing within a standard error, as of a loss', () => {
    expect(describeGain(rights(50), rights(50))).toBe('the last 20 labels added nothing: 83 % with 40 and 83 % with 60, ± 0 points')
    // one of 60: the mean is 1 / 60, and so is its standard error
    expect(describeGain(rights(50), rights(51))).toBe('the last 20 labels added nothing: 83 % with 40 and 85 % with 60, ± 1.7 points')
    expect(describeGain(rights(51), rights(40))).toContain('added nothing')
  })

  it('is their number of points beyond that', () =>
    // 6 of 60: 10 points, and a standard error of √(0.1 · 0.9 / 59)
    expect(describeGain(rights(42), rights(48))).toBe('the last 20 labels added 10 points: 70 % with 40 and 80 % with 60, ± 3.9 points'))
})
