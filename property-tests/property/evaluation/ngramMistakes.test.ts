/** Invalid n-gram models and texts: each is refused in one line with the place, the expected input and the actual one. No file is half written. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { open, rename, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { InputError, reason } from '../../../accelerated/errors/inputError.js'
import { fileSource, openNgramModel, trainNgram, writeNgramModel, type NgramOptions } from '../../../evaluation/index.js'
import { applyEdits, edits } from '../../hostile/cases.js'
import { textOf } from '../../support/ngramText.js'
import { SEED } from '../../support/seed.js'

const folder = mkdtempSync(join(tmpdir(), 'salora-ngram-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** The line that is thrown, without the folder. */
const lineOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'nothing thrown',
    (thrown: unknown) => {
      expect(thrown).toBeInstanceOf(InputError)
      return reason(thrown).replaceAll(`${folder}/`, '')
    },
  )

const opened = (content: string | Uint8Array, name = 'm.arpa'): Promise<string> => {
  writeFileSync(join(folder, name), content)
  return lineOf(openNgramModel(join(folder, name)))
}

const valid = `\\data\\
ngram 1=5
ngram 2=3
ngram 3=1

\\1-grams:
-1\t<unk>
-99\t<s>\t-0.5
-1\t</s>
-0.9\ta\t-0.25
-0.8\tb\t-0.25

\\2-grams:
-0.3\t<s> a\t-0.1
-0.4\ta b\t-0.1
-0.2\tb </s>

\\3-grams:
-0.1\t<s> a b

\\end\\
`
const changed = (from: string, to: string): string => {
  expect(valid).toContain(from)
  return valid.replace(from, to)
}

