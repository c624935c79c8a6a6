/** salora bleu: its score, its JSON document, and one line per error. */
import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { saloraHere } from './inProcess.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const { folder: cwd } = temporaryFolder('bleu')

const write = async (name: string, content: string | Uint8Array): Promise<string> => {
  await writeFile(join(cwd, name), content)
  return join(cwd, name)
}
const bleu = async (...args: readonly string[]) => {
  const { stderr, ...finished } = await saloraHere('bleu', ...args)
  return { ...finished, stderr: stderr.replaceAll(cwd, '@') }
}

const hypotheses = 'The Cat sat on a mat.\nIt didn\'t rain "today".\n'
const first = 'A cat sat on the mat.\nIt didn\'t rain "yesterday".\n'
const second = 'The cat is on the mat, sitting.\nToday it did not rain.\n'

// sacrebleu 2.6.0: corpus_score of these lines, of `words` on NLTK 3.9.2's words
describe('the score of salora bleu', () => {
  const given = async () => [
    '--hypotheses',
    await write('hypotheses.txt', hypotheses),
    '--references',
    await write('first.txt', first),
    await write('second.txt', second),
  ]

  it("is sacrebleu's by default, as are its parts", async () => {
    const { code, stdout, stderr } = await bleu(...(await given()), '--json')
    expect([code, stderr]).toEqual([0, ''])
    const { score, precisions, brevityPenalty, ...others } = JSON.parse(stdout)
    expect(score).toBeCloseTo(31.480648166216575, 9)
    expect(precisions).toEqual([expect.closeTo(78.57142857142857, 9), 50, 20, 12.5])
    expect(brevityPenalty).toBe(1)
    expect(others).toEqual({
      counts: [11, 6, 2, 1],
      totals: [14, 12, 10, 8],
      hypothesisLength: 14,
      referenceLength: 14,
      lines: 2,
      emptyHypotheses: 0,
      emptyReferences: [0, 0],
      signature: expect.stringMatching(/^nrefs:2\|case:mixed\|eff:no\|tok:13a\|smooth:exp\|version:salora-\d+\.\d+\.\d+$/),
    })
  })

  it('changes with each flag', async () => {
    const flags: readonly (readonly [string, number])[] = [
      ['--lowercase', 39.76353643835255],
      ['--tokenize none', 27.19393264843193],
      ['--tokenize none --smooth-method none', 0],
      ['--tokenize none --smooth-method floor', 18.18567881282065],
      ['--tokenize none --smooth-method floor --smooth-value 0.01', 10.226558723087617],
      ['--tokenize none --smooth-method add-k', 36.514837167011066],
      ['--tokenize none --smooth-method add-k --smooth-value 0.5', 29.320450437892],
      ['--tokenize words', 40.19667982641265],
      ['--tokenize words --lowercase', 48.63383168079944],
    ]
    for (const [args, expected] of flags) {
      const { stdout } = await bleu(...(await given()), '--json', ...args.split(' '))
      expect(JSON.parse(stdout).score, args).toBeCloseTo(expected, 9)
    }
  })

  it('is 0 for lines of one or two words, except with --effective-order', async () => {
    const short = await write('short.txt', 'yes\nno way\n')
    const of = ['--hypotheses', short, '--references', short, '--json']
    expect(JSON.parse((await bleu(...of)).stdout).score).toBe(0)
    expect(JSON.parse((await bleu(...of, '--effective-order')).stdout).score).toBe(100)
  })

  it('is printed in four lines without --json', async () => {
    const { stdout } = await bleu(...(await given()))
    expect(stdout).toMatch(
      /^BLEU {13}\d+\.\d\d of 2 lines\nprecisions( +[/]? ?\d+\.\d){4}\nbrevity penalty {2}\d\.\d{3} \(\d+ words, \d+ in the references\)\nsignature {8}nrefs:2\|.*\n$/,
    )
  })

  it('counts every line, with or without a final line feed, Windows line ends or a byte-order mark', async () => {
    const file = await write('ends.txt', '\ufeffone two three four\r\n\n\n')
    const reference = await write('reference.txt', 'one two three four\nfive\n\nsix')
    const { code, stderr } = await bleu('--hypotheses', file, '--references', reference)
    expect([code, stderr]).toEqual([1, '@/reference.txt: expected 3 lines, as many as @/ends.txt has, got 4\n'])
    const equal = await bleu('--hypotheses', file, '--references', await write('three.txt', 'one two three four\n\nsix'), '--json')
    expect(JSON.parse(equal.stdout)).toMatchObject({ lines: 3, counts: [4, 3, 2, 1], emptyHypotheses: 2, emptyReferences: [1] })
    expect(equal.stderr).toBe(
      'warning: @/ends.txt: 2 of 3 lines empty (first: line 2), scored as empty\nwarning: @/three.txt: 1 of 3 lines empty (first: line 2), scored as empty\n',
    )
  })

  it('includes all lines of a file that is read in several chunks', async () => {
    const lines = Array.from({ length: 90_000 }, (_, i) => `line ${i} of the many lines ${'x'.repeat(i % 40)}`)
    const file = await write('many.txt', `${lines.join('\n')}\n`) // over 3 MB
    const shorter = await write('shorter.txt', `${lines.map((line) => line.replace(/ x*$/, '')).join('\n')}\n`)
    const { stdout } = await bleu('--hypotheses', file, '--references', shorter, file, '--tokenize', 'none', '--json')
    // six words, and a seventh but where i is a multiple of 40
    expect(JSON.parse(stdout)).toMatchObject({ lines: 90_000, score: 100, hypothesisLength: 7 * 90_000 - 90_000 / 40 })
  })
})

describe('an error of salora bleu', () => {
  const failure = async (...args: readonly string[]): Promise<readonly [number | undefined, string]> => {
    const { code, stdout, stderr } = await bleu(...args)
    expect(stdout).toBe('')
    expect(stderr.trimEnd().split('\n')).toHaveLength(1)
    return [Number(code), stderr.trimEnd()]
  }
  const files = async () => ['--hypotheses', await write('one.txt', 'a\nb\n'), '--references', await write('two.txt', 'a\nb\n')]

  it.each<readonly [string, string | Uint8Array, string]>([
    ['a line that is not UTF-8', Buffer.from('a\ncaf\xe9\n', 'latin1'), '@/other.txt, line 2: expected text in UTF-8, got other bytes'],
    [
      'a line too long to be a sentence',
      `a\n${'b'.repeat(1_000_001)}\n`,
      '@/other.txt, line 2: expected at most 1000000 bytes in a line, got 1000001',
    ],
  ])('salora bleu prints one line for references with %s', async (_, content, line) => {
    const [flag = '', , references = '', two = ''] = await files()
    expect(await failure(flag, two, references, two, await write('other.txt', content))).toEqual([1, line])
  })

  it('salora bleu prints one line for a file with one line of 200 MB, without keeping it in memory', async () => {
    const [flag = '', , ...references] = await files()
    const huge = await write('huge.txt', '')
    await truncate(huge, 200_000_000)
    const before = process.memoryUsage().rss
    expect(await failure(flag, huge, ...references)).toEqual([
      1,
      '@/huge.txt, line 1: expected at most 1000000 bytes in a line, got 200000000',
    ])
    expect(process.memoryUsage().rss - before).toBeLessThan(100_000_000)
  })
})
