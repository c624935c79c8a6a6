/** Tagged sentences are read alike from columns, tokens and tags, and spans, in any scheme of tags. An invalid file is refused in one line. */
import { truncateSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readTagged } from '../../../finetuning/tasks/tokenClassification/examples.js'
import type { TaggedOptions } from '../../../finetuning/tasks/tokenClassification/sentences.js'
import { loadTask } from '../../../finetuning/tasks/index.js'
import { refusalOf } from '../../support/refusal.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder, write } = temporaryFolder('tagged')

const read = async (name: string, content: string, options: TaggedOptions = {}) => {
  const { examples, labelNames, skipped } = await readTagged(write(name, content), options)
  const sentences = examples.map(({ text, words = [], labels = [], row }) => ({
    row,
    words: Array.from({ length: words.length / 2 }, (_, i) => text.slice(words[2 * i], words[2 * i + 1])),
    tags: labels.map((label) => labelNames?.[label]),
  }))
  return { labelNames, skipped, sentences }
}

const refusal = async (name: string, content: string, options: TaggedOptions = {}): Promise<string> =>
  (await refusalOf(() => readTagged(write(name, content), options))).replaceAll(`${folder}/`, '')

const jsonl = (...rows: readonly object[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join('')

const annInRome = { words: ['Ann', 'Lee', 'in', 'Rome'], tags: ['B-per', 'I-per', 'O', 'B-loc'] }
const labelNames = ['O', 'B-loc', 'I-loc', 'B-per', 'I-per']

describe('reading tagged sentences', () => {
  it.each([
    ['IOB2', ['B-per', 'I-per', 'O', 'B-loc']],
    ['IOB1', ['I-per', 'I-per', 'O', 'I-loc']],
    ['BIOES', ['B-per', 'E-per', 'O', 'S-loc']],
    ['BILOU', ['B-per', 'L-per', 'O', 'U-loc']],
  ])('reads %s as IOB2', async (_, tags) => {
    const columns = annInRome.words.map((word, i) => `${word}\t${tags[i]}\n`).join('')
    expect(await read('a.conll', columns)).toEqual({ labelNames, skipped: [], sentences: [{ row: 1, ...annInRome }] })
  })

  it('takes the first and the last of columns that blanks separate, skips document starts, and counts rows as an editor does', async () => {
    const content = '-DOCSTART- -X- O O\n\nAnn NNP B-NP B-per\r\nLee NNP I-NP I-per\r\nin IN O O\r\nRome NNP B-NP B-loc\n\t\n\n  # O\n'
    expect((await read('a.iob', content)).sentences).toEqual([
      { row: 3, ...annInRome },
      { row: 9, words: ['#'], tags: ['O'] },
    ])
  })

  it('keeps a blank within a token where tabs separate the columns', async () => {
    expect((await read('a.bio', 'New York\tB-loc\n')).sentences).toEqual([{ row: 1, words: ['New York'], tags: ['B-loc'] }])
  })

  it('reads tokens and tags by name, in .jsonl, .json and columns of other names', async () => {
    const row = { tokens: annInRome.words, ner_tags: annInRome.tags }
    const expected = { labelNames, skipped: [], sentences: [{ row: 1, ...annInRome }] }
    expect(await read('a.jsonl', jsonl(row))).toEqual(expected)
    expect(await read('a.json', JSON.stringify([row]))).toEqual(expected)
    expect(await read('b.jsonl', jsonl({ w: row.tokens, y: row.ner_tags, text: 'x' }), { text: 'w', label: 'y' })).toEqual(expected)
  })

  it('reads tags by number under the names of --tag-names', async () => {
    const row = { tokens: annInRome.words, ner_tags: [1, 2, 0, 5] }
    expect((await read('a.jsonl', jsonl(row), { tagNames: 'O, B-per,I-per,B-org,I-org,B-loc,I-loc' })).sentences).toEqual([
      { row: 1, ...annInRome },
    ])
  })

  it('reads lists of int64 in a Parquet file, as the hub has them', async () => {
    const { examples, labelNames: names } = await readTagged(join(import.meta.dirname, 'fixtures/tagged.parquet'), {
      tagNames: 'O,B-per,I-per,B-loc,I-loc',
    })
    expect(examples.map(({ text, labels }) => [text, labels?.map((label) => names?.[label])])).toEqual([
      ['Ann Lee in Rome', annInRome.tags],
      ['nobody', ['O']],
    ])
  })

  it('reads a file in another encoding', async () => {
    const file = write('latin.conll', Buffer.from('Zürich\tB-loc\n', 'latin1'))
    expect((await readTagged(file, { encoding: 'windows-1252' })).examples[0]?.text).toBe('Zürich')
    expect(await refusalOf(() => readTagged(file, {}))).toMatch(/row 1: expected text in UTF-8/)
  })

  it('reads spans of characters, in every form, and ignores blanks at their ends', async () => {
    const text = '😀 Ann Lee in Rome'
    const span = (start: number, end: number, label: string) => ({ start, end, label })
    const sentences = [{ row: 1, words: ['😀', ...annInRome.words], tags: ['O', ...annInRome.tags] }]
    for (const spans of [
      { spans: [span(2, 9, 'per'), span(13, 17, 'loc')] },
      { entities: [span(12, 17, 'loc'), span(2, 10, 'per')] },
      { entities: [{ start: 2, end: 9, entity_group: 'per', score: 1, word: 'Ann Lee' }, { ...span(13, 17, 'loc') }] },
      {
        spans: [
          [2, 9, 'per'],
          [13, 17, 'loc'],
        ],
      },
    ])
      expect((await read('a.jsonl', jsonl({ text, ...spans }))).sentences).toEqual(sentences)
  })

  it('keeps to the classes of the training data', async () => {
    expect((await read('a.conll', 'Rome\tI-loc\n', { labelNames: ['B-loc', 'O'] })).sentences[0]?.tags).toEqual(['B-loc'])
    expect(await refusal('a.conll', 'Rome\tB-org\n', { labelNames: ['O', 'B-loc'] })).toBe(
      'a.conll, row 1: expected a label of the training data (O or B-loc), got "B-org"',
    )
  })
})

describe('tagged files with mistakes', () => {
  it.each([
    ['a.conll', 'Ann\tB-per\nLee\n', {}, 'a.conll, row 2: expected a token and its tag, with a tab or a blank between them, got 1 column'],
    ['a.conll', 'Ann\tNNP\n', {}, 'a.conll, row 1: expected a tag O, B-TYPE or I-TYPE (BIOES and BILOU are read too), got "NNP"'],
    ['a.conll', 'Ann\tO\n', {}, 'a.conll: expected at least one entity, got only tags O'],
    ['a.conll', '\t\n \n', {}, 'a.conll: expected at least one sentence, got none'],
    ['a.conll', 'Ann\tB-per\n', { text: 'tokens' }, '--text: expected a .json, .jsonl or .parquet file to go with it, got a.conll'],
    ['a.conll', 'Ann\tB-per\n', { tagNames: 'O' }, '--tag-names: expected a .json, .jsonl or .parquet file to go with it, got a.conll'],
    [
      'a.jsonl',
      '{"tokens":["a"]}\n',
      {},
      'a.jsonl, row 1: expected a value of "ner_tags" or "tags" or "spans" or "entities" (or --skip-missing), got none',
    ],
    ['a.jsonl', '{"tokens":["a","b"],"tags":["O"]}\n', {}, 'a.jsonl, row 1: expected 2 tags, one per token, got 1'],
    [
      'a.jsonl',
      '{"tokens":["a"],"tags":[1]}\n',
      {},
      'a.jsonl, row 1: expected tags by name (or --tag-names O,B-…,I-…, the names of the numbers), got 1',
    ],
    [
      'a.jsonl',
      '{"tokens":["a"],"tags":[2]}\n',
      { tagNames: 'O,B-x' },
      'a.jsonl, row 1: expected a tag below 2, as --tag-names has names, got 2',
    ],
    ['a.jsonl', '{"tokens":[],"tags":[]}\n', {}, 'a.jsonl, row 1: expected at least one token (or --skip-missing), got none'],
    ['a.jsonl', '{"text":" ","spans":[]}\n', {}, 'a.jsonl, row 1: expected a text (or --skip-missing), got an empty one'],
    [
      'a.jsonl',
      '{"text":"Ann","spans":[{"start":0,"end":9,"label":"p"}]}\n',
      {},
      'a.jsonl, row 1: expected spans that begin before they end, within 3 characters, got 0 to 9',
    ],
    [
      'a.jsonl',
      '{"text":"Londoners","spans":[{"start":0,"end":6,"label":"loc"}]}\n',
      {},
      'a.jsonl, row 1: expected spans of whole words (or --skip-missing), got "London" in "Londoners"',
    ],
    [
      'a.jsonl',
      '{"text":"😀 Ann slept","spans":[{"start":3,"end":6,"label":"person"}]}\n',
      {},
      'a.jsonl, row 1: expected spans of whole words, in characters as Python counts them: an emoji is one, not two (or --skip-missing), got "nn" in "😀 Ann slept"',
    ],
    [
      'a.jsonl',
      '{"text":"Ann Lee","spans":[[0,7,"per"],[4,7,"x"]]}\n',
      {},
      'a.jsonl, row 1: expected spans that do not overlap (or --skip-missing), got "Lee" in "Ann Lee"',
    ],
    ['a.jsonl', '{"text":5,"spans":[]}\n', {}, 'a.jsonl, row 1: expected tokens, or a text (a list), got 5'],
  ] as const)('%s with %j', async (name, content, options, message) => {
    expect(await refusal(name, content, options)).toBe(message)
  })

  it('are skipped row by row with --skip-missing, and listed', async () => {
    const { sentences, skipped } = await read(
      'a.jsonl',
      jsonl(
        { text: 'Londoners', spans: [[0, 6, 'loc']] },
        { tokens: ['Rome'], tags: ['B-loc'] },
        {
          text: 'Ann Lee',
          spans: [
            [0, 7, 'per'],
            [4, 7, 'per'],
          ],
        },
        { text: 'Ann' },
      ),
      { skipMissing: true },
    )
    expect(sentences).toEqual([{ row: 2, words: ['Rome'], tags: ['B-loc'] }])
    expect(skipped).toEqual([
      { row: 1, reason: 'a span of no whole words' },
      { row: 3, reason: 'spans that overlap' },
      { row: 4, reason: 'no ner_tags' },
    ])
  })

  it('are bounded: words before a blank line, bytes, and bytes that are no text', async () => {
    expect(await refusal('long.conll', 'a O\n'.repeat(100_001))).toBe(
      'long.conll, row 100001: expected a blank line after at most 100000 tokens, got none',
    )
    const big = write('big.conll', 'a O\n')
    truncateSync(big, 2 ** 31)
    expect(await refusalOf(() => readTagged(big, {}))).toMatch('expected at most 2147483647 bytes (2 GiB)')
    expect(await refusal('bytes.conll', '\u0000\u0001\tB-x\n')).toBe('no problem')
    expect(await refusal('deep.jsonl', `${'['.repeat(10_000)}\n`)).toMatch(/^deep.jsonl, row 1: expected a JSON object/)
  })
})

describe('a task of tagged sentences', () => {
  const columns = Array.from({ length: 20 }, (_, i) => `Ann${i}\tB-per\nran\tO\n\n`).join('')

  it('follows from the ending of the file, or from --problem-type', async () => {
    const expected = { selectionMetric: 'f1', labelNames: ['O', 'B-per', 'I-per'], heldOut: true }
    for (const [name, options] of [
      ['task.conll', {}],
      ['task.IOB', {}],
      ['task.txt', { problemType: 'token-classification' }],
      ['task.tsv', { problemType: 'token-classification' }],
    ] as const) {
      const task = await loadTask({ task: write(name, columns), ...options })
      expect(task).toMatchObject(expected)
      expect(task.taskType.name).toBe('token-classification')
      expect([task.train.examples.length, task.evaluation.examples.length]).toEqual([18, 2])
    }
  })

  it('selects by another of its metrics, and has no positive label', async () => {
    const task = write('task.conll', columns)
    expect(await loadTask({ task, metricForBestModel: 'recall' })).toMatchObject({ selectionMetric: 'recall' })
    expect(await refusalOf(() => loadTask({ task, metricForBestModel: 'macroF1' }))).toBe(
      '--metric-for-best-model: expected precision, recall, f1, accuracy or loss, got "macroF1"',
    )
    expect(await refusalOf(() => loadTask({ task, positiveLabel: 'B-per' }))).toBe(
      '--positive-label: expected none with --problem-type token-classification, got "B-per"',
    )
    expect((await refusalOf(() => loadTask({ task: write('one.conll', 'Ann\tB-per\n') }))).replaceAll(`${folder}/`, '')).toBe(
      'one.conll: expected two different sentences, so that one can be held out (or --eval-data), got 1 row, each of a class of its own',
    )
  })
})
