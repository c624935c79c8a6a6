/**
 * npm run mutations: applies each mutation to a copy of the tree and prints what the tests caught, by area. `npm run mutations -- cli` takes those of
 * a folder or a file, `npm run mutations -- 20` takes 20 of them, spread over all. Ctrl-C ends it early with the table so far.
 * With --green, the tests are not run without a mutation first: for a tree whose tests have passed.
 */
import { existsSync } from 'node:fs'
import { applyEach, type Outcome } from './applyEach.js'
import { areas } from './areas/index.js'
import { select } from './mutation.js'
import { scores, tableOf } from './scoreTable.js'
import { testProcess } from './testProcess.js'
import { copyTree } from './workingCopy.js'

const lineOf = ({ mutation: { file, mistake }, verdict, why, seconds }: Outcome): string =>
  `${verdict.padEnd(8)}  ${file}: ${mistake}\n          ${why} (${seconds.toFixed(1)} s)`

const main = async (args: readonly string[]): Promise<number> => {
  const below = args.find((arg) => !/^(\d+|--green)$/.test(arg)) ?? ''
  const first = !args.includes('--green')
  const selected = select(areas, { below, count: Number(args.find((arg) => /^\d+$/.test(arg)) ?? Infinity) })
  if (Object.keys(selected).length === 0 || !existsSync('vitest.config.ts')) {
    console.error(
      `mutations: expected a folder or a file with mutations (${Object.keys(areas).join(', ')}) or a number, got ${args.join(' ')}`,
    )
    return 2
  }
  const stopped = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => stopped.abort())
  process.stdout.on('error', () => stopped.abort()) // the terminal is gone
  const copy = copyTree(process.cwd())
  const outcomes: Outcome[] = []
  try {
    console.log(`${Object.values(selected).flat().length} mutations; first, a build${first ? ', and their tests without any' : ''}`)
    copy.build()
    for await (const outcome of applyEach(selected, copy, testProcess(copy.root, stopped.signal), { first, signal: stopped.signal })) {
      outcomes.push(outcome)
      console.log(lineOf(outcome))
    }
  } finally {
    copy.remove()
  }
  console.log(`\n${tableOf(scores(outcomes))}`)
  return stopped.signal.aborted ? 130 : outcomes.every(({ verdict }) => verdict === 'caught') ? 0 : 1
}

process.exitCode = await main(process.argv.slice(2))
