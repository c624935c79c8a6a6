import { readdirSync, readFileSync } from 'node:fs'
import { posix } from 'node:path'
import { describe, expect, it } from 'vitest'

const folder = new URL('../../../reference/', import.meta.url)
const sources = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => ({ name, text: readFileSync(new URL(name, folder), 'utf8') }))
const imports = (text: string): readonly string[] => [...text.matchAll(/from '([^']+)'/g)].map(([, path]) => path!)

describe('the reference', () => {
  it('imports nothing but fp-ts, ndarray and itself, and ndarray in one file only', () => {
    const all = sources.flatMap(({ name, text }) => imports(text).map((path) => ({ name, path })))
    const outside = all.filter(({ path }) => !path.startsWith('./') && !path.startsWith('../'))
    expect(outside.filter(({ path }) => !path.startsWith('fp-ts/') && path !== 'ndarray')).toEqual([])
    expect(outside.filter(({ path }) => path === 'ndarray').map(({ name }) => name)).toEqual(['tensor/tensor.ts'])
    const leaves = ({ name, path }: (typeof all)[number]): boolean =>
      path.startsWith('.') && posix.join(posix.dirname(name), path).startsWith('..')
    expect(all.filter(leaves)).toEqual([])
  })

  it('has no asynchronous code and no randomness of its own', () => {
    const impure = /\basync\b|\bawait\b|Promise|Math\.random|Date\.|console\.|process\./
    expect(sources.filter(({ text }) => impure.test(text)).map(({ name }) => name)).toEqual([])
  })

  it('has files of at most 200 lines, whose first line names their idea', () => {
    sources.forEach(({ name, text }) => {
      expect(text.startsWith('/**'), name).toBe(true)
      expect(text.trimEnd().split('\n').length, name).toBeLessThanOrEqual(200)
    })
  })
})
