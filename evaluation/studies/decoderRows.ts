/**
 * Methods on a small decoder: the loss of Alpaca responses or of a text. These are the questions of smallBudgets.md from the seventh on.
 *
 *   node dist/evaluation/studies/decoderRows.js --model DIR --data FILE --methods ROWS --part choose|report [--ranks-of ROW|FILE] [--seeds 1] [--output runs/decoder] [--results FILE] [--jobs 2]
 *
 * Finished runs are in RESULTS, and are not repeated.
 */
import { basename, extname, join } from 'node:path'
import { z } from 'zod'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { validate } from '../../accelerated/errors/validate.js'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { parseJson, readText } from '../../accelerated/storage/boundedJson.js'
import { makeFolder } from '../../accelerated/storage/makeFolder.js'
import { parseSettings } from '../../accelerated/training/settings.js'
import { choiceFlag, countFlag, listFlag, required, textFlag } from '../../finetuning/commandLine/flag.js'
import { scriptValues } from '../../finetuning/commandLine/script.js'
import { rowOf } from '../glue/rows.js'
import { compare, storedComparison, type Variant } from './comparison.js'
import { inParts, longestPiece, longestRow, partSizes, piecesOf, shortInstructions, type Instruction, type Part } from './decoderParts.js'

const { flags: given } = scriptValues({
  name: 'node dist/evaluation/studies/decoderRows.js',
  description: 'Fine-tune a decoder on short texts with each method, and print the loss of texts that no run trains on.',
  flags: {
    Options: {
      model: required(textFlag('folder|id', 'Model to fine-tune'), 'a folder in Hugging Face layout or a hub id'),
      data: required(textFlag('file', 'Stanford Alpaca (.json), or a text whose every token is learned'), 'a file'),
      methods: required(
        listFlag('rows', 'Methods with their settings, separated by commas: lora-1,salora:density=0.125'),
        'names of methods',
      ),
      part: required(
        choiceFlag(['choose', 'report'] as const, 'part', 'Rows to score: those that choose settings, or those to report'),
        'choose or report',
      ),
      ranksOf: textFlag('row', 'Train from scratch on the ranks that this row kept with seed 100, or on those of a JSON file'),
      seeds: countFlag('n', 'Runs per method: seeds 0 to n − 1 to report, 100 and on to choose', { default: 1 }),
      output: textFlag('folder', 'Temporary folder of the runs', { default: 'runs/decoder' }),
      results: textFlag('file', 'File of results; runs that it has are not repeated', { default: 'evaluation/results/decoder.json' }),
      jobs: countFlag('n', 'Parallel runs, with one thread each', { default: 2 }),
    },
  },
  examples: [
    {
      command: 'node dist/evaluation/studies/decoderRows.js --model ./smollm2 --data alpaca.json --methods lora-1 --part choose',
      result: 'Writes evaluation/results/decoder.json, and prints the loss of each run.',
    },
  ],
})

/** The ranks of a file, as `salora rank-pattern` prints them, or those that an earlier run kept. */
const ranksOf = async (row: string): Promise<Readonly<Record<string, number>>> => {
  if (extname(row) === '.json') return validate(z.record(z.string(), z.int().min(0)), parseJson(await readText(row), row), row, 'ranks')
  const { runs } = await storedComparison(given.results)
  const ranks = runs.find(({ variant, seed }) => variant === `choose ${row}` && seed === 100)?.result.ranks
  if (ranks == null) throw inputError('--ranks-of', `a row with ranks and seed 100 in ${given.results}`, quoted(row))
  return ranks
}
const onRanks = given.ranksOf === null ? null : { of: basename(given.ranksOf), rankPattern: await ranksOf(given.ranksOf) }

/** One epoch of 400 steps, scored after the last. A row's own settings come last. */
const settingsOf = (name: string) => {
  const { settings, overrides } = rowOf(name)
  const fixed = { precision: 'int8', maxSteps: 400, batchSize: 4, maxLength: 128, evalSteps: 400, threads: 1 }
  const all = { ...fixed, ...settings, ...overrides }
  return onRanks === null
    ? { name, settings: parseSettings(all) }
    : { name: `${name} on ranks of ${onRanks.of}`, settings: parseSettings({ ...all, rankPattern: onRanks.rankPattern }) }
}
const methods = given.methods.map(settingsOf)

const text = z.string().max(100_000)
const instructions = z.array(z.looseObject({ instruction: text, input: text, output: text })).max(100_000)
const { data } = given
const isAlpaca = extname(data) === '.json'
const content = await readText(data)
const rows: ReadonlyArray<Instruction | { readonly text: string }> = isAlpaca
  ? shortInstructions(validate(instructions, parseJson(content, data), data, 'instructions'))
  : piecesOf(content)
const parts = inParts(rows)
if (parts === null) {
  const needed = partSizes.train + partSizes.choose + partSizes.report
  const what = isAlpaca ? `rows with a response and at most ${longestRow} characters` : `pieces of ${longestPiece} characters`
  throw inputError(`--data ${data}`, `${needed} ${what} or more`, String(rows.length))
}

const folder = join(given.output, basename(data, extname(data)))
await makeFolder(folder)
const fileOf = async (part: Part): Promise<string> => {
  const file = join(folder, `${part}.jsonl`)
  await writeFileAtomically(file, parts[part].map((row) => `${JSON.stringify(row)}\n`).join(''))
  return file
}
const task = { task: isAlpaca ? 'alpaca' : 'text', data: await fileOf('train'), evalData: await fileOf(given.part) }
const of = isAlpaca ? given.part : `${given.part} ${basename(data, extname(data))}`
const variants: ReadonlyArray<Variant> = methods.map(({ name, settings }) => ({
  name: `${of} ${name}`,
  options: { model: given.model, task, settings },
}))
const first = given.part === 'choose' ? 100 : 0
const runs = await compare(
  {
    variants,
    seeds: Array.from({ length: given.seeds }, (_, i) => first + i),
    folder,
    results: given.results,
    command: 'node dist/evaluation/studies/decoderRows.js --model DIR --data random_9k.json --methods ROWS --part PART',
    jobs: given.jobs,
  },
  console.log,
)
for (const { variant, seed, result } of runs) console.log(`${variant}, seed ${seed}: loss ${result.last.scores['loss']?.toFixed(4)}`)
