/** GLUE's readers: each task's layout on a tiny file, the text format, the folder, and the table of tasks. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { GLUE_NAMES, GLUE_TASKS, glueFile, readGlue, type Dataset, type GlueName } from '../../../finetuning/data/index.js'
import { loadTask, type TaskOptions } from '../../../finetuning/tasks/index.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder, write } = temporaryFolder('glue')

const read = (name: GlueName, content: string | Uint8Array): Dataset => readGlue(name, write('read.tsv', content))

describe('each task of GLUE in its official layout', () => {
  it("reads CoLA, which has no header: source, label, the author's mark, sentence", () => {
    expect(read('cola', 'gj04\t1\t\tThey sang.\ngj04\t0\t*\tSang they.\n')).toMatchObject({
      labelNames: ['unacceptable', 'acceptable'],
      examples: [
        { text: 'They sang.', label: 1, row: 1 },
        { text: 'Sang they.', label: 0, row: 2 },
      ],
      skipped: [],
    })
  })

  it('reads SST-2 without the blank before its tab', () => {
    expect(read('sst2', 'sentence\tlabel\nfine and dry \t1\n')).toMatchObject({
      labelNames: ['negative', 'positive'],
      examples: [{ text: 'fine and dry', label: 1, row: 2 }],
    })
  })

  it('reads MRPC with its byte-order mark', () => {
    expect(read('mrpc', '\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t7\t8\tA b .\tB a .\n')).toMatchObject({
      labelNames: ['not_equivalent', 'equivalent'],
      examples: [{ text: 'A b .', textPair: 'B a .', label: 1, row: 2 }],
    })
  })

  it("reads STS-B's scores as numbers and gives it no classes", () => {
    const header = 'index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore'
    expect(
      read('stsb', `${header}\n0\tg\tf\ty\t1\tnone\tnone\tOne.\tTwo.\t3.800\n1\tg\tf\ty\t2\tnone\tnone\tOne.\tOne.\t5\n`),
    ).toMatchObject({
      labelNames: null,
      examples: [
        { text: 'One.', textPair: 'Two.', label: 3.8, row: 2 },
        { text: 'One.', textPair: 'One.', label: 5, row: 3 },
      ],
    })
  })

  it('reads RTE and QNLI, whose class 0 is entailment', () => {
    expect(read('rte', 'index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\tnot_entailment\n1\tC.\tD.\tentailment\n')).toMatchObject({
      labelNames: ['entailment', 'not_entailment'],
      examples: [
        { text: 'A.', textPair: 'B.', label: 1 },
        { text: 'C.', textPair: 'D.', label: 0 },
      ],
    })
    expect(read('qnli', 'index\tquestion\tsentence\tlabel\n0\tWho?\tHe.\tentailment\n').examples).toEqual([
      { text: 'Who?', textPair: 'He.', label: 0, row: 2 },
    ])
  })

  it('reads WNLI, whose class 1 is entailment', () => {
    expect(read('wnli', 'index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\t1\n')).toMatchObject({
      labelNames: ['not_entailment', 'entailment'],
      examples: [{ text: 'A.', textPair: 'B.', label: 1 }],
    })
  })

  it("reads MNLI's gold label, whether the file has twelve columns or sixteen", () => {
    const head =
      'index promptID pairID genre sentence1_binary_parse sentence2_binary_parse sentence1_parse sentence2_parse sentence1 sentence2'.split(
        ' ',
      )
    const row = ['0', '1', '1n', 'fiction', '( a )', '( b )', '(ROOT a)', '(ROOT b)', 'A.', 'B.']
    const file = (votes: readonly string[]): string =>
      `${[...head, ...votes.map((_, i) => `label${i + 1}`), 'gold_label'].join('\t')}\n${[...row, ...votes, 'contradiction'].join('\t')}\n`
    const expected = {
      labelNames: ['entailment', 'neutral', 'contradiction'],
      examples: [{ text: 'A.', textPair: 'B.', label: 2, row: 2 }],
    }
    expect(read('mnli', file(['neutral']))).toMatchObject(expected)
    expect(read('mnli', file(['neutral', 'neutral', 'entailment', 'entailment', 'entailment']))).toMatchObject(expected)
  })

  const qqp = 'id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate'

  it("reads QQP's rows without ids, and keeps an empty question", () => {
    expect(read('qqp', `${qqp}\n0\t\t\tWhy?\tHow?\t0\n5\t1\t2\tWho?\t\t1\n`).examples).toEqual([
      { text: 'Why?', textPair: 'How?', label: 0, row: 2 },
      { text: 'Who?', textPair: '', label: 1, row: 3 },
    ])
  })

  it('skips and lists the rows of QQP with the wrong number of columns', () => {
    const { examples, skipped } = read('qqp', `${qqp}\n0\t\t\tWhy?\tHow?\t0\n1\t3\t4\tbroken\nin two\t?\t1\n2\t\t\tWho?\tWhat?\t1\n`)
    expect(examples.map(({ row }) => row)).toEqual([2, 5])
    expect(skipped).toEqual([
      { row: 3, reason: '4 columns' },
      { row: 4, reason: '3 columns' },
    ])
  })
})

describe("GLUE's text format", () => {
  const tidy = read('sst2', 'sentence\tlabel\nfine\t1\n"poor\t0\n').examples

  it('reads a quotation mark as an ordinary character', () => {
    expect(tidy[1]).toEqual({ text: '"poor', label: 0, row: 3 })
    expect(read('sst2', 'sentence\tlabel\n"a ""b"" c"\t1\n').examples[0]?.text).toBe('"a ""b"" c"')
  })

  it('reads CRLF, a byte-order mark, a missing final newline and empty lines at the end alike', () => {
    for (const content of 'sentence\tlabel\r\nfine\t1\r\n"poor\t0\r\n \ufeffsentence\tlabel\nfine\t1\n"poor\t0\n sentence\tlabel\nfine\t1\n"poor\t0 sentence\tlabel\r\nfine\t1\r\n"poor\t0 sentence\tlabel\nfine\t1\n"poor\t0\n\n\r\n'.split(
      ' ',
    ))
      expect(read('sst2', content).examples).toEqual(tidy)
  })

  it('keeps Unicode line separators inside their row', () => {
    const text = 'a\u2028b\u0085c\u000bd\re'
    expect(read('sst2', `sentence\tlabel\n${text}\t1\n`).examples).toEqual([{ text, label: 1, row: 2 }])
  })
})

describe('the evaluation of MNLI', () => {
  const rows = (text: string, label: string) => `sentence1\tsentence2\tgold_label\n${text}\tB.\t${label}\n`
  const load = async (more: Partial<TaskOptions>) => (await loadTask({ task: 'mnli', data: join(folder, 'both'), ...more })).evaluation

  it('uses the matched sentences, followed by the mismatched ones if their file exists', async () => {
    mkdirSync(join(folder, 'both'))
    const write = (file: string, text: string, label: string) => writeFileSync(join(folder, 'both', file), rows(text, label))
    write('train.tsv', 'T.', 'neutral')
    write('dev_matched.tsv', 'M.', 'entailment')
    expect(await load({})).not.toHaveProperty('second')
    write('dev_mismatched.tsv', 'MM.', 'contradiction')
    const { examples, second, source } = await load({})
    expect(examples.map(({ text, label }) => [text, label])).toEqual([
      ['M.', 0],
      ['MM.', 2],
    ])
    expect(second).toEqual({ name: 'mismatched', from: 1 })
    expect(source).toMatch(/dev_matched\.tsv and .*dev_mismatched\.tsv$/)
    const named = await load({ evalData: join(folder, 'both', 'dev_mismatched.tsv') })
    expect([named.examples.length, named.second]).toEqual([1, undefined])
    expect(await load({ holdOutTrain: true })).not.toHaveProperty('second')
  })
})

describe('the folder of a GLUE task', () => {
  it('may be the task folder or its parent', () => {
    for (const name of GLUE_NAMES) {
      const { folder: official, trainFile, devFile } = GLUE_TASKS[name]
      const source = join(folder, 'official', official)
      mkdirSync(source, { recursive: true })
      for (const file of [trainFile, devFile]) writeFileSync(join(source, file), 'x')
      for (const given of [source, join(folder, 'official')]) {
        expect(glueFile(name, 'train', given)).toBe(join(source, 'train.tsv'))
        expect(glueFile(name, 'dev', given)).toBe(join(source, name === 'mnli' ? 'dev_matched.tsv' : 'dev.tsv'))
      }
    }
  })
})

describe('the table of GLUE tasks', () => {
  it("has GLUE's metrics, selects by their mean, and names the metric that the paper reports", () => {
    const of = (name: GlueName) =>
      [GLUE_TASKS[name].metrics.join(' '), GLUE_TASKS[name].selectionMetric, GLUE_TASKS[name].paperMetric].join(', ')
    expect(Object.fromEntries(GLUE_NAMES.map((name) => [name, of(name)]))).toEqual({
      cola: 'matthews, matthews, matthews',
      sst2: 'accuracy, accuracy, accuracy',
      mrpc: 'accuracy f1, mean, accuracy',
      stsb: 'pearson spearman, mean, pearson',
      rte: 'accuracy, accuracy, accuracy',
      qnli: 'accuracy, accuracy, accuracy',
      qqp: 'accuracy f1, mean, accuracy',
      mnli: 'accuracy, accuracy, accuracy',
      wnli: 'accuracy, accuracy, accuracy',
    })
  })
})
