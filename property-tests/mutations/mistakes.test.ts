/** Each listed mutation still applies: its code occurs once, the mutated file parses, and its test files exist. `npm run mutations` runs them. */
import { existsSync, readFileSync } from 'node:fs'
import { transformSync } from 'esbuild'
import { expect, it } from 'vitest'
import { mistakes } from './mistakes.js'
import { mutate, roomName, testFile, type Mutation } from './mutation.js'

const nameOne = ({ file, mistake }: Mutation): string => `${file}: ${mistake}`

const parses = (mutation: Mutation): boolean => {
  const mutated = existsSync(mutation.file) ? mutate(readFileSync(mutation.file, 'utf8'), mutation) : null
  try {
    return mutated !== null && transformSync(mutated, { loader: 'ts', logLevel: 'silent' }).code !== ''
  } catch {
    return false
  }
}

it('every mutation occurs once in its file, changes it, and leaves it parseable', () => {
  expect(mistakes.filter((one) => one.before === one.after || !parses(one)).map(nameOne)).toEqual([])
})

it('every mutation names test files that exist', () => {
  const exist = (tests: readonly string[]): boolean => tests.length > 0 && tests.every((test) => existsSync(testFile(test)))
  expect(mistakes.filter(({ tests }) => !exist(tests)).map(nameOne)).toEqual([])
})

it('at most 120 mutations reach every room of the program, each once', () => {
  expect(mistakes.length).toBeLessThanOrEqual(120)
  expect(new Set(mistakes.map(nameOne)).size).toBe(mistakes.length)
  const rooms = [...new Set(mistakes.map(({ file }) => roomName(file).split('/')[0]))]
  expect(rooms.sort()).toEqual(['accelerated', 'cli', 'evaluation', 'finetuning', 'reference', 'reporting', 'web'])
})
