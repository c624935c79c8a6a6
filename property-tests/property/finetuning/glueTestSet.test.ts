/** GLUE's test files: which exist, their names in a submission, and their texts in order. */
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readTexts } from '../../../finetuning/data/delimited.js'
import type { GlueName } from '../../../finetuning/data/glueTasks.js'
import { glueTests, type GlueTest } from '../../../finetuning/data/glueTestSet.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder: root } = temporaryFolder('glue-tests')

const textsOf = async ({ files, columns }: GlueTest): Promise<readonly (readonly (string | null)[])[]> => {
  const texts: (string | null)[][] = []
  for (const file of files)
    await readTexts(file, columns, (_, text, textPair) => texts.push(textPair === undefined ? [text] : [text, textPair]))
  return texts
}

/** Headers of the official files, and of AX.tsv as the official script stores it. */
const mnli = 'index promptID pairID genre sentence1_binary_parse sentence2_binary_parse sentence1_parse sentence2_parse sentence1 sentence2'
const official: readonly (readonly [GlueName, string, string, header: string])[] = [
  ['cola', 'CoLA.tsv', 'CoLA/test.tsv', 'index sentence'],
  ['sst2', 'SST-2.tsv', 'SST-2/test.tsv', 'index sentence'],
  ['mrpc', 'MRPC.tsv', 'MRPC/test.tsv', 'index #1_ID #2_ID #1_String #2_String'],
  ['stsb', 'STS-B.tsv', 'STS-B/test.tsv', 'index genre filename year old_index source1 source2 sentence1 sentence2'],
  ['qqp', 'QQP.tsv', 'QQP/test.tsv', 'id question1 question2'],
  ['qnli', 'QNLI.tsv', 'QNLI/test.tsv', 'index question sentence'],
  ['rte', 'RTE.tsv', 'RTE/test.tsv', 'index sentence1 sentence2'],
  ['wnli', 'WNLI.tsv', 'WNLI/test.tsv', 'index sentence1 sentence2'],
  ['mnli', 'MNLI-m.tsv', 'MNLI/test_matched.tsv', mnli],
  ['mnli', 'MNLI-mm.tsv', 'MNLI/test_mismatched.tsv', mnli],
  ['mnli', 'AX.tsv', 'diagnostic/diagnostic.tsv', 'index sentence1 sentence2'],
]

describe("GLUE's test files", () => {
  it.each(official)('the test files of %s are found as %s where the official folders have %s', async (task, name, file, header) => {
    const folder = await mkdtemp(join(root, 'official-'))
    const place = join(folder, file)
    await mkdir(dirname(place), { recursive: true })
    const columns = header.split(' ').map((column) => column.replace('_ID', ' ID').replace('_String', ' String'))
    const cells = (row: number): string => columns.map((_, i) => `r${row} c${i} "`).join('\t')
    await writeFile(place, `${columns.join('\t')}\n${cells(0)}\n${cells(1)}\n`)
    const [testSet, ...others] = glueTests(task, folder)
    expect([testSet?.name, others]).toEqual([name, []])
    const expected = task === 'cola' || task === 'sst2' ? [columns.length - 1] : [columns.length - 2, columns.length - 1]
    expect(await textsOf(testSet as GlueTest)).toEqual([0, 1].map((row) => expected.map((i) => `r${row} c${i} "`)))
    expect(glueTests(task, task === 'mnli' ? folder : dirname(place)).map((test) => test.files)).toEqual([[place]]) // its own folder alone
  })

  it("are read from the hub's Parquet files, part after part, including an empty text", async () => {
    const tests = glueTests('mnli', join(import.meta.dirname, 'fixtures/glue-parquet'))
    expect(tests.map(({ name }) => name)).toEqual(['MNLI-m.tsv', 'MNLI-mm.tsv', 'AX.tsv'])
    const [matched, mismatched, diagnostic] = await Promise.all(tests.map(textsOf))
    expect(matched).toEqual([
      ['tm 1', 'h'],
      ['tm 2', ''],
    ])
    expect([mismatched, diagnostic]).toEqual([[['tmm', 'h']], [['ax', 'h']]])
  })

  it('are none in another folder', () => {
    expect(glueTests('cola', join(root, 'nowhere'))).toEqual([])
    expect(glueTests('mnli', root)).toEqual([])
  })
})
