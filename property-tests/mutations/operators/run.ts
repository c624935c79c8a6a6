/**
 * npm run mutations:operators: StrykerJS over the pure rooms, with a score by room. `-- graph methods` takes two of them, `-- 50` takes 50 windows
 * of 4 lines from each (the default), `-- all` takes every line, which is hours. `-- 50 --seed 2` draws others.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { scoreTable } from '../scoreTable.js'
import { copyTree } from '../workingCopy.js'
import { describeSurvivor, readMutants, type Mutant } from './report.js'
import { rooms, sampleWindows, type Room } from './rooms.js'

const folder = 'property-tests/mutations/operators'
const stryker = resolve(folder, 'node_modules/@stryker-mutator/core/bin/stryker.js')

/** Messages are text that other tests read; code that runs once at import needs a new process for each mutant. */
const settings = {
  testRunner: 'vitest',
  plugins: ['@stryker-mutator/vitest-runner'],
  vitest: { configFile: `${folder}/vitest.config.ts`, related: false },
  mutator: { excludedMutations: ['StringLiteral'] },
  coverageAnalysis: 'perTest',
  ignoreStatic: true,
  inPlace: true,
  concurrency: 1,
  timeoutMS: 60_000,
  disableTypeChecks: false,
  tsconfigFile: 'none.json',
  reporters: ['json', 'progress-append-only'],
  jsonReporter: { fileName: 'operators.json' },
  cleanTempDir: 'always',
}

/** @param source a file, or a folder with all its files but tables */
const sourceFiles = (root: string, source: string): readonly string[] =>
  source.endsWith('.ts')
    ? [source]
    : readdirSync(join(root, source), { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.ts') && !file.endsWith('index.ts'))
        .map((file) => join(source, file))

/** mulberry32 */
const generator = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

const runRoom = (name: string, { sources, tests }: Room, count: number, seed: number): readonly Mutant[] => {
  const copy = copyTree(process.cwd())
  try {
    const files = sources.flatMap((source) => sourceFiles(copy.root, source)).sort()
    const lengths = files.map((file) => ({ file, lines: readFileSync(join(copy.root, file), 'utf8').split('\n').length }))
    const mutate = sampleWindows(lengths, count, generator(seed)).map(({ file, from, to }) => `${file}:${from}-${to}`)
    writeFileSync(join(copy.root, 'operators.config.json'), JSON.stringify({ ...settings, mutate }))
    const { status } = spawnSync(process.execPath, [stryker, 'run', 'operators.config.json'], {
      cwd: copy.root,
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, ORT_DISABLE_TELEMETRY: '1', SALORA_MUTATED_TESTS: tests.join(',') },
    })
    const report = join(copy.root, 'operators.json')
    if (status !== 0 || !existsSync(report)) {
      console.error(`mutations:operators: ${name}: expected a report of StrykerJS, got exit ${status ?? 'by a signal'}`)
      return []
    }
    return readMutants(readFileSync(report, 'utf8'))
  } finally {
    copy.remove()
  }
}

const main = (args: readonly string[]): number => {
  const { positionals, values } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { seed: { type: 'string', default: '1' } },
  })
  const named = positionals.filter((word) => word in rooms)
  const [amount = '50', ...rest] = positionals.filter((word) => !(word in rooms))
  const seed = Number(values.seed)
  if (rest.length > 0 || !/^(all|[1-9]\d*)$/.test(amount) || !Number.isSafeInteger(seed)) {
    console.error(
      `mutations:operators: expected rooms (${Object.keys(rooms).join(', ')}), a number of windows or all, and --seed N, got ${args.join(' ')}`,
    )
    return 2
  }
  const chosen = Object.entries(rooms).filter(([name]) => named.length === 0 || named.includes(name))
  const results = chosen.map(([room, sources]) => {
    const mutants = runRoom(room, sources, amount === 'all' ? Infinity : Number(amount), seed)
    for (const mutant of mutants) if (mutant.verdict === 'survived') console.log(describeSurvivor(mutant))
    const outcomes = mutants.map(({ verdict }) => ({ room, verdict }))
    console.log(`\n${scoreTable(outcomes)}`)
    return outcomes
  })
  if (results.length > 1) console.log(`\n${scoreTable(results.flat())}`)
  return results.every((mutants) => mutants.length > 0) ? 0 : 1
}

process.exitCode = main(process.argv.slice(2))
