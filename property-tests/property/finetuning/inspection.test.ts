/** Facts and findings about data, against plain counting, and what a run reports of them. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Example } from '../../../finetuning/data/index.js'
import { firstRows, textKeys } from '../../../finetuning/data/textKeys.js'
import { dataFacts, lengthFacts, sharedTexts } from '../../../finetuning/inspection/dataFacts.js'
import { alikeLabels, findingsIn, joinedLabels, lengthFindings, type Choices } from '../../../finetuning/inspection/findings.js'
import { inspectData } from '../../../finetuning/inspection/inspectData.js'
import { SEED } from '../../support/seed.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { write } = temporaryFolder('inspection')

const example = fc.record({
  text: fc.constantFrom(...'abcdef'),
  textPair: fc.constantFrom(undefined, 'x', 'y'),
  label: fc.integer({ min: 0, max: 2 }),
})
const examples = fc
  .array(example, { minLength: 1, maxLength: 60 })
  .map((rows): readonly Example[] => rows.map((row, i) => ({ ...row, row: i + 2 })))

const textOf = ({ text, textPair }: Example): string => JSON.stringify([text, textPair])
const factsOf = (rows: readonly Example[], labelNames: readonly string[] | null = ['a', 'b', 'c']) =>
  dataFacts({ source: 'rows', examples: rows, labelNames, skipped: [] }, textKeys(rows))

describe(`facts about rows, seed ${SEED}`, () => {
  it('count classes, repeated texts, and texts with more than one label, as plain counting does', () => {
    fc.assert(
      fc.property(examples, (rows) => {
        const facts = factsOf(rows)
        expect(facts.classes?.map(({ rows: count }) => count)).toEqual(
          [0, 1, 2].map((label) => rows.filter((row) => row.label === label).length),
        )
        const texts = [...new Set(rows.map(textOf))]
        expect(facts.duplicates).toBe(rows.length - texts.length)
        const labelsOf = (text: string) => new Set(rows.filter((row) => textOf(row) === text).map(({ label }) => label))
        expect(facts.contradictions.texts).toBe(texts.filter((text) => labelsOf(text).size > 1).length)
        const [one, other] = (facts.contradictions.first ?? []).map((row) => rows[row - 2])
        if (one !== undefined && other !== undefined) {
          expect(textOf(one)).toBe(textOf(other))
          expect(one.label).not.toBe(other.label)
        }
      }),
      { seed: SEED, numRuns: 300 },
    )
  })

  it('find the first row of each text, and texts of another set, as plain searching does', () => {
    fc.assert(
      fc.property(examples, examples, (rows, others) => {
        const [keys, otherKeys] = [textKeys(rows), textKeys(others)]
        const firstRow = firstRows(keys)
        expect(others.map((_, i) => firstRow(otherKeys, i))).toEqual(
          others.map((one) => rows.findIndex((row) => textOf(row) === textOf(one))),
        )
        expect(sharedTexts(otherKeys, keys)).toBe(others.filter((one) => rows.some((row) => textOf(row) === textOf(one))).length)
      }),
      { seed: SEED, numRuns: 300 },
    )
  })

  it('count each class of a row with several labels, and compare sets of labels in any order', () => {
    const rows = [
      [0, 1],
      [1, 0],
      [2, 0],
    ].map((labels, i): Example => ({ text: i < 2 ? 'a' : 'b', label: 0, labels, row: i + 2 }))
    const { classes, duplicates, contradictions } = factsOf(rows)
    expect([classes?.map(({ rows: count }) => count), duplicates, contradictions.texts]).toEqual([[3, 2, 1], 1, 0])
  })

  it('have percentiles that the given share of the lengths does not exceed, and no smaller length does', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(50), { minLength: 1, maxLength: 200 }), (lengths) => {
        const facts = lengthFacts(Int32Array.from(lengths), 'tokens')
        const least = (percent: number): number =>
          Math.min(...lengths.filter((length) => lengths.filter((other) => other <= length).length * 100 >= percent * lengths.length))
        expect([facts?.p50, facts?.p90, facts?.p95, facts?.p99, facts?.longest]).toEqual([50, 90, 95, 99, 100].map(least))
      }),
      { seed: SEED, numRuns: 300 },
    )
  })
})

describe('findings', () => {
  it.each<readonly [readonly string[], readonly string[], string]>([
    [['Negative', 'negative', 'positive'], ['Negative', 'negative'], 'case'],
    [['true', 'True', 'false'], ['true', 'True'], 'case'],
    [['very  good', 'very good', 'bad'], ['very  good', 'very good'], 'blanks'],
    [['Very\u00a0Good', 'very good', 'bad'], ['Very\u00a0Good', 'very good'], 'case and blanks'],
    [['1', '1.0', '2'], ['1', '1.0'], 'the form of a number'],
    [['+1', '01', '2', '1e0'], ['+1', '01', '1e0'], 'the form of a number'],
  ])('group the labels %j that differ in form alone', (labels, alike, differ) => {
    expect(alikeLabels(labels)).toEqual([{ labels: alike, differ }])
  })

  it('leave labels apart that differ otherwise', () => {
    for (const labels of [
      ['good', 'goods'],
      ['1', '2', '10'],
      ['a b', 'ab'],
      ['1', 'one'],
      ['ß', 's'],
    ])
      expect(alikeLabels(labels)).toEqual([])
  })

  it('find labels that are several others with a separator between them', () => {
    expect(joinedLabels(['cat', 'cat;dog', 'dog', 'bird'], ';')).toEqual(['cat;dog'])
    expect(joinedLabels(['a; b', 'b;c', 'c ;a'], ';')).toEqual(['a; b', 'b;c', 'c ;a'])
    for (const labels of [
      ['Portland, OR', 'Salem, OR', 'OR'],
      ['a,a', 'a'],
      ['a,', ',a'],
      ['cat', 'dog'],
      ['a;b', 'a', 'b'],
    ])
      expect(joinedLabels(labels, ',')).toEqual([])
  })

  it('advise --problem-type multi-label where labels are joined, unless labels are sets', () => {
    const joined = (...labels: readonly string[]) => ({
      ...factsOf([]),
      classes: labels.map((label) => ({ label, rows: 9 })),
      rows: 27,
    })
    expect(messages(joined('cat', 'dog', 'cat;dog'))).toEqual([
      '"cat;dog" is read as one class, but other labels have its parts, too: if ";" separates several labels, write | in its place and use --problem-type multi-label',
    ])
    expect(messages(joined('cat', 'dog', 'cat|dog'))[0]).toMatch(/: if "\|" separates several labels, use --problem-type multi-label$/)
    expect(messages({ ...joined('cat', 'dog', 'cat;dog'), hasLabelSets: true })).toEqual([])
    expect(messages(joined('new;fast', 'old;slow', 'none'))[0]).toMatch(
      /^"new;fast", "old;slow" are read as .* most labels have a ";" inside/,
    )
    expect(messages(joined('new|fast', 'old', 'none'))).toEqual([])
  })

  const counts = (...rows: readonly number[]) => ({
    ...factsOf([]),
    rows: rows.reduce((a, b) => a + b, 0),
    classes: rows.map((count, i) => ({ label: `class ${i}`, rows: count })),
  })
  const messages = (facts: ReturnType<typeof counts>, choices: Choices = {}) => findingsIn(facts, choices).map(({ message }) => message)

  it('name --class-weights balanced and another metric where one class has most rows, unless they are chosen', () => {
    const advice = (choices: Choices) => messages(counts(966, 34), choices)
    expect(advice({ selectionMetric: 'accuracy' })).toEqual([
      '"class 0" has 96.6 % of the rows, so always answering it has accuracy 0.966: try --class-weights balanced and --metric-for-best-model macroF1 (or matthews)',
    ])
    expect(advice({ classWeights: 'balanced' })[0]).toMatch(/: try --metric-for-best-model macroF1 \(or matthews\)$/)
    expect(advice({ selectionMetric: 'macroF1' })[0]).toMatch(/: try --class-weights balanced$/)
    expect(advice({ classWeights: 'balanced', selectionMetric: 'matthews' })).toEqual([])
    expect([messages(counts(66, 34)), messages(counts(0, 0))]).toEqual([[], []])
    expect(messages(counts(67, 33))).toHaveLength(1)
  })

  it('name the smallest class where the largest has more than nine times its rows, though none has most', () => {
    const advice = (choices: Choices) => messages(counts(46, 50, 5), choices)
    const line =
      '"class 2" has 5 of 101 rows, and "class 1" 50, so accuracy hardly shows how well it is recognized: try --class-weights balanced and --metric-for-best-model macroF1 (or matthews)'
    expect([advice({}), advice({ classWeights: 'auto' })]).toEqual([[line], [line]])
    expect(advice({ classWeights: 'balanced', selectionMetric: 'macroF1' })).toEqual([])
    expect(messages(counts(40, 45, 5))).toEqual([])
  })

  it('advise neither class weights nor another metric nor --problem-type multi-label where the labels are sets', () => {
    expect(messages(counts(966, 34))).toHaveLength(1)
    expect(messages({ ...counts(966, 34), hasLabelSets: true })).toEqual([])
    const contradicted = { ...counts(50, 50), contradictions: { texts: 1, first: [2, 3] as const } }
    expect(messages(contradicted)).toEqual([
      '1 text has more than one label, the first in rows 2 and 3: correct the labels, or use --problem-type multi-label',
    ])
    expect(messages({ ...contradicted, hasLabelSets: true })).toEqual([
      '1 text has more than one set of labels, the first in rows 2 and 3: correct the labels',
    ])
    expect(findingsIn({ ...contradicted, classes: null }).map(({ message }) => message)).toEqual([
      '1 text has more than one label, the first in rows 2 and 3: correct the labels',
    ])
    expect(factsOf([{ text: 'a', label: 0, labels: [0], row: 2 }]).hasLabelSets).toBe(true)
    expect(factsOf([{ text: 'a', label: 0, row: 2 }]).hasLabelSets).toBe(false)
  })

  it('find no contradiction in pairs of texts without labels, which may be equal', () => {
    const pair = { text: 'a', textPair: 'b', label: NaN }
    const facts = factsOf(
      [2, 3, 4].map((row) => ({ ...pair, row })),
      null,
    )
    expect([facts.duplicates, facts.contradictions]).toEqual([2, { texts: 0, first: null }])
  })

  it('name the task of amounts where three classes or more are numbers, without a warning', () => {
    const found = (...labels: readonly string[]) =>
      findingsIn({ ...counts(12), classes: labels.map((label) => ({ label, rows: 4 })) }).map(({ message, warns }) => [message, warns])
    expect(found('1', '2', '3', '4.5')).toEqual([
      [
        'the labels are numbers from 1 to 4.5, each a class of its own: for amounts, such as stars, --problem-type regression learns their order',
        false,
      ],
    ])
    for (const labels of [
      ['0', '1'],
      ['1', '2', 'many'],
      ['a', 'b', 'c'],
    ])
      expect(found(...labels)).toEqual([])
  })

  it('warn of a regression whose scores are all equal', () => {
    const found = (scores: readonly number[]) => {
      const rows = scores.map((label, i): Example => ({ text: `text ${i}`, label, row: i + 2 }))
      const facts = dataFacts({ source: 'rows', examples: rows, labelNames: null, skipped: [] }, textKeys(rows), true)
      return findingsIn(facts).map(({ message, warns }) => [message, warns])
    }
    expect(found([7, 7, 7])).toEqual([['every score is 7, so there is nothing to learn: check the column (--label)', true]])
    for (const scores of [[7, 7, 8], [7], []]) expect(found(scores)).toEqual([])
  })

  it('name the classes with one row', () => {
    expect(messages(counts(5, 1, 4, 1))).toEqual([
      '2 classes have only one row ("class 1", "class 3"), so evaluation cannot test them: add rows, or merge each into another class',
    ])
  })

  it('say which --max-length reads 99 % of the texts whole', () => {
    const lengths = lengthFacts(
      Int32Array.from({ length: 200 }, (_, i) => i + 1),
      'tokens',
      { texts: 100, maxLength: 100 },
    )
    expect(lengthFindings({ ...factsOf([]), rows: 200, lengths }).map(({ message }) => message)).toEqual([
      '100 of 200 texts are longer than --max-length 100: --max-length 200 reads 99 % of them whole',
    ])
  })
})

describe('inspectData', () => {
  const csv = (...rows: readonly string[]): string => `text,label\n${rows.join('\n')}\n`

  it('counts the words that a conversation says, without a model', async () => {
    const rows = [
      {
        messages: [
          { role: 'user', content: 'How are you?' },
          { role: 'assistant', content: 'Fine.' },
        ],
      },
      { prompt: 'a b c d', completion: 'e f' },
    ]
    const data = write('chats.jsonl', rows.map((row) => JSON.stringify(row)).join('\n'))
    const { sets } = await inspectData({ task: { task: 'alpaca', promptTemplate: 'chat', data }, maxLength: 128 })
    expect(sets[0]?.lengths).toMatchObject({ unit: 'words', p50: 4, longest: 6 })
  })

  it('looks at a file as a whole, even if nothing can be held out, and at the evaluation file beside it', async () => {
    const task = write('whole.csv', csv('a b c,yes', 'd,no'))
    const alone = await inspectData({ task: { task }, maxLength: 128 })
    expect(alone.sets.map(({ rows, lengths }) => [rows, lengths?.unit, lengths?.longest])).toEqual([[2, 'words', 3]])
    const evalData = write('eval.csv', csv('d,yes', 'e,no', 'f,no'))
    const { sets, findings } = await inspectData({ task: { task, evalData }, maxLength: 128 })
    expect(sets.map(({ rows }) => rows)).toEqual([2, 3])
    expect(findings.find(({ kind }) => kind === 'overlap')?.message).toBe(
      '1 of 3 evaluation texts are also trained on, so their scores say little about new texts: --eval-data with other texts',
    )
  })

  it('reports labels that the file writes in two forms, and columns that were read under other names', async () => {
    const task = write('forms.csv', 'Text,label\na,1\nb,1.0\nc,0\nd,0\n')
    const { findings } = await inspectData({ task: { task }, maxLength: 128 })
    expect(findings.map(({ message }) => message)).toEqual([
      `${task}: the column "Text" is read as "text"`,
      `${task}: the labels "1", "1.0" are read as one class: --labels-as-text keeps them apart`,
    ])
  })

  it('describes the scores of a regression', async () => {
    const task = write('scores.csv', csv('a,0.5', 'b,4', 'c,2.25'))
    const { sets } = await inspectData({ task: { task, problemType: 'regression' }, maxLength: 128 })
    expect(sets[0]).toMatchObject({ classes: null, scores: { least: 0.5, median: 2.25, most: 4 } })
  })
})
