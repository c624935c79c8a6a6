/** The trial of a machine with a card, rehearsed on the processor: a kill and its resume give the same bits, and a stage that fails is recorded. */
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { afterAll, describe, expect, it } from 'vitest'

afterAll(() => rmSync('gpu-trial', { recursive: true, force: true }))

describe('the trial of a card', () => {
  it('compares a device with the CPU, resumes a killed run, and records a stage that fails', () => {
    const args = ['scripts/gpuTrial.mjs', '--device', 'cpu', '--only', 'float32,tf32,resume']
    const { status, stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' })
    expect(status).toBe(1) // TF32 is of CUDA only
    expect(stdout).toMatch(/^tf32 +FAILED .*cuda:tf32: expected one that works here/m)
    expect(JSON.parse(readFileSync('gpu-trial/trial.json', 'utf8'))).toMatchObject({
      device: 'cpu',
      outcomes: [
        { stage: 'float32', result: { steps: 20, largestDifference: 0 } },
        { stage: 'tf32', failed: expect.stringContaining('salora train: ') },
        { stage: 'resume', result: { sameBits: true } },
      ],
    })
  }, 600_000)
})
