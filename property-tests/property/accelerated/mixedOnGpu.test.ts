/** Mixed on a GPU, or on one in software: agreement with the reference, and a run with its resumption and predictions. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { probeDevice } from '../../../accelerated/engines/deviceProbe.js'
import { openTrainedAdapter } from '../../../finetuning/use/openModel.js'
import { compareStep, compareSteps } from '../../../evaluation/agreement/compareSteps.js'
import { drawDecoder, drawModel } from '../../../evaluation/agreement/drawModel.js'
import { disagreements, someDecoder, someOptions } from '../../agreement/modelOptions.js'
import { runJob } from '../../cli/jobRun.js'
import { toyFolder } from '../../cli/toyFolder.js'
import { assertClose } from '../../support/assertClose.js'

const { works } = await probeDevice('webgpu')
const root = toyFolder('mixed-gpu')
const at = (...path: readonly string[]): string => join(root, ...path)
const salora = (output: string) => ({
  model: at('tiny'),
  task: at('toy.tsv'),
  maxSteps: '4',
  batchSize: '4',
  maxLength: '16',
  device: 'webgpu',
  output: at(output),
  method: 'salora',
  gateStart: '0.2',
  gateEnd: '0.5',
  precision: 'mixed',
})

describe.skipIf(!works)('a run in mixed on webgpu (skipped where no WebGPU device works)', () => {
  const timeout = 400_000

  it(
    'a run of salora in mixed trains, resumes in the same bits, and answers nearly as float32 does',
    async () => {
      const result = await runJob(salora('run-salora'))
      expect(result).toMatchObject({ precision: 'mixed', device: 'webgpu', stepsDone: 4, interrupted: false })
      await runJob(salora('cut'), 2)
      expect((await runJob({ output: at('cut'), resume: true })).last).toEqual(result.last)
      const adapterOf = (run: string): Promise<Buffer> => readFile(at(run, 'adapter', 'adapter_model.safetensors'))
      expect((await adapterOf('cut')).equals(await adapterOf('run-salora'))).toBe(true)

      const logits = async (device: string, precision: string): Promise<readonly number[]> => {
        const adapter = await openTrainedAdapter({
          model: at('tiny'),
          adapter: at('run-salora', 'adapter'),
          maxLength: 16,
          device,
          precision,
        })
        return (await adapter.predict([{ text: 'a good film' }, { text: 'bad' }]).finally(adapter.release)).flat()
      }
      const [exact, coarse] = [await logits('cpu', 'float32'), await logits('webgpu', 'mixed')]
      assertClose(coarse, exact, { relative: 2e-2 })
      expect(Math.max(...exact.map((x, i) => Math.abs(x - (coarse[i] ?? NaN))))).toBeGreaterThan(1e-6)
    },
    timeout,
  )

  it(
    'mixed precision on webgpu agrees to 5e-2, for one step and ten, with the reference that rounds the same factors',
    async () => {
      const mixed = { device: 'webgpu', precision: 'mixed' }
      expect(disagreements(await compareStep(drawModel(someOptions()), mixed))).toEqual([])
      expect(disagreements(await compareSteps(drawModel(someOptions()), mixed, 10))).toEqual([])
      expect(disagreements(await compareStep(drawDecoder(someDecoder()), mixed))).toEqual([])
    },
    timeout,
  )
})
