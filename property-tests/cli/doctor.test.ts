/** salora doctor says what int8 multiplies on this processor. */
import { describe, expect, it } from 'vitest'
import { productsSaturate } from '../../accelerated/engines/saturation.js'
import { exactProducts } from '../../cli/commands/doctor.js'
import { saloraHere } from './inProcess.js'

describe('the factors of int8 products in salora doctor', () => {
  it('are uint8 and int8 where their products are exact, and uint8 alone where those saturate', () => {
    expect(exactProducts(false)).toEqual(['int8      multiplies uint8 × int8, which is exact on this processor'])
    expect(exactProducts(true)).toEqual(['int8      multiplies uint8 × uint8, since uint8 × int8 saturates on this processor'])
    expect(exactProducts(null)).toEqual([])
  })

  it('are printed as a line, and as a boolean in JSON', async () => {
    const saturates = await productsSaturate()
    expect((await saloraHere('doctor')).stdout.split('\n')).toEqual(expect.arrayContaining([...exactProducts(saturates)]))
    expect(JSON.parse((await saloraHere('doctor', '--json')).stdout)).toMatchObject({ productsSaturate: saturates })
  })
})
