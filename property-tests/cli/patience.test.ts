/** Early stopping: a run ends after --early-stopping-patience evaluations without improvement, and in the same bits when it is resumed. */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { RunResult } from '../../finetuning/run/run.js'
import { saloraIn } from './inProcess.js'
import { toyFolder, toyTrain } from './toyFolder.js'

const cwd = toyFolder('patience')

// so small a rate that no evaluation is better than the first
const words = [...toyTrain, ...'--batch-size 8 --threads 1 --quiet --eval-steps 1 --learning-rate 1e-12 --max-steps 30'.split(' ')]
const train = (output: string, ...flags: readonly string[]) => saloraIn([...words, '--output', output, ...flags], { cwd })
const result = async (output: string): Promise<RunResult> =>
  JSON.parse(await readFile(join(cwd, output, 'result.json'), 'utf8')) as RunResult

describe('--early-stopping-patience', () => {
  it('ends the run after n evaluations without improvement, and the run is finished', async () => {
    const { code, stdout } = await train('lora', '--method', 'lora', '--early-stopping-patience', '3')
    expect(code).toBe(0)
    expect(await result('lora')).toMatchObject({
      stoppedEarly: true,
      interrupted: false,
      stepsDone: 4,
      steps: 30,
      best: { step: 1 },
      last: { step: 4 },
    })
    expect(stdout).toMatch(/^trained 4 of 30 steps \(early stopping: best accuracy at step 1\)$/m)
    const resumed = await saloraIn(['train', '--resume', '--output', 'lora'], { cwd })
    expect([resumed.code, resumed.stderr]).toEqual([0, expect.stringContaining('this run is already finished')])
  })

  it('continues to count when a run is resumed, with the same result', async () => {
    const before = await result('lora')
    const adapter = await readFile(join(cwd, 'lora', 'adapter', 'adapter_model.safetensors'))
    await rm(join(cwd, 'lora', 'result.json'))
    await rm(join(cwd, 'lora', 'checkpoints', 'step-000000004.safetensors')) // the counter is that of step 3
    expect((await saloraIn(['train', '--resume', '--output', 'lora', '--quiet'], { cwd })).code).toBe(0)
    const { seconds: _s, peakMemoryBytes: _p, finishedAt: _f, ...told } = before
    expect(await result('lora')).toMatchObject(told)
    expect(await readFile(join(cwd, 'lora', 'adapter', 'adapter_model.safetensors'))).toEqual(adapter)
  })

  it('ignores evaluations before pruning, which cannot be the best', async () => {
    await train('salora', '--early-stopping-patience', '2', '--set', 'gate-end=0.5', '--max-steps', '20') // gates are closed after step 10
    expect(await result('salora')).toMatchObject({ stoppedEarly: true, stepsDone: 13, best: { step: 11 } })
  })
})
