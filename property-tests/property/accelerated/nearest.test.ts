/** The nearest name: each edit counts 1, a swap of neighbors too, and a third of the letters may differ. */
import { describe, expect, it } from 'vitest'
import { nearest } from '../../../accelerated/errors/nearest.js'

/** Whether one name is near enough, from short texts, in which one edit is allowed, to long ones, in which three are. */
const isNear = (typed: string, name: string): boolean => nearest(typed, [name]) === name

describe('the nearest name', () => {
  it('is one edit away for an insertion, a deletion, a substitution, or a swap of neighbors', () => {
    for (const typed of ['9123', '12', '193', '213', '132']) expect(isNear(typed, '123'), typed).toBe(true)
    for (const typed of ['1', '893', '321', '231']) expect(nearest(typed, ['123']), typed).toBe(null)
  })

  it('is not nearer by a swap than by another edit: of equal distances the first name wins', () => {
    expect(nearest('ba', ['b', 'ab'])).toBe('b')
    expect(nearest('ba', ['ab', 'b'])).toBe('ab')
    expect(nearest('ba', ['ab', 'ba'])).toBe('ba')
  })

  it('differs in a third of the typed letters, rounded up, and in three of them at most', () => {
    expect([isNear('123', '923'), isNear('123', '893')]).toEqual([true, false])
    expect([isNear('1234', '9834'), isNear('1234', '9874')]).toEqual([true, false])
    expect([isNear('1234567', '9874567'), isNear('1234567890123', '8765567890123')]).toEqual([true, false])
  })

  it('is none for a text that nobody types, or without names', () => {
    expect(nearest('a'.repeat(100), ['a'.repeat(99)])).toBe('a'.repeat(99))
    expect(nearest('a'.repeat(101), ['a'.repeat(100)])).toBe(null)
    expect(nearest('rank', [])).toBe(null)
  })
})
