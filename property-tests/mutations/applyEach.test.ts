/** How mutations are tried: one at a time, in a copy whose file is restored after each, whatever its tests do. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { expect, it, vi } from 'vitest'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { applyEach, type Outcome, type RunTests } from './applyEach.js'
import { mutate, roomName, select, testFile, type Mutation } from './mutation.js'
import { scoreTable } from './scoreTable.js'
import { copyTree } from './workingCopy.js'

const { folder } = temporaryFolder('mutations')
const code = 'export const least = (a: number, b: number) => (a < b ? a : b)\n'
const write = (file: string, text: string): void => {
  mkdirSync(dirname(join(folder, file)), { recursive: true })
  writeFileSync(join(folder, file), text)
}
const read = (file: string): string => readFileSync(join(folder, file), 'utf8')
for (const test of ['good', 'broken']) write(testFile(test), '')

const mutation = (change: Partial<Mutation>): Mutation => ({
  file: 'code/least.ts',
  mistake: 'The larger one.',
  before: 'a < b',
  after: 'a > b',
  tests: ['good'],
  ...change,
})

/** Catches the wrong comparison and no other mistake. `broken` always fails. */
const catchComparison: RunTests = async (files) => {
  const failed = files.filter((file) => file === testFile('broken') || read('code/least.ts').includes('a > b'))
  return { passed: failed.length === 0, failed: failed.length === 0 ? '' : 'is the smaller one', failedFiles: failed }
}

const tryAll = async (mutations: readonly Mutation[], runTests = catchComparison, options: Parameters<typeof applyEach>[3] = {}) => {
  write('code/least.ts', code)
  const outcomes: Outcome[] = []
  for await (const outcome of applyEach(mutations, { root: folder, write }, runTests, options)) {
    expect(read('code/least.ts'), 'restored').toBe(code)
    outcomes.push(outcome)
  }
  return outcomes
}

it('reports mutations as caught, as survivors, as no longer applicable, or as untested where tests fail anyway', async () => {
  const outcomes = await tryAll([
    mutation({}),
    mutation({ after: 'a <= b' }),
    mutation({ before: 'a << b' }),
    mutation({ before: 'a' }),
    mutation({ file: 'code/gone.ts' }),
    mutation({ tests: ['gone'] }),
    mutation({ tests: ['good', 'broken'] }),
  ])
  expect(outcomes.map(({ verdict, why }) => [verdict, why])).toEqual([
    ['caught', 'is the smaller one'],
    ['survived', testFile('good')],
    ['stale', 'its code has changed'],
    ['stale', 'its code has changed'],
    ['stale', 'its code has changed'],
    ['stale', `no ${testFile('gone')}`],
    ['untested', `${testFile('broken')} fails without it`],
  ])
  const tried = outcomes.map(({ verdict, mutation: { file } }) => ({ verdict, room: roomName(file) }))
  expect(scoreTable(tried)).toBe(
    [
      'room  caught  survived  not tried   score', //
      'code       1         1          5  50.0 %',
    ].join('\n'),
  )
  expect(scoreTable([...tried, { room: 'cli', verdict: 'caught' }])).toBe(
    [
      'room  caught  survived  not tried    score',
      'code       1         1          5   50.0 %',
      'cli        1         0          0  100.0 %',
      'all        2         1          5   66.6 %',
    ].join('\n'),
  )
})

it('takes the tests of a green tree as passing', async () => {
  const outcomes = await tryAll([mutation({ tests: ['broken'] })], catchComparison, { first: false })
  expect(outcomes.map(({ verdict }) => verdict)).toEqual(['caught'])
})

