/**
 * Both derivations agree on integer products on a processor without VNNI and on an ARM one, which this machine need not be. How float32 did there
 * is in docs/reference/processors.md.
 */
import { describe, expect, it } from 'vitest'
import { haswell, lacks, neoverse, runOn } from './emulator.js'

const minutes = 10 * 60_000 // two on a quiet machine

describe.each([haswell, neoverse])('on $name', { timeout: minutes }, (processor) => {
  const lacking = lacks(processor)
  const unless = lacking === null ? '' : ` (skipped: it needs ${lacking})`

  it.skipIf(lacking !== null)(`products of the largest numbers are exact${unless}`, async () => {
    const { code, stdout, stderr } = await runOn(processor, 'property-tests/processors/extremes.js', [])
    expect([code, stderr, stdout]).toEqual([0, '', '[]'])
  })

  it.skipIf(lacking !== null)(`verify holds in int8 and int4${unless}`, async () => {
    const { code, stdout } = await runOn(processor, 'cli/salora.js', ['verify', '--precision', 'int8,int4', '--cases', '1'])
    expect(stdout).toMatch(/all [\d,]+ comparisons hold for 1 encoder and 1 decoder on cpu in int8, int4/)
    expect(code).toBe(0)
  })
})
