/** Scores of a trained decoder in int8 have the bits of its run's own evaluation. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { findDevice } from '../../../accelerated/engines/devices/findDevice.js'
import { causalLM } from '../../../accelerated/objectives/causalLM.js'
import { findPrecision } from '../../../accelerated/settings/commonSettings.js'
import { openPredictor } from '../../../accelerated/training/prediction.js'
import { openAnswers, openAssembly } from '../../../finetuning/use/modelSessions.js'
import { loadTextModel } from '../../../finetuning/use/openModel.js'
import { writeRandomAdapter, writeRandomDecoder } from '../../llamacpp/decoders.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const config = {
  ...{
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    hidden_act: 'silu',
    vocab_size: 60,
    hidden_size: 576,
    intermediate_size: 1536,
  },
  ...{ num_hidden_layers: 2, num_attention_heads: 9, num_key_value_heads: 3, max_position_embeddings: 64, rms_norm_eps: 1e-5 },
  ...{ rope_theta: 10_000, tie_word_embeddings: true, eos_token_id: 1 },
}
const rows = Array.from({ length: 4 }, (_, row) => {
  const inputIds = Array.from({ length: 24 }, (_, i) => 2 + ((7 * i + 13 * row + i * i) % 50))
  return { inputIds, row, label: 0, targets: inputIds }
})

const { folder: root } = temporaryFolder('scoring')

describe('a trained decoder in int8', () => {
  it('is scored with the bits of its run, and answers with others', async () => {
    const model = await writeRandomDecoder(join(root, 'model'), config)
    const adapter = await writeRandomAdapter(join(root, 'adapter'), model, { method: 'lora' }, 0.05)
    const trained = await loadTextModel({ model, adapter })
    const objective = causalLM(trained.adapter.model, trained.adapter.method)
    const examples = { length: rows.length, at: (i: number) => rows[i] }
    const device = findDevice('cpu')
    const machine = { precision: findPrecision('int8'), threads: 1 }
    const { assembly, phase, parameters, runtime } = await openAssembly(trained, objective, machine, device)
    const ofRun = await openPredictor(assembly, objective, phase, runtime, { prepack: false })
    const expected = await ofRun.predict(parameters, examples, 2)
    await ofRun.release()
    const answersBy = async (use: 'scoring' | 'answering') => {
      const opened = await openAnswers(trained, objective, { precision: 'int8', threads: 1, batchSize: 2 }, device, use)
      const answers = await opened.answers(examples)
      await opened.release()
      return answers
    }
    expect(await answersBy('scoring')).toEqual(expected)
    expect(await answersBy('answering')).not.toEqual(expected) // so that the first line can fail
  })
})
