/** Each mutation still applies: its code occurs once, the mutated file parses, and its test files exist. `npm run mutations` runs them. */
import { existsSync, readFileSync } from 'node:fs'
import { transformSync } from 'esbuild'
import { describe, expect, it } from 'vitest'
import { areas } from './areas/index.js'
import { mutate, testFile, type Mutation } from './mutation.js'

const all = Object.entries(areas).flatMap(([area, mutations]) => mutations.map((mutation) => ({ area, ...mutation })))
const nameOf = ({ file, mistake }: Pick<Mutation, 'file' | 'mistake'>): string => `${file}: ${mistake}`
const textOf = (file: string): string => (existsSync(file) ? readFileSync(file, 'utf8') : '')
const parses = (text: string): boolean => {
  try {
    transformSync(text, { loader: 'ts', logLevel: 'silent' })
    return true
  } catch {
    return false
  }
}

describe('every mutation', () => {
  it('occurs once in its file, which differs after it and still parses', () => {
    const mutated = all.map((mutation) => ({ ...mutation, text: mutate(textOf(mutation.file), mutation) }))
    expect(mutated.filter(({ text }) => text === null).map(nameOf)).toEqual([])
    expect(mutated.filter(({ before, after }) => before === after).map(nameOf)).toEqual([])
    expect(mutated.filter(({ text }) => !parses(text ?? '')).map(nameOf)).toEqual([])
  })

  it('names test files that exist', () =>
    expect(all.filter(({ tests }) => tests.length === 0 || !tests.every((test) => existsSync(testFile(test)))).map(nameOf)).toEqual([]))

  it('is in the list of its folder, once', () => {
    expect(all.filter(({ area, file }) => !file.startsWith(`${area}/`)).map(nameOf)).toEqual([])
    expect(new Set(all.map(nameOf)).size).toBe(all.length)
  })
})

it('the mutations reach every folder of the program', () => {
  const folders = new Set(all.map(({ file }) => file.split('/')[0]))
  expect([...folders].sort()).toEqual(['accelerated', 'cli', 'evaluation', 'finetuning', 'reference', 'reporting', 'web'])
})
