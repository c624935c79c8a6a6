/**
 * npm run mutations: applies each mutation to a copy of the tree and prints what the tests caught, by room. `-- cli` takes those of a folder or a
 * file, `-- 20` takes 20 of them, spread over all. Ctrl-C ends it early with the table so far. With --green, the tests are not run without a
 * mutation first: for a tree whose tests have passed.
 */
import { existsSync } from 'node:fs'
import { applyEach, type Outcome } from './applyEach.js'
import { mistakes } from './mistakes.js'
import { roomName, select } from './mutation.js'
import { scoreTable } from './scoreTable.js'
import { testProcess } from './testProcess.js'
import { copyTree } from './workingCopy.js'

const describe = ({ mutation: { file, mistake }, verdict, why, seconds }: Outcome): string =>
  `${verdict.padEnd(8)}  ${file}: ${mistake}\n          ${why} (${seconds.toFixed(1)} s)`

const main = async (args: readonly string[]): Promise<number> => {
  const first = !args.includes('--green')
  const words = args.filter((arg) => arg !== '--green')
  const below = words.find((word) => !/^\d+$/.test(word)) ?? ''
  const selected = select(mistakes, { below, count: Number(words.find((word) => /^\d+$/.test(word)) ?? Infinity) })
  if (selected.length === 0 || !existsSync('vitest.config.ts')) {
    const rooms = [...new Set(mistakes.map(({ file }) => roomName(file)))].join(', ')
    console.error(`mutations: expected a number, or a folder or file with mutations (${rooms}), got ${args.join(' ')}`)
    return 2
  }
  const stopped = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => stopped.abort())
  process.stdout.on('error', () => stopped.abort()) // the terminal is gone
  const copy = copyTree(process.cwd())
  const outcomes: Outcome[] = []
  try {
    console.log(`${selected.length} mutations; first, a build${first ? ', and their tests without any' : ''}`)
    copy.build()
    for await (const outcome of applyEach(selected, copy, testProcess(copy.root, stopped.signal), { first, signal: stopped.signal })) {
      outcomes.push(outcome)
      console.log(describe(outcome))
    }
  } finally {
    copy.remove()
  }
  console.log(`\n${scoreTable(outcomes.map(({ mutation: { file }, verdict }) => ({ room: roomName(file), verdict })))}`)
  return stopped.signal.aborted ? 130 : outcomes.every(({ verdict }) => verdict === 'caught') ? 0 : 1
}

process.exitCode = await main(process.argv.slice(2))
