/** salora ngram: models of a file or a pipe, scores as text and as JSON, and no partial files. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { openNgramModel, ngramScorer } from '../../evaluation/index.js'
import { program, salora } from './spawnSalora.js'
import { saloraHere, saloraIn } from './inProcess.js'
import { toyFolder } from './toyFolder.js'

const cwd = toyFolder('ngram')
const words = ['the', 'food', 'was', 'good', 'bad', 'superb', 'service', 'slow', 'and', 'not']
/** Sentences of up to nine words that follow from a number alone. */
const text = Array.from({ length: 600 }, (_, line) => {
  const length = 1 + ((line * 7) % 9)
  return Array.from({ length }, (__, i) => words[(line * line + 3 * i * i + line * i) % (1 + (line % 10))]).join(' ')
}).join('\n')
writeFileSync(join(cwd, 'text.txt'), `${text}\n`)
writeFileSync(join(cwd, 'text.gz'), gzipSync(`${text}\n`))
// The back-off weight of <s> makes a probability of 10^29 of each word after it.
writeFileSync(
  join(cwd, 'contradiction.arpa'),
  ['\\data\\', 'ngram 1=4', 'ngram 2=1', '', '\\1-grams:', '-1\t<unk>', '-99\t<s>\t30', '-1\t</s>', '-1\ta', '']
    .concat('\\2-grams:', '-0.3\t<s> a', '', '\\end\\', '')
    .join('\n'),
)

const train = ['ngram', 'train', '--order', '3', '--discount-fallback']

