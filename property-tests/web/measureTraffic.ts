/**
 * Prints the bytes that a step and a served prediction move to a device and back: LoRA on the embedded model, 8 × 32 tokens a part. The state crosses,
 * or stays there.
 * `npm run build && node dist/property-tests/web/measureTraffic.js`. The device is the processor.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Engine } from '../../accelerated/engines/engine.js'
import { cpu } from '../../accelerated/engines/devices/device.js'
import { withSharedSessions } from '../../accelerated/engines/sharedSessions.js'
import { nodeFiles } from '../../accelerated/storage/nodeFiles.js'
import { packageFile } from '../../accelerated/storage/packages.js'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'
import { finetune, predictor } from '../../web/index.js'
import { keepingEngine, type Traffic } from '../support/keepingEngine.js'

const bytesOf = (arrays: readonly { readonly byteLength: number }[]): number => arrays.reduce((sum, { byteLength }) => sum + byteLength, 0)

/** All of what a session takes and returns crosses. */
const crossingEngine = (engine: Engine, traffic: Traffic[]): Engine => ({
  ...engine,
  open: async (...asked) => {
    const session = await engine.open(...asked)
    return {
      ...session,
      run: async (feeds, into) => {
        const results = await session.run(feeds, into)
        traffic.push({ up: bytesOf(session.inputs.flatMap((name) => feeds[name]?.data ?? [])), down: bytesOf(Object.values(results)) })
        return results
      },
    }
  },
})

const steps = 4
const texts = Array.from({ length: 8 }, (_, i) => ({ text: `the food was ${'very '.repeat(i)}good` }))
const folder = await mkdtemp(join(tmpdir(), 'salora-traffic-'))
try {
  for (const parts of [1, 4])
    for (const [name, engineOf] of Object.entries({ crosses: crossingEngine, stays: keepingEngine })) {
      const traffic: Traffic[] = []
      const options = {
        model: embeddedModel,
        task: { task: packageFile('finetuning/data/sentiment/sentences.jsonl') },
        output: join(folder, `${name}-${parts}`),
        settings: {
          ...({ method: 'lora', maxSteps: steps, batchSize: 8, maxLength: 32, threads: 1 } as const),
          ...{ gradientAccumulationSteps: parts, evalSteps: 1000, saveSteps: 1000 },
        },
      }
      const device = { ...cpu, engine: (settings: Parameters<typeof cpu.engine>[0]) => engineOf(cpu.engine(settings), traffic) }
      for await (const _ of finetune(options, { storage: nodeFiles, device }));
      for (let step = 2; step <= steps; step++) {
        const ofStep = traffic.slice((step - 1) * parts, step * parts) // of a session that carries nothing, an evaluation's follow
        const [up, down] = (['up', 'down'] as const).map((way) => ofStep.reduce((sum, moved) => sum + moved[way], 0))
        console.log(`${parts} ${parts === 1 ? 'part' : 'parts'}, state ${name}, step ${step}: ${up} bytes to the device, ${down} back`)
      }
    }
  for (const [name, engineOf] of Object.entries({ cross: crossingEngine, stay: keepingEngine })) {
    const traffic: Traffic[] = []
    const device = { ...cpu, engine: (settings: Parameters<typeof cpu.engine>[0]) => engineOf(cpu.engine(settings), traffic) }
    const { predictions, release } = await predictor(join(folder, 'stays-1'), { storage: nodeFiles, device: withSharedSessions(device) })
    for (let request = 1; request <= 3; request++) {
      await predictions(texts)
      const { up, down } = traffic.at(-1) ?? {}
      console.log(`served, parameters ${name}, request ${request} of ${texts.length} texts: ${up} bytes to the device, ${down} back`)
    }
    await release()
  }
} finally {
  await rm(folder, { recursive: true })
}