describe('openNgramModel of an ARPA file', () => {
  it('accepts a valid file, also with other line ends and blanks', async () => {
    expect(await opened(valid)).toBe('nothing thrown')
    expect(await opened(`# made by hand\n\n${valid.replaceAll('\n', '\r\n')}\n\n`)).toBe('nothing thrown')
    expect(await opened(valid.replaceAll('\t', '  '))).toBe('nothing thrown')
    expect(await opened(changed('<unk>', '<UNK>'))).toBe('nothing thrown')
  })

  it.each<readonly [string, string, string]>([
    ['is empty', '', 'm.arpa: expected an ARPA file, which begins with \\data\\, got an empty file'],
    ['is another file', 'one,two\n', 'm.arpa, line 1: expected an ARPA file, which begins with \\data\\, got "one,two"'],
    [
      'has no counts',
      changed('ngram 1=5\nngram 2=3\nngram 3=1\n', ''),
      'm.arpa, line 3: expected "ngram 1=" and a number, got "\\1-grams:"',
    ],
    ['leaves a count out', changed('ngram 2=3\n', ''), 'm.arpa, line 3: expected "ngram 2=" and a number, got "ngram 3=1"'],
    ['counts in words', changed('ngram 2=3', 'ngram 2=many'), 'm.arpa, line 3: expected "ngram 2=" and a number, got "ngram 2=many"'],
    ['lacks a section', valid.replace(/\\2-grams:[\s\S]*?\n\n/, ''), 'm.arpa, line 13: expected \\2-grams:, got "\\3-grams:"'],
    ['lacks the last section', valid.replace(/\\3-grams:[\s\S]*?\n\n/, ''), 'm.arpa, line 18: expected \\3-grams:, got "\\end\\"'],
    ['has fewer n-grams than it says', changed('-0.2\tb </s>\n', ''), 'm.arpa, line 17: expected 3 2-grams, as \\data\\ says, got 2'],
    [
      'has more n-grams than it says',
      changed('-0.2\tb </s>\n', '-0.2\tb </s>\n-0.2\ta </s>\n'),
      'm.arpa, line 19: expected 3 2-grams, as \\data\\ says, got 4',
    ],
    ['ends early', valid.slice(0, valid.indexOf('\\3-grams')), 'm.arpa, line 17: expected \\3-grams:, got the end of the file'],
    ['has no end', valid.replace('\\end\\\n', ''), 'm.arpa, line 20: expected \\end\\, got the end of the file'],
    ['continues after its end', `${valid}more\n`, 'm.arpa, line 22: expected nothing after \\end\\, got "more"'],
    [
      'has a probability above 1',
      changed('-0.4\ta b', '0.4\ta b'),
      'm.arpa, line 15: expected the log10 of a probability, at most 0, got 0.4',
    ],
    [
      'has a probability that is no number',
      changed('-0.4\ta b', 'x\ta b'),
      'm.arpa, line 15: expected a finite number for the probability, got "x"',
    ],
    [
      'has a probability of 0',
      changed('-0.4\ta b', '-inf\ta b'),
      'm.arpa, line 15: expected a finite number for the probability, got "-inf"',
    ],
    [
      'has a probability below float32',
      changed('-0.4\ta b', '-1e39\ta b'),
      'm.arpa, line 15: expected a finite number for the probability, got "-1e39"',
    ],
    [
      'has a probability below 1e-300',
      changed('-0.4\ta b', '-3e38\ta b'),
      'm.arpa, line 15: expected a log10 from -300 to 300 for the probability, got -3e38',
    ],
    [
      'has a back-off weight above 1e300',
      changed('b\t-0.1', 'b\t1e30'),
      'm.arpa, line 15: expected a log10 from -300 to 300 for the back-off weight, got 1e30',
    ],
    [
      'has a weight that is no number',
      changed('b\t-0.1', 'b\tnan'),
      'm.arpa, line 15: expected a finite number for the back-off weight, got "nan"',
    ],
    [
      'has a back-off weight at the highest order',
      changed('<s> a b', '<s> a b\t-0.5'),
      'm.arpa, line 19: expected no back-off weight at the highest order, got -0.5',
    ],
    ['has an n-gram twice', changed('-0.2\tb </s>', '-0.2\ta b'), 'm.arpa, line 16: expected each n-gram once, got "a b" a second time'],
    ['has a word twice', changed('-0.8\tb', '-0.8\ta'), 'm.arpa, line 11: expected each n-gram once, got "a" a second time'],
    ['has <s> twice', changed('-0.8\tb', '-0.8\t<s>'), 'm.arpa, line 11: expected each n-gram once, got "<s>" a second time'],
    [
      'has an n-gram without its context',
      changed('-0.1\t<s> a b', '-0.1\tb a b'),
      'm.arpa, line 19: expected the context "b a" among the 2-grams, got none',
    ],
    ['has a word that it does not list', changed('a b\t', 'a c\t'), 'm.arpa, line 15: expected words that are among the 1-grams, got "c"'],
    ['lacks </s>', changed('-1\t</s>', '-1\tc').replace('b </s>', 'b c'), 'm.arpa: expected </s> among the 1-grams, got none'],
    [
      'has too few words in a line',
      changed('-0.4\ta b\t-0.1', '-0.4\ta'),
      'm.arpa, line 15: expected a probability, 2 words and at most a back-off weight, got 2 of them',
    ],
    [
      'has too many words in a line',
      changed('a b\t-0.1', 'a b a b a\t-0.1'),
      'm.arpa, line 15: expected a probability, 2 words and at most a back-off weight, got more',
    ],
    [
      'has a gap among its n-grams',
      changed('-0.2\tb </s>', '\n-0.2\tb </s>'),
      'm.arpa, line 17: expected \\3-grams:, got "-0.2\\u0009b </s>"',
    ],
    [
      'has orders above 12',
      valid.replace('ngram 3=1', Array.from({ length: 11 }, (_, i) => `ngram ${i + 3}=1`).join('\n')),
      'm.arpa, line 14: expected orders up to 12, got "ngram 13=1"',
    ],
  ])('refuses a file that %s', async (_name, content, line) => {
    expect(await opened(content)).toBe(line)
  })

  it('refuses a file that is not UTF-8, and names the line', async () => {
    const bytes = Buffer.from(valid)
    bytes[valid.indexOf('b </s>')] = 0xff
    expect(await opened(bytes)).toBe('m.arpa, line 16: expected text in UTF-8, got bytes that are not UTF-8')
    expect(await opened(Buffer.from(`\ufeff${valid}`, 'utf16le'))).toBe('m.arpa: expected text in UTF-8, got text in UTF-16')
  })

  it('allocates no memory for the four billion n-grams of a false header', async () => {
    const before = process.memoryUsage().arrayBuffers
    expect(await opened(changed('ngram 2=3', 'ngram 2=4000000000'))).toBe(
      'm.arpa, line 18: expected 4000000000 2-grams, as \\data\\ says, got 3',
    )
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 26)
  })

  it('refuses a gzip file that is truncated, damaged, or a decompression bomb', async () => {
    const zipped = gzipSync(valid)
    expect(await opened(zipped)).toBe('nothing thrown')
    expect(await opened(zipped.subarray(0, -9))).toBe('m.arpa: expected a whole gzip file, got one that is cut short')
    const damaged = Buffer.from(zipped)
    damaged[zipped.length - 6] = (damaged[zipped.length - 6] ?? 0) ^ 0xff
    expect(await opened(damaged)).toMatch(/^m\.arpa: expected a gzip file, got one that is damaged \(.*\)$/)
    const bomb = gzipSync(`\\data\\\n${'\n'.repeat(2 ** 27)}`)
    expect(await opened(bomb)).toMatch(/^m\.arpa: expected text that gzip made at most 200 times smaller, got \d+ bytes of \d+$/)
  })

  it('recognizes binaries, of KenLM and of earlier versions, and refuses them by name', async () => {
    expect(await opened('mmap lm http://kheafield.com/code format version 5\n\0')).toMatch(
      /^m\.arpa: expected an ARPA file, got KenLM's own binary/,
    )
    expect(await opened('salora n-grams\0\x01\x05')).toMatch(/^m\.arpa: expected an ARPA file, got the compact file of an earlier salora/)
  })

  it('refuses a missing file and a folder', async () => {
    expect(await lineOf(openNgramModel(join(folder, 'none')))).toMatch(/^none: expected a readable file, got ENOENT/)
    expect(await lineOf(openNgramModel(folder))).toMatch(/expected a regular file, got a folder$/)
  })

  it(`accepts a randomly edited file or refuses it in one line (seed ${SEED})`, async () => {
    const files = [Buffer.from(valid), gzipSync(valid)]
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...files), edits, async (file, changes) => {
        expect(await opened(applyEdits(file, changes), 'any')).toMatch(/^(nothing thrown|any(, line \d+)?: expected [^\n]*, got [^\n]*)$/)
      }),
      { seed: SEED, numRuns: 400 },
    )
  })
})

