/** How mutations are tried: one at a time, in a copy whose file is restored after each, whatever its tests do. */
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { applyEach, type Outcome, type RunTests } from './applyEach.js'
import { mutate, select, testFile, type Areas, type Mutation } from './mutation.js'
import { scores, tableOf } from './scoreTable.js'
import { copyTree } from './workingCopy.js'

const { folder } = temporaryFolder('mutations')
const code = 'export const least = (a: number, b: number) => (a < b ? a : b)\n'
const write = (file: string, text: string): void => {
  mkdirSync(dirname(join(folder, file)), { recursive: true })
  writeFileSync(join(folder, file), text)
}
const copy = { root: folder, write }
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

/** A test that knows the wrong comparison and no other fault. `broken` always fails. */
const knowsComparison: RunTests = async (files) => {
  const failed = files.filter((file) => file === testFile('broken') || read('code/least.ts').includes('a > b'))
  return { passed: failed.length === 0, failed: failed.length === 0 ? '' : 'is the smaller one', failedFiles: failed }
}

const outcomesOf = async (mutations: readonly Mutation[], runTests = knowsComparison, options: Parameters<typeof applyEach>[3] = {}) => {
  write('code/least.ts', code)
  const outcomes: Outcome[] = []
  for await (const outcome of applyEach({ code: mutations }, copy, runTests, options)) {
    expect(read('code/least.ts'), 'restored').toBe(code)
    outcomes.push(outcome)
  }
  return outcomes
}

describe('trying mutations', () => {
  it('reports mutations as caught, as survivors, as no longer applicable, or as untested where tests fail anyway', async () => {
    const outcomes = await outcomesOf([
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
    expect(tableOf(scores(outcomes))).toBe(
      [
        'area  caught  survived  stale  untested  score',
        'code       1         1      4         1   50 %',
        'all        1         1      4         1   50 %',
      ].join('\n'),
    )
  })

  it('takes the tests of a green tree as passing', async () => {
    const outcomes = await outcomesOf([mutation({ tests: ['broken'] })], knowsComparison, { first: false })
    expect(outcomes.map(({ verdict }) => verdict)).toEqual(['caught'])
  })

  it('restores the file when the tests cannot be run', async () => {
    const failing: RunTests = async (_, { bail }) => {
      if (bail) throw new Error('no memory is left')
      return { passed: true, failed: '', failedFiles: [] }
    }
    await expect(outcomesOf([mutation({})], failing)).rejects.toThrow('no memory is left')
    expect(read('code/least.ts')).toBe(code)
  })

  it('restores the file and reports nothing of a mutation whose tests were stopped', async () => {
    const stop = new AbortController()
    const stopped: RunTests = async (_, { bail }) => {
      if (bail) stop.abort()
      return { passed: !bail, failed: '', failedFiles: [] }
    }
    expect(await outcomesOf([mutation({}), mutation({})], stopped, { signal: stop.signal })).toEqual([])
    expect(read('code/least.ts')).toBe(code)
  })

  it('replaces only code that occurs once', () => {
    expect(mutate('a + b', { before: '+', after: '-' })).toBe('a - b')
    expect(mutate('a + b + c', { before: '+', after: '-' })).toBeNull()
    expect(mutate('a $& b', { before: '$&', after: '$1' })).toBe('a $1 b')
  })

  it('takes a folder, a file, or a number of them that is spread over all', () => {
    const inFile = (file: string, count: number) => Array.from({ length: count }, (_, i) => mutation({ file, mistake: String(i) }))
    const areas: Areas = { cli: [...inFile('cli/a.ts', 3), ...inFile('cli/b.ts', 1)], client: inFile('client/c.ts', 6) }
    const counts = (selected: Areas) => Object.entries(selected).map(([area, { length }]) => [area, length])
    expect(counts(select(areas, {}))).toEqual([
      ['cli', 4],
      ['client', 6],
    ])
    expect(counts(select(areas, { below: 'cli' }))).toEqual([['cli', 4]])
    expect(counts(select(areas, { below: 'cli/b.ts' }))).toEqual([['cli', 1]])
    expect(select(areas, { below: 'cl' })).toEqual({})
    for (const count of [1, 2, 3, 5, 7, 10, 99])
      expect(Object.values(select(areas, { count })).flat().length, `${count}`).toBe(Math.min(count, 10))
    expect(counts(select(areas, { count: 5 }))).toEqual([
      ['cli', 2],
      ['client', 3],
    ])
  })
})

describe('the copy of the tree', () => {
  it('has the files with their changes and a build, writes none of them back, and is gone afterwards', () => {
    const [tree, temporary] = [join(folder, 'tree'), join(folder, 'temporary')]
    mkdirSync(temporary)
    vi.stubEnv('TMPDIR', temporary)
    const files = { 'a.ts': 'export const one: number = 1', 'cli/b.ts': "export * from '../a.js'", '.gitignore': 'ignored', ignored: '' }
    for (const [file, text] of Object.entries({ ...files, 'node_modules/library/index.js': '', 'package.json': '{}' }))
      write(join('tree', file), text)
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
})
