/** docs/explanation/bounds.md: each number is that of the code, no bound of its files is missing, and each test that it names exists. */
import { constants } from 'node:buffer'
import { existsSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'

const page = 'docs/explanation/bounds.md'

type Link = { readonly text: string; readonly path: string }
const linksIn = (cell: string): readonly Link[] =>
  [...cell.matchAll(/\[((?:[^[\]]|\[[^\]]*\])+)\]\(([^)\s]+)\)/g)].map(([, text = '', to = '']) => ({
    text,
    path: posix.join(posix.dirname(page), to),
  }))

const rows = readFileSync(page, 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| '))
  .slice(2)
  .map((line) => {
    const [input = '', readBy = '', time = '', memory = '', tests = ''] = line.slice(2, -2).split(' | ')
    const named = [...`${time} ${memory}`.matchAll(/`(\w+)` ([\d,]*\d)/g)]
    return {
      input,
      files: linksIn(readBy).map(({ path }) => path),
      bounds: named.map(([, name = '', number = '']) => ({ name, value: Number(number.replaceAll(',', '')) })),
      hasBoth: time !== '' && memory !== '',
      tests: linksIn(tests),
    }
  })

const sources = new Map<string, string>()
const sourceOf = (file: string): string => {
  const source = sources.get(file) ?? (existsSync(file) ? readFileSync(file, 'utf8') : '')
  sources.set(file, source)
  return source
}

/** Constants and properties of a file, by name, as they are written. */
const expressionsOf = (file: string): ReadonlyMap<string, string> => {
  const source = sourceOf(file)
  const lists = [...source.matchAll(/^(?:export )?const \[([\w, ]+)\] = \[(.+)\]/gm)].flatMap(([, names = '', values = '']) => {
    const expressions = values.split(', ')
    return names.split(', ').map((name, i) => [name, expressions[i] ?? ''] as const)
  })
  const properties = [...source.matchAll(/\b(\w+): ([\d_ *]*\d)(?=,| })/g)].map(([, name = '', value = '']) => [name, value] as const)
  const assigned = [...source.matchAll(/\.(\w+) = ([\d_]+)$/gm)].map(([, name = '', value = '']) => [name, value] as const)
  const single = [...source.matchAll(/^(?:export )?const (\w+)(?:: \w+)? = ([^\n/]+)/gm)].map(
    ([, name = '', value = '']) => [name, value] as const,
  )
  return new Map([...properties, ...assigned, ...lists, ...single])
}

/** The number that a constant has in these files; NaN if none of them has it. */
const numberOf = (name: string, files: readonly string[]): number => {
  const expression = files.map((file) => expressionsOf(file).get(name)).find((found) => found !== undefined)
  if (expression === undefined || !/^[\w\s*+.,()<-]+$/.test(expression)) return NaN
  const others = [...expression.matchAll(/(?<![\w.])[a-z]\w*/g)].map(([other]) => other).filter((other) => other !== 'constants')
  if (others.includes(name)) return NaN
  const scope = Object.fromEntries(others.map((other) => [other, numberOf(other, files)]))
  try {
    return Number(runInNewContext(expression, { ...scope, Math, constants }))
  } catch {
    return NaN
  }
}

describe('the table of bounds', () => {
  it('has a row for each input, with a reader, bounds on time and memory, and a test', () => {
    expect(rows.length).toBeGreaterThan(25)
    for (const { input, files, hasBoth, tests } of rows) {
      expect(files.map((file) => [file, existsSync(file)])).toEqual(files.map((file) => [file, true]))
      expect([input, files.length > 0, hasBoth, tests.length > 0]).toEqual([input, true, true, true])
    }
  })

  it.each(rows.map((row) => [row.input, row] as const))('has the numbers of the code: %s', (_, { bounds, files }) =>
    expect(bounds.map(({ name }) => [name, numberOf(name, files)])).toEqual(bounds.map(({ name, value }) => [name, value])),
  )

  it('has every bound of its files', () => {
    const files = [...new Set(rows.flatMap((row) => row.files))]
    const isBound = (name: string): boolean => /limit|longest.|largest.|deepest|highest.|^most.|^always.|timeout|attempts/i.test(name)
    const missing = files.flatMap((file) => {
      const named = new Set(rows.flatMap((row) => (row.files.includes(file) ? row.bounds.map(({ name }) => name) : [])))
      return [...expressionsOf(file).keys()]
        .filter((name) => isBound(name) && !named.has(name) && !Number.isNaN(numberOf(name, [file])))
        .map((name) => `${file}: ${name}`)
    })
    expect(missing).toEqual([])
  })

  it.each(rows.map((row) => [row.input, row] as const))('names tests that exist: %s', (_, { tests }) => {
    const titles = tests.map(({ text, path }) => [text, sourceOf(path).replaceAll("\\'", "'").includes(`${text}`)])
    expect(titles).toEqual(tests.map(({ text }) => [text, true]))
  })
})
