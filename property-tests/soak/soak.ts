/** npm run soak: what only hours of use show, in minutes. One process must not grow, and a sweep must survive its workers and its Redis. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { choiceFlag, countFlag, numberFlag } from '../../finetuning/commandLine/flag.js'
import { scriptValues } from '../../finetuning/commandLine/script.js'
import { hasRedis } from '../support/redisServer.js'
import { soakBoard } from './openBoard.js'
import { soakPredictions, soakRuns } from './oneProcess.js'
import { soakSweep } from './queuedSweep.js'
import type { Check } from './resources.js'

const parts = ['predictions', 'runs', 'board', 'workers', 'clock', 'redis'] as const

const { flags } = scriptValues({
  name: 'node dist/property-tests/soak/soak.js',
  description:
    'Use salora for long in one process, and disturb a sweep. Fails if memory, descriptors or listeners grow, or if a table differs.',
  flags: {
    Options: {
      part: choiceFlag(parts, 'name', `Run one part only: ${parts.join(', ')}`, { defaultText: 'all' }),
      predictions: countFlag('n', 'Predictions of one open run', { default: 5_000 }),
      runs: countFlag('n', 'Short fine-tuning runs', { from: 3, default: 200 }),
      minutes: numberFlag('n', 'Time for which a board is open over a growing run', { above: 0, default: 2 }),
    },
  },
  examples: [{ command: 'npm run soak -- --part runs --runs 20', result: 'Prints memory, descriptors and listeners before and after.' }],
})

const progress = (line: string): void => void process.stderr.write(`${line}\n`)

const work: Readonly<Record<(typeof parts)[number], (folder: string) => Promise<ReadonlyArray<Check>>>> = {
  predictions: (folder) => soakPredictions(folder, flags.predictions),
  runs: (folder) => soakRuns(folder, flags.runs, progress),
  board: (folder) => soakBoard(folder, flags.minutes),
  workers: (folder) => soakSweep(folder, 'workers', progress),
  clock: (folder) => soakSweep(folder, 'clock', progress),
  redis: (folder) => soakSweep(folder, 'redis', progress),
}

/** A part that throws is a line of the table, and the others run. */
const checksOf = async (part: (typeof parts)[number]): Promise<ReadonlyArray<Check>> => {
  if (['workers', 'clock', 'redis'].includes(part) && !hasRedis) {
    progress(`${part}: skipped without redis-server`)
    return []
  }
  const folder = await mkdtemp(join(tmpdir(), 'salora-soak-'))
  progress(part)
  try {
    return await work[part](folder)
  } catch (thrown) {
    return [{ part, check: 'end', got: String(thrown), expected: 'no error', ok: false }]
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const checks: Check[] = []
for (const part of flags.part === null ? parts : [flags.part]) checks.push(...(await checksOf(part)))

const columns = ['part', 'check', 'got', 'expected'] as const
const widths = columns.map((column) => Math.max(column.length, ...checks.map((check) => check[column].length)))
const lineOf = (cells: ReadonlyArray<string>): string => cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')
console.log(lineOf(columns))
for (const check of checks) console.log(`${lineOf(columns.map((column) => check[column]))}  ${check.ok ? 'ok' : 'FAILED'}`)
for (const { part, check, got, expected } of checks.filter(({ ok }) => !ok))
  console.error(`soak: ${part}, ${check}: expected ${expected}, got ${got}`)
process.exit(checks.every(({ ok }) => ok) ? 0 : 1)
