/** GLUE's readers refuse each kind of invalid file in one clear line. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { glueFile, readGlue, type GlueName } from '../../../finetuning/data/index.js'
import { refusalOf } from '../../support/refusal.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder, write } = temporaryFolder('glue')

/** The line of a problem, without the name of the temporary folder. */
const line = async (read: () => unknown): Promise<string> =>
  (await refusalOf(read)).replaceAll(`${folder}/`, '').replaceAll(folder, 'FOLDER')

const refusal = (name: GlueName, content: string | Uint8Array): Promise<string> => line(() => readGlue(name, write('bad.tsv', content)))

describe('an invalid GLUE file is refused in one line', () => {
  it('refuses a label that the task does not have', async () => {
    const good = 'gj04\t1\t\tA.\n'
    expect(await refusal('cola', `${good.repeat(11)}gj04\t2\t\tB.\n`)).toBe('bad.tsv, row 12: expected a label of cola (0 or 1), got "2"')
    expect(await refusal('mnli', 'sentence1\tsentence2\tgold_label\nA.\tB.\t-\n')).toBe(
      'bad.tsv, row 2: expected a label of mnli (entailment, neutral or contradiction), got "-"',
    )
  })

  it('refuses a score that is not a number from 0 to 5', async () => {
    for (const score of ['6', '-1', '', 'high', 'Infinity', '0x2']) {
      expect(await refusal('stsb', `sentence1\tsentence2\tscore\nA.\tB.\t${score}\n`)).toBe(
        `bad.tsv, row 2: expected a score of stsb (a number from 0 to 5), got "${score}"`,
      )
    }
  })

  it('names a row with the wrong number of columns', async () => {
    expect(await refusal('cola', 'gj04\t1\t\tA.\ngj04\t1\tB.\n')).toBe('bad.tsv, row 2: expected 4 columns, got 3 columns')
    expect(await refusal('rte', 'index\tsentence1\tsentence2\tlabel\n0\tA.\tB.\tentailment\n\n1\tA.\tB.\tentailment\n')).toBe(
      'bad.tsv, row 3: expected 4 columns, got 1 column',
    )
  })

  it("refuses a header without the task's columns, or with one of them twice", async () => {
    expect(await refusal('sst2', 'index\tsentence\n0\tA.\n')).toBe(
      'bad.tsv, row 1: expected a column "label", got the columns "index", "sentence"',
    )
    expect(await refusal('sst2', 'fine\t1\npoor\t0\n')).toBe('bad.tsv, row 1: expected a column "label", got the columns "fine", "1"')
    expect(await refusal('sst2', 'sentence\tlabel\tlabel\nA.\t1\t1\n')).toBe(
      'bad.tsv, row 1: expected one column "label", got more than one of that name',
    )
  })

  it('names the row of bytes that are not UTF-8', async () => {
    const bytes = Buffer.concat([Buffer.from('sentence\tlabel\nfine\t1\ncaf'), Buffer.of(0xe9), Buffer.from('\t1\n')])
    expect(await refusal('sst2', bytes)).toBe('bad.tsv, row 3: expected text in UTF-8, got bytes that are not UTF-8')
    expect(await refusal('sst2', Buffer.from('\ufeffsentence\tlabel\n', 'utf16le'))).toBe(
      'bad.tsv: expected text in UTF-8, got text in UTF-16',
    )
  })

  it('refuses an empty file, and one without rows', async () => {
    for (const content of ['', '\n\r\n', '\ufeff'])
      expect(await refusal('cola', content)).toBe('bad.tsv: expected at least one row, got an empty file')
    expect(await refusal('sst2', 'sentence\tlabel\n')).toBe('bad.tsv: expected at least one row of data, got none')
    expect(await refusal('qqp', 'question1\tquestion2\tis_duplicate\nbroken\n')).toBe(
      'bad.tsv: expected at least one row of data, got none',
    )
  })

  it('names a missing file, a missing folder, and a file in place of a folder', async () => {
    expect(await line(() => readGlue('cola', join(folder, 'absent.tsv')))).toBe('absent.tsv: expected a file, got none there')
    expect(await line(() => readGlue('cola', folder))).toBe('FOLDER: expected a file, got a folder')
    expect(await line(() => glueFile('cola', 'train', join(folder, 'absent')))).toBe(
      "absent: expected a folder with GLUE's CoLA, got none there",
    )
    expect(await line(() => glueFile('cola', 'train', write('plain', 'x')))).toBe("plain: expected a folder with GLUE's CoLA, got a file")
    expect(await line(() => glueFile('mnli', 'dev', folder))).toBe('FOLDER: expected dev_matched.tsv of mnli here or in MNLI/, got neither')
  })

  it('shortens a quoted value and keeps it on one line', async () => {
    const message = await refusal('cola', `gj04\t${'x'.repeat(500)}\u0001\t\tA.\n`)
    expect(message).toBe(`bad.tsv, row 1: expected a label of cola (0 or 1), got "${'x'.repeat(80)}…"`)
  })
})