describe('trainNgram', () => {
  const trained = (text: string | Uint8Array, options: Partial<NgramOptions> = {}): Promise<string> =>
    lineOf(trainNgram(textOf(text), { order: 2, discountFallback: [0.5, 1, 1.5], ...options }))

  it.each<readonly [string, string | Uint8Array, Partial<NgramOptions>, string]>([
    ['an empty text', '', {}, 'text: expected a text of at least one word, got none'],
    ['a text of blank lines', '\n \n\t\n', {}, 'text: expected a text of at least one word, got none'],
    [
      'a text with <s>',
      'a\nb <s>\n',
      {},
      'text, line 2: expected words of a text (--skip-symbols takes <unk>, <s>, </s> for blanks), got <s>',
    ],
    [
      'a text with <unk>',
      '<unk>\n',
      {},
      'text, line 1: expected words of a text (--skip-symbols takes <unk>, <s>, </s> for blanks), got <unk>',
    ],
    ['a text of only <unk>, with skipSymbols', '<unk>\n', { skipSymbols: true }, 'text: expected a text of at least one word, got none'],
    [
      'a text that is not UTF-8',
      Buffer.from([0x61, 0x0a, 0x62, 0x0a, 0xc3, 0x28, 0x0a]),
      {},
      'text, line 3: expected text in UTF-8, got bytes that are not UTF-8',
    ],
    [
      'a text that is too small for discounts',
      'a b\n',
      { discountFallback: null },
      'text: expected enough text for the discounts of 1-grams (--discount-fallback replaces them; is the text small, or artificial?), got none with an adjusted count of 2',
    ],
    ['order 0', 'a\n', { order: 0 }, '--order: expected a whole number from 1 to 6, got 0'],
    ['order 7', 'a\n', { order: 7 }, '--order: expected a whole number from 1 to 6, got 7'],
    ['order 2.5', 'a\n', { order: 2.5 }, '--order: expected a whole number from 1 to 6, got 2.5'],
    ['falling thresholds', 'a\n', { prune: [1, 0] }, '--prune: expected thresholds that never decrease, got 1 0'],
    ['too many thresholds', 'a\n', { prune: [0, 0, 1] }, '--prune: expected at most 2 thresholds, one an order, got 0 0 1'],
    ['a threshold below 0', 'a\n', { prune: [-1] }, '--prune: expected whole numbers from 0, got -1'],
    [
      'a discount above its count',
      'a\n',
      { discountFallback: [0.5, 2.5, 1] },
      '--discount-fallback: expected discounts from 0 to 1, 2 and 3, got 0.5 2.5 1',
    ],
  ])('refuses %s', async (_name, text, options, line) => {
    expect(await trained(text, options)).toBe(line)
  })

  it.skipIf(!existsSync('/proc/self/fd'))('leaves no file open if it refuses before it reads', async () => {
    writeFileSync(join(folder, 'text.txt'), 'a\n')
    const open = (): number => readdirSync('/proc/self/fd').length
    const before = open()
    for (let i = 0; i < 20; i++) await lineOf(trainNgram(await fileSource(join(folder, 'text.txt')), { order: 9 }))
    expect(open()).toBeLessThan(before + 10)
  })

  it('refuses an endless line before it stores all of it', async () => {
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      for (;;) yield Buffer.alloc(2 ** 24, 0x61)
    }
    const message = await lineOf(trainNgram({ name: 'endless', bytes: null, chunks: endless() }, { order: 2 }))
    expect(message).toMatch(/^endless, line 1: expected at most 134217728 bytes in a line, got \d+$/)
  })
})

