/** Many runs on several machines, disturbed at random, against the run in one process: prints what happened, and what differed. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { disturbances, openPlayground, type DisturbedRun } from './disturbedRun.js'

/** Runs, the first seed, and the parts of each: `node dist/property-tests/support/spreadRuns.js 34 1 800` */
const [runs = 34, firstSeed = 1, partsOfRun = 800] = process.argv.slice(2).map(Number)
const methods = ['lora', 'salora', 'adalora', 'pfeiffer']
const partCounts = [2, 4, 8]

const sum = (rows: readonly DisturbedRun[], of: (row: DisturbedRun) => number): number => rows.reduce((total, row) => total + of(row), 0)
const line = (cells: readonly (string | number)[]): string => `| ${cells.join(' | ')} |`
const columns = ['run', 'method', 'parts', 'workers', ...disturbances, 'parts by workers', 'seconds', 'bits']

const folder = await mkdtemp(join(tmpdir(), 'salora-spread-'))
const playground = await openPlayground(folder, partsOfRun)
const rows: DisturbedRun[] = []
console.log(`${line(columns)}\n${line(columns.map(() => '---'))}`)
try {
  for (let i = 0; i < runs; i++) {
    const seed = firstSeed + i
    const row = await playground.run(seed, methods[seed % methods.length] ?? 'lora', partCounts[seed % partCounts.length] ?? 2)
    rows.push(row)
    const { method, parts, workers, happened, returned, seconds, difference } = row
    const counts = disturbances.map((name) => happened[name])
    console.log(line([seed, method, parts, workers, ...counts, returned, seconds.toFixed(1), difference === '' ? 'same' : difference]))
  }
} finally {
  await playground.close()
  await rm(folder, { recursive: true, force: true })
}
const same = rows.filter(({ difference }) => difference === '').length
const totals = disturbances.map((name) => sum(rows, ({ happened }) => happened[name]))
console.log(
  line([
    'all',
    '',
    '',
    '',
    ...totals,
    sum(rows, ({ returned }) => returned),
    sum(rows, ({ seconds }) => seconds).toFixed(0),
    `${same} same`,
  ]),
)
process.exitCode = same === rows.length ? 0 : 1