it('restores the file when the tests cannot be run, or are stopped, which is no outcome', async () => {
  const failing: RunTests = async (_, { bail }) => {
    if (bail) throw new Error('out of memory')
    return { passed: true, failed: '', failedFiles: [] }
  }
  await expect(tryAll([mutation({})], failing)).rejects.toThrow('out of memory')
  expect(read('code/least.ts')).toBe(code)
  const stop = new AbortController()
  const stopped: RunTests = async (_, { bail }) => {
    if (bail) stop.abort()
    return { passed: !bail, failed: '', failedFiles: [] }
  }
  expect(await tryAll([mutation({}), mutation({})], stopped, { signal: stop.signal })).toEqual([])
  expect(read('code/least.ts')).toBe(code)
})

it('replaces only code that occurs once', () => {
  expect(mutate('a + b', { before: '+', after: '-' })).toBe('a - b')
  expect(mutate('a + b + c', { before: '+', after: '-' })).toBeNull()
  expect(mutate('a $& b', { before: '$&', after: '$1' })).toBe('a $1 b')
})

it('takes a folder, a file, or a number of mutations that is spread over all', () => {
  const files = ['cli/a.ts', 'cli/a.ts', 'cli/a.ts', 'cli/b.ts', ...Array.from({ length: 6 }, () => 'client/c.ts')]
  const all = files.map((file, i) => mutation({ file, mistake: String(i) }))
  const taken = (options: Parameters<typeof select>[1]): string =>
    select(all, options)
      .map(({ mistake }) => mistake)
      .join('')
  expect(taken({})).toBe('0123456789')
  expect(taken({ below: 'cli' })).toBe('0123')
  expect(taken({ below: 'cli/b.ts' })).toBe('3')
  expect(taken({ below: 'cl' })).toBe('')
  for (const count of [1, 2, 3, 5, 7, 10, 99]) expect(taken({ count }), `${count}`).toHaveLength(Math.min(count, 10))
  expect(taken({ count: 5 })).toBe('02468')
  expect(['accelerated/graph/vjps.ts', 'finetuning/recipe.ts', 'finetuning/data/labels.ts', 'cli/format/answers.ts'].map(roomName)).toEqual(
    ['accelerated/graph', 'finetuning', 'finetuning/data', 'cli'],
  )
})

it('copies the files with their changes and builds them, writes nothing back, and leaves nothing behind', () => {
  const [tree, temporary] = [join(folder, 'tree'), join(folder, 'temporary')]
  mkdirSync(temporary)
  vi.stubEnv('TMPDIR', temporary)
  const files = { 'a.ts': 'export const one: number = 1', 'cli/b.ts': "export * from '../a.js'", '.gitignore': 'ignored', ignored: '' }
  for (const [file, text] of Object.entries({ ...files, 'node_modules/library/index.js': '' })) write(join('tree', file), text)
  write('tree/package.json', '{ "scripts": { "build:pages": "node -e 0" } }')
  execFileSync('git', ['init', '--quiet'], { cwd: tree })
  const copied = copyTree(tree)
  const inCopy = (file: string): string => readFileSync(join(copied.root, file), 'utf8')
  try {
    expect(['a.ts', 'cli/b.ts'].map(inCopy)).toEqual([files['a.ts'], files['cli/b.ts']])
    expect(existsSync(join(copied.root, 'ignored'))).toBe(false)
    copied.build()
    expect(inCopy('dist/a.js')).toContain('const one = 1')
    copied.write('a.ts', 'export const one: number = 2')
    expect([inCopy('a.ts'), read('tree/a.ts')]).toEqual(['export const one: number = 2', files['a.ts']])
    expect(inCopy('dist/a.js')).toContain('const one = 2')
    expect(existsSync(join(tree, 'dist'))).toBe(false)
  } finally {
    copied.remove()
  }
  expect(existsSync(copied.root)).toBe(false)
  rmSync(join(tree, '.git'), { recursive: true })
  expect(() => copyTree(tree)).toThrow()
  expect(readdirSync(temporary), 'nothing is left of a copy that fails').toEqual([])
  expect(existsSync(join(tree, 'node_modules/library/index.js'))).toBe(true)
})
