/** Many runs on several machines, disturbed at random, against the run in one process: prints what happened, and what differed. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { disturbances, openPlayground, type DisturbedRun } from './disturbedRun.js'

/** Runs, the first seed, and one method alone: `node dist/property-tests/support/spreadRuns.js 100 1 'lora --sync-every 5'` */
const [runs, firstSeed] = [Number(process.argv[2] ?? 100), Number(process.argv[3] ?? 1)]
const methods = process.argv[4] === undefined ? ['lora', 'salora', 'adalora', 'pfeiffer', 'lora --sync-every 5'] : [process.argv[4]]
const partCounts = [2, 4, 8]

const line = ({ method, parts, workers, happened, seen, seconds, difference }: DisturbedRun, seed: number): string =>
  [
    `${seed}`.padStart(4),
    method.padEnd(19),
    `${parts} parts`,
    `${workers} workers`,
    ...disturbances.map((name) => `${happened[name]} ${name}`),
    `${seen} at once`,
    `${seconds.toFixed(1)} s`,
    difference === '' ? 'same bits' : `DIFFERS: ${difference}`,
  ].join('  ')

const folder = await mkdtemp(join(tmpdir(), 'salora-spread-'))
const playground = await openPlayground(folder, 100)
const rows: DisturbedRun[] = []
try {
  for (let i = 0; i < runs; i++) {
    const seed = firstSeed + i
    const row = await playground.run(seed, methods[seed % methods.length] ?? 'lora', partCounts[seed % partCounts.length] ?? 2)
    rows.push(row)
    console.log(line(row, seed))
  }
} finally {
  await playground.close()
  await rm(folder, { recursive: true, force: true })
}
const total = (of: (row: DisturbedRun) => number): number => rows.reduce((sum, row) => sum + of(row), 0)
console.log(`\n| parts | runs | ${disturbances.join(' | ')} | same bits |\n| ---: | ---: |${' ---: |'.repeat(disturbances.length + 1)}`)
for (const parts of partCounts) {
  const of = rows.filter((row) => row.parts === parts)
  const sums = disturbances.map((name) => of.reduce((sum, { happened }) => sum + happened[name], 0))
  console.log(`| ${[parts, of.length, ...sums, of.filter(({ difference }) => difference === '').length].join(' | ')} |`)
}
console.log(`${rows.length} runs, ${total(({ seconds }) => seconds).toFixed(0)} s`)
process.exitCode = rows.every(({ difference }) => difference === '') ? 0 : 1