describe('salora ngram', () => {
  it('trains the same model from a file, gzip and a pipe, whatever the name of the model', async () => {
    const file = await salora([...train, '--text', 'text.txt', '--output', 'file.arpa', '--json'], { cwd })
    expect(file).toMatchObject({ code: 0 })
    expect(JSON.parse(file.stdout)).toMatchObject({
      output: 'file.arpa',
      order: 3,
      sentences: 600,
      words: text.split(/\s+/).length,
      ngrams: [{ order: 1, kept: 12, found: 12 }, { order: 2 }, { order: 3 }],
    })
    const zipped = await salora([...train, '--text', 'text.gz', '--output', 'zipped.arpa', '--quiet'], { cwd })
    const piped = await salora([...train, '--output', 'piped.ngram', '--quiet'], { cwd, input: `${text}\n` })
    for (const { code, stderr } of [zipped, piped])
      expect([code, stderr.replaceAll(/^warning: \d-grams: using the fallback discounts, because the text gives .*\n/gm, '')]).toEqual([
        0,
        '',
      ])
    const arpa = readFileSync(join(cwd, 'file.arpa'), 'utf8')
    for (const name of ['zipped.arpa', 'piped.ngram']) expect(readFileSync(join(cwd, name), 'utf8')).toBe(arpa)
    await saloraHere(...train, '--text', join(cwd, 'text.txt'), '--output', join(cwd, 'file.arpa.gz'), '--quiet')
    expect(gunzipSync(readFileSync(join(cwd, 'file.arpa.gz'))).toString()).toBe(arpa)
  })

  it('prints the score of each line and the perplexities, as text and as JSON', async () => {
    await saloraHere(...train, '--text', join(cwd, 'text.txt'), '--output', join(cwd, 'model.ngram'), '--quiet')
    const lines = ['the food was good', 'the plumbing was bad', '', 'superb']
    const { stdout, code } = await salora(['ngram', 'score', '--model', 'model.ngram', '--json'], { cwd, input: lines.join('\n') })
    expect(code).toBe(0)
    const { sentence } = ngramScorer(await openNgramModel(join(cwd, 'model.ngram')))
    const scores = lines.map(sentence)
    const sum = scores.reduce((total, { log10 }) => total + log10, 0)
    const unknown = scores.reduce((total, { unknownLog10 }) => total + unknownLog10, 0)
    expect(JSON.parse(stdout)).toEqual({
      sentences: 4,
      words: 9,
      unknown: 1,
      log10: scores.map(({ log10 }) => log10),
      log10Total: sum,
      unknownByLine: [0, 1, 0, 0],
      perplexity: expect.closeTo(10 ** (-sum / 9), 6),
      perplexityWithoutUnknown: expect.closeTo(10 ** (-(sum - unknown) / 8), 6),
      kenlmPerplexity: expect.closeTo(10 ** (-sum / 13), 6),
      kenlmPerplexityWithoutUnknown: expect.closeTo(10 ** (-(sum - unknown) / 12), 6),
    })
    writeFileSync(join(cwd, 'lines.txt'), lines.join('\n'))
    const outcome = await saloraHere(
      'ngram',
      'score',
      '--model',
      join(cwd, 'model.ngram'),
      '--text',
      join(cwd, 'lines.txt'),
      '--sentences',
      '--quiet',
    )
    expect(outcome.stdout.split('\n').slice(0, 5)).toEqual([
      ...scores.map(({ log10, words: count, unknown: strange }) => `${log10.toFixed(6)} ${count} ${strange}`),
      'text        4 sentences, 9 words, 1 unknown',
    ])
    expect(outcome.stdout).toContain(`perplexity  ${(10 ** (-sum / 9)).toFixed(4)}, without unknown words`)
  })

  it('applies the last threshold and the last discount to higher orders and counts, as lmplz does', async () => {
    const report = async (...flags: readonly string[]) => {
      const { stdout } = await saloraHere(
        ...'ngram train --order 3 --text'.split(' '),
        join(cwd, 'text.txt'),
        '--output',
        join(cwd, 'x.arpa'),
        '--json',
        ...flags,
      )
      return (
        JSON.parse(stdout) as { readonly ngrams: readonly { readonly kept: number; readonly found: number; readonly discounts: unknown }[] }
      ).ngrams
    }
    const pruned = await report('--discount-fallback', '--prune', '0', '2')
    expect(pruned[0]?.kept).toBe(pruned[0]?.found)
    for (const { kept, found } of pruned.slice(1)) expect(kept).toBeLessThan(found)
    expect(await report('--prune', '0,2,2', '--discount-fallback')).toEqual(pruned)
    const fallbacks = await report('--discount-fallback', '0.25', '0.75')
    expect(fallbacks[0]?.discounts).toEqual([0.25, 0.75, 0.75]) // no word is found behind one other alone
    expect((await report('--discount-fallback', '0.25'))[0]?.discounts).toEqual([0.25, 0.25, 0.25])
    expect((await report('--discount-fallback'))[0]?.discounts).toEqual([0.5, 1, 1.5])
  })

  it('refuses to overwrite its own text', async () => {
    const file = join(cwd, 'text.txt')
    const outcome = await saloraHere(...train, '--text', file, '--output', join(cwd, '.', 'text.txt'))
    expect(outcome).toMatchObject({
      code: 2,
      stdout: '',
      stderr: `--output: expected another file than --text, got ${JSON.stringify(file)}\n`,
    })
    expect(readFileSync(file, 'utf8')).toBe(`${text}\n`)
  })

  it.each<readonly [readonly string[], RegExp]>([
    [
      [...train, '--text', 'text.txt', '--output', 'no/m.arpa'],
      /^no\/m\.arpa: expected to write the file, got a missing folder \(ENOENT\)$/m,
    ],
    [
      ['ngram', 'score', '--model', 'contradiction.arpa', '--text', 'text.txt'],
      /^contradiction\.arpa: expected a model whose probabilities are at most 1 and above 0, got the log10 \d+.* for this text$/,
    ],
  ])('prints one line for %j', async (args, line) => {
    const { code, stdout, stderr } = await saloraIn([...args, '--quiet'], { cwd })
    expect([code, stdout, stderr.trimEnd().replaceAll(/^warning: .*\n/gm, '')]).toEqual([1, '', expect.stringMatching(line)])
  })

  it('reports a full disk and keeps the existing model', async () => {
    writeFileSync(join(cwd, 'kept.arpa'), 'as it was')
    const { code, stderr, stdout } = await salora([...train, '--text', 'text.txt', '--output', 'kept.arpa', '--quiet'], {
      cwd,
      largestFile: 4,
    })
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(/^kept\.arpa: expected to write the file, got EFBIG/)
    expect(readFileSync(join(cwd, 'kept.arpa'), 'utf8')).toBe('as it was')
    expect(readdirSync(cwd).filter((name) => name.includes('partial'))).toEqual([])
  })

  it('writes nothing after Ctrl-C, and exits with 130', async () => {
    const child = spawn(process.execPath, [program, ...train, '--output', 'stopped.arpa'], { cwd })
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', (piece: string) => {
      stderr += piece
    })
    child.stdin.on('error', () => undefined)
    // more than a pipe holds: once it is taken, the text is being read
    if (!child.stdin.write(`${text}\n`.repeat(20))) await once(child.stdin, 'drain')
    child.kill('SIGINT')
    const [code] = (await once(child, 'close')) as [number]
    expect([code, stderr]).toEqual([130, 'stopping; nothing is written\n'])
    expect(readdirSync(cwd).filter((name) => name.includes('stopped'))).toEqual([])
  })
})
