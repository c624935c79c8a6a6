/** salora inspect, and the short form of it before a run. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { loadTokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { saloraIn } from './inProcess.js'
import { toyFolder } from './toyFolder.js'

const cwd = toyFolder('inspect', {})
const rows = Array.from({ length: 60 }, (_, i) => `${'film '.repeat(1 + (i % 30))}${i},${i === 0 ? 'Good' : i % 12 === 1 ? 'bad' : 'good'}`)
beforeAll(async () => {
  await writeFile(join(cwd, 'reviews.csv'), `Text,label\n${rows.join('\n')}\n`)
  await writeFile(join(cwd, 'notes.txt'), 'One two three.\n\nFour.\n')
})
const salora = (...args: readonly string[]) => saloraIn(args, { cwd })

describe('salora inspect', () => {
  it('prints rows, classes with counts, repetitions, lengths in words, and findings with their remedies', async () => {
    const { code, stdout, stderr } = await salora('inspect', 'reviews.csv')
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout.replaceAll(cwd, '@')).toBe(
      [
        '@/reviews.csv',
        'rows        60',
        'classes     3',
        '  "Good"   1   1.7 %',
        '  "bad"    5   8.3 %',
        '  "good"  54  90.0 %',
        'texts       0 duplicates, 0 with more than one label',
        'words       median 16, percentiles: 90th 28, 95th 30, 99th 31, max 31 (--model counts tokens)',
        '',
        '- @/reviews.csv: the column "Text" is read as "text"',
        '! the labels "Good", "good" differ only in case: if they are one class, --merge-labels case reads them so',
        '! one class has only one row ("Good"), so evaluation cannot test it: add rows, or merge it into another class',
        '! "good" has 90.0 % of the rows, so always answering it has accuracy 0.900: train counts the classes alike and selects by macroF1 (--class-weights equal turns this off)',
        '',
      ].join('\n'),
    )
  })

  it('counts the tokens of a model and the texts that --max-length truncates', async () => {
    const { stdout } = await salora('inspect', '--task', 'reviews.csv', '--model', 'tiny', '--max-length', '16', '--json')
    const { sets } = JSON.parse(stdout) as { readonly sets: readonly { readonly lengths: Readonly<Record<string, unknown>> }[] }
    const { model, folder } = await openModelFolder(join(cwd, 'tiny'))
    const tokenizer = await loadTokenizer(folder, model)
    const lengths = rows.map((row) => tokenizer.encode(row.split(',')[0] ?? '', undefined, 78).inputIds.length)
    expect(sets[0]?.lengths).toMatchObject({
      unit: 'tokens',
      longest: Math.max(...lengths),
      truncated: { texts: lengths.filter((length) => length > 16).length, maxLength: 16 },
    })
    expect((await salora('inspect', 'reviews.csv', '--model', 'tiny', '--max-length', '16')).stdout).toContain(
      `! ${lengths.filter((length) => length > 16).length} of 60 texts are longer than --max-length 16: --max-length 40 reads 99 % of them whole`,
    )
  })

  it('reads a .txt file as text for a decoder, and the file of a task that has a name', async () => {
    for (const args of [['notes.txt'], ['notes.txt', '--task', 'text'], ['--task', 'text', '--data', 'notes.txt']])
      expect((await salora('inspect', ...args)).stdout).toContain('notes.txt\nrows        2\ntexts       0 duplicates')
  })
})

describe('salora train', () => {
  it('prints the short form before the run, and warns of what matters, once', async () => {
    const settings = '--max-steps 1 --batch-size 8 --max-length 16 --method lora --device cpu --output run'.split(' ')
    const { code, stderr } = await salora('train', '--model', 'tiny', '--task', 'reviews.csv', ...settings)
    expect(code).toBe(0)
    const lines = stderr.replaceAll(cwd, '@').split('\n')
    const at = lines.findIndex((line) => line.startsWith('data: '))
    expect(lines.slice(at - 1, at + 3)).toEqual([
      '@/reviews.csv: the column "Text" is read as "text"',
      'data: 3 classes ("good" 49, "bad" 4, "Good" 1); tokens per text: median 16, 95th percentile 16, max 16',
      'warning: the labels "Good", "good" differ only in case: if they are one class, --merge-labels case reads them so',
      expect.stringMatching(/^warning: one class has only one row /),
    ])
    expect(lines.filter((line) => line.startsWith('warning: 90 % of the training rows are "good": the classes count alike'))).toHaveLength(
      1,
    )
    expect(lines.filter((line) => line.includes('--max-length 16 and are truncated'))).toHaveLength(1)
  })
})