describe('a stopped or failed call', () => {
  const model = async () => (await trainNgram(textOf('a b\nb a\n'), { order: 2, discountFallback: [0.5, 1, 1.5] })).model
  const names = (): readonly string[] => readdirSync(folder).filter((name) => name.includes('whole'))

  it.each(['whole.arpa', 'whole.arpa.gz'])(
    'a stopped or failed writeNgramModel as %s leaves the old file unchanged, and no other file',
    async (name) => {
      const file = join(folder, name)
      await writeNgramModel(file, await model())
      const before = readFileSync(file)
      const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
      const fullDisk = {
        open: async (path: string, flags: string) => {
          const handle = await open(path, flags)
          return { write: () => Promise.reject(full), sync: () => handle.sync(), close: () => handle.close() }
        },
        rename,
        unlink,
      }
      expect(await lineOf(writeNgramModel(file, await model(), { fileSystem: fullDisk }))).toBe(
        `${name}: expected to write the file, got no space left on the disk (ENOSPC)`,
      )
      expect(readFileSync(file)).toEqual(before)
      const stop = new AbortController()
      stop.abort(new Error('stopped'))
      await expect(writeNgramModel(file, await model(), { signal: stop.signal })).rejects.toThrow('stopped')
      expect(readFileSync(file)).toEqual(before)
      expect(names()).toEqual([name])
      rmSync(file)
      expect(await lineOf(writeNgramModel(join(folder, 'no', 'such'), await model()))).toBe(
        'no/such: expected to write the file, got a missing folder (ENOENT)',
      )
    },
  )

  it('trainNgram stops at the next progress event after an abort', async () => {
    const stop = new AbortController()
    const phases: string[] = []
    const progress = (phase: string): void => {
      phases.push(phase)
      if (phase === 'estimating') stop.abort(new Error('stopped'))
    }
    await expect(
      trainNgram(textOf('a b\nb a\n'), { order: 2, discountFallback: [0.5, 1, 1.5] }, { signal: stop.signal, progress }),
    ).rejects.toThrow('stopped')
    expect(new Set(phases)).toEqual(new Set(['sorting', 'estimating']))
    expect(phases.filter((phase) => phase === 'estimating')).toHaveLength(1)
  })
})
