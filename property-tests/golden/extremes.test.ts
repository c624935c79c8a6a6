/** Products whose every term is the largest: those of uint8 and int8 saturate on x86 without VNNI. */
import { describe, expect, it } from 'vitest'
import { products, wrongExportedSums, wrongSums } from '../processors/extremes.js'

describe('a product of the largest numbers, and its gradient', () => {
  it.each(Object.keys(products) as (keyof typeof products)[])('are exact in %s', async (name) => {
    expect(await wrongSums(name)).toEqual([])
  })

  it('is exact in an exported encoder, in a session as other programs open it', async () => expect(await wrongExportedSums()).toEqual([]))
})
