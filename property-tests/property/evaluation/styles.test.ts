/** Tasks of two styles: which official file holds which style, how lines are read, and the line for each thing that is missing. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { linesByStyle, readStyles, type Dataset } from '../../../finetuning/data/index.js'
import { loadEvaluation, loadTask, type TaskOptions } from '../../../finetuning/tasks/index.js'
import { SEED } from '../../support/seed.js'
import { refusalOf } from '../../support/refusal.js'
import { singleLabel } from '../../../finetuning/tasks/classification/index.js'

const folder = mkdtempSync(join(tmpdir(), 'salora-styles-'))
afterAll(() => rmSync(folder, { recursive: true }))

const write = (name: string, content: string | Uint8Array): void => {
  mkdirSync(dirname(join(folder, name)), { recursive: true })
  writeFileSync(join(folder, name), content)
}
const line = async (options: TaskOptions): Promise<string> => (await refusalOf(() => loadTask(options))).replaceAll(folder, '')
const linesOf = ({ examples }: Dataset) => examples.map(({ label, text }) => `${label} ${text}`)
const at = (name: string): string => join(folder, name)

describe('the task yelp', () => {
  write('yelp/train.0', 'The soup was COLD .\r\n  never again .  \n')
  write('yelp/train.1', 'Lovely staff !')
  write('yelp/dev.0', 'Bad .\n')
  write('yelp/dev.1', 'Good .\n\nFine .\n\n')
  write('yelp/test.0', 'awful\n')
  write('yelp/test.1', 'great\n')

  it('trains on the lines of train.0 and train.1, in lower case and without blanks around them, and evaluates on those of dev', async () => {
    const task = await loadTask({ task: 'yelp', data: at('yelp') })
    expect(task).toMatchObject({
      ...{ name: 'yelp', taskType: singleLabel, metrics: ['accuracy'], selectionMetric: 'accuracy', heldOut: false },
      labelNames: ['negative', 'positive'],
    })
    expect(linesOf(task.train)).toEqual(['0 the soup was cold .', '0 never again .', '1 lovely staff !'])
    expect(task.train.examples.map(({ row }) => row)).toEqual([1, 2, 3])
    expect(linesOf(task.evaluation)).toEqual(['0 bad .', '1 good .', '1 ', '1 fine .'])
    expect(task.train.source).toBe(at('yelp/train.{0,1}'))
  })

  it('evaluates on the test lines by the name test, and on other pairs of files by their path, without a folder', async () => {
    for (const options of [{ data: at('yelp'), evalData: 'test' }, { evalData: at('yelp/test') }])
      expect(linesOf((await loadEvaluation({ task: 'yelp', ...options })).evaluation)).toEqual(['0 awful', '1 great'])
    expect(linesOf((await loadTask({ task: 'yelp', data: at('yelp'), evalData: 'test' })).evaluation)).toEqual(['0 awful', '1 great'])
    expect(linesByStyle(await readStyles('yelp', 'dev', at('yelp')))).toEqual([['bad .'], ['good .', '', 'fine .']])
  })

  it("also reads the other repository's names of files, and its first 30,000 lines if the full file is absent", async () => {
    for (const part of ['sentiment.train', 'sentiment.dev']) for (const style of [0, 1]) write(`other/${part}.${style}`, `${part} ${style}`)
    expect(linesOf((await loadTask({ task: 'yelp', data: at('other') })).train)).toEqual(['0 sentiment.train 0', '1 sentiment.train 1'])
    for (const part of ['train_first30k', 'dev']) for (const style of [0, 1]) write(`part/${part}.${style}`, `${part} ${style}`)
    const { train } = await loadTask({ task: 'yelp', data: at('part') })
    expect([train.source, linesOf(train)]).toEqual([at('part/train_first30k.{0,1}'), ['0 train_first30k 0', '1 train_first30k 1']])
    for (const style of [0, 1]) write(`part/train.${style}`, `all ${style}`)
    expect(linesOf((await loadTask({ task: 'yelp', data: at('part') })).train)).toEqual(['0 all 0', '1 all 1'])
  })

  it("is lower-cased only, while GYAFC is also split into NLTK's words, as in the published preprocessing", async () => {
    for (const style of [0, 1]) for (const part of ['train', 'dev']) write(`forms/${part}.${style}`, "  It's GREAT, isn't it? ")
    for (const style of ['informal', 'formal'])
      for (const part of ['train', 'dev']) write(`forms/${part}.${style}`, "It's GREAT, isn't it?")
    expect(linesOf((await loadTask({ task: 'yelp', data: at('forms') })).train)[0]).toBe("0 it's great, isn't it?")
    expect(linesOf((await loadTask({ task: 'gyafc', data: at('forms') })).train)[0]).toBe("0 it 's great , is n't it ?")
  })

  it("also reads TSST's names of files", async () => {
    for (const part of ['train', 'dev']) for (const style of ['neg', 'pos']) write(`tsst/${part}.${style}`, `${part} ${style}`)
    const { train, evaluation } = await loadTask({ task: 'yelp', data: at('tsst') })
    expect([linesOf(train), linesOf(evaluation)]).toEqual([
      ['0 train neg', '1 train pos'],
      ['0 dev neg', '1 dev pos'],
    ])
    for (const part of ['train', 'dev'])
      for (const style of ['informal', 'formal']) write(`tsst-formality/${part}.${style}`, `${part} ${style}`)
    const formality = await loadTask({ task: 'gyafc', data: at('tsst-formality') })
    expect([linesOf(formality.train), linesOf(formality.evaluation)]).toEqual([
      ['0 train informal', '1 train formal'],
      ['0 dev informal', '1 dev formal'],
    ])
  })

  it('names a missing file, or the row that is not UTF-8, in one line', async () => {
    const official = "the folder of Yelp's sentences (train.0, train.1, dev.0, …, of lijuncen/Sentiment-and-Style-Transfer)"
    expect(await line({ task: 'yelp' })).toBe(`--data: expected ${official} (for --task yelp), got none given`)
    expect(await line({ task: 'yelp', data: at('absent') })).toBe(`/absent: expected ${official}, got none there`)
    expect(await line({ task: 'yelp', data: at('yelp/dev.0') })).toBe(`/yelp/dev.0: expected ${official}, got a file`)
    mkdirSync(at('empty'))
    expect(await line({ task: 'yelp', data: at('empty') })).toBe(`/empty: expected train.0 and train.1 of ${official}, got neither`)
    write('half/train.0', 'a')
    expect(await line({ task: 'yelp', data: at('half') })).toBe(
      '/half/train.1: expected the positive lines, beside /half/train.0, got none there',
    )
    for (const [name, bytes, message] of [
      ['latin', Buffer.from('fine\ncaf\xe9\n', 'latin1'), 'train.1, row 2: expected text in UTF-8, got bytes that are not UTF-8'],
      ['wide', Buffer.from('\ufefffine', 'utf16le'), 'train.1: expected text in UTF-8, got text in UTF-16'],
      ['blank', Buffer.from('\n\n'), 'train.1: expected at least one row, got an empty file'],
    ] as const) {
      write(`${name}/train.0`, 'bad')
      write(`${name}/train.1`, bytes)
      expect(await line({ task: 'yelp', data: at(name) })).toBe(`/${name}/${message}`)
    }
    expect(await line({ task: 'yelp', data: at('yelp'), evalData: 'tests' })).toBe(
      `/yelp: expected tests.0 and tests.1 of ${official}, got neither`,
    )
    expect(await line({ task: 'yelp', data: at('yelp'), text: 'a' })).toBe('--text: expected none with --task yelp, got "a"')
  })

  it('has every line of both files once, in order, with the label of its style', () =>
    fc.assert(
      fc.asyncProperty(
        ...((['0', '1'] as const).map(() =>
          fc.array(
            fc.string({ unit: 'grapheme', minLength: 1 }).map((text) => `x${text.replaceAll(/[\r\n]/g, '')}`),
            { minLength: 1, maxLength: 8 },
          ),
        ) as [fc.Arbitrary<string[]>, fc.Arbitrary<string[]>]),
        async (...lines) => {
          lines.forEach((part, style) => write(`any/dev.${style}`, part.join('\n')))
          const dataset = await readStyles('yelp', 'dev', at('any'))
          expect(linesByStyle(dataset)).toEqual(lines.map((part) => part.map((text) => text.trim().toLowerCase())))
        },
      ),
      { seed: SEED, numRuns: 30 },
    ))
})

describe('the task gyafc', () => {
  for (const [domain, mark] of [
    ['Family_Relationships', 'f'],
    ['Entertainment_Music', 'e'],
  ] as const)
    for (const part of ['train', 'tune', 'test'])
      for (const style of ['informal', 'formal']) write(`gyafc/${domain}/${part}/${style}`, `${mark} ${part} ${style.toUpperCase()}`)

  it('reads informal and formal lines from folders of parts, with tune as dev', async () => {
    const task = await loadTask({ task: 'gyafc', data: at('gyafc/Family_Relationships') })
    expect(task.labelNames).toEqual(['informal', 'formal'])
    expect(linesOf(task.train)).toEqual(['0 f train informal', '1 f train formal'])
    expect(linesOf(task.evaluation)).toEqual(['0 f tune informal', '1 f tune formal'])
    expect(task.evaluation.source).toBe(at('gyafc/Family_Relationships/tune/{informal,formal}'))
    expect(linesOf((await loadEvaluation({ task: 'gyafc', data: at('gyafc/Family_Relationships'), evalData: 'test' })).evaluation)).toEqual(
      ['0 f test informal', '1 f test formal'],
    )
  })

  it('reads Family_Relationships from the folder of both domains, and Entertainment_Music from its own folder', async () => {
    expect(linesOf((await loadTask({ task: 'gyafc', data: at('gyafc') })).train)).toEqual(['0 f train informal', '1 f train formal'])
    expect(linesOf((await loadTask({ task: 'gyafc', data: at('gyafc/Entertainment_Music') })).train)).toEqual([
      '0 e train informal',
      '1 e train formal',
    ])
  })

  it('explains how to get the data if it is absent', async () => {
    const official = "the Family_Relationships folder of GYAFC (licensed: ask Yahoo for its L6 corpus, and with its answer GYAFC's authors)"
    expect(await line({ task: 'gyafc' })).toBe(`--data: expected ${official} (for --task gyafc), got none given`)
    expect(await line({ task: 'gyafc', data: at('nowhere') })).toBe(`/nowhere: expected ${official}, got none there`)
    expect(await line({ task: 'gyafc', data: at('yelp') })).toBe(
      `/yelp: expected train/informal and train/formal of ${official}, got neither`,
    )
  })
})

const shared = join(import.meta.dirname, '../../../../shared/data/yelp')
const present = existsSync(shared)

describe(`the published Yelp files${present ? '' : ' (skipped: ../shared/data/yelp is absent)'}`, () => {
  it.skipIf(!present)("are read as Python's strip and lower would read them", async () => {
    // sha256 of label TAB line.strip().lower() LF over both files, by Python
    for (const [part, counts, sha256] of [
      ['train_first30k', [30000, 30000], '48c7010b84cfde91'],
      ['dev', [2000, 2000], '393119877b5a804d'],
      ['test', [500, 500], '3021533068f036d4'],
    ] as const) {
      const dataset = await readStyles('yelp', part, shared)
      expect(linesByStyle(dataset).map(({ length }) => length)).toEqual(counts)
      const text = dataset.examples.map((example) => `${example.label}\t${example.text}\n`).join('')
      expect(createHash('sha256').update(text).digest('hex').slice(0, 16)).toBe(sha256)
    }
  })
})
