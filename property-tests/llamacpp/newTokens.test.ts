/** A model with new tokens, exported as GGUF: llama.cpp makes one token of each, and gives the probabilities that salora gives. */
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { exportAdapter } from '../../finetuning/use/exportAdapter.js'
import { finetune, openGenerator } from '../../index.js'
import { fixtures } from '../golden/golden.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { ourProbabilities, writeRandomDecoder } from './decoders.js'
import { askLlamaCpp, hasLlamaCpp, largestDifference, needsLlamaCpp } from './llama.js'

const { folder } = temporaryFolder('llamacpp-tokens')
const at = (...path: readonly string[]): string => join(folder, ...path)

describe.skipIf(!hasLlamaCpp)(`a model with new tokens in llama.cpp ${needsLlamaCpp}`, () => {
  it('has one id for each, and the probabilities of model and adapter', async () => {
    const { kinds } = JSON.parse(readFileSync(join(fixtures, 'tokenizers.json'), 'utf8')) as {
      readonly kinds: Readonly<Record<string, { readonly tokenizer: object }>>
    }
    const sizes = { vocab_size: 600, hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 4, intermediate_size: 96 }
    const model = await writeRandomDecoder(at('model'), {
      ...{ ...sizes, model_type: 'llama', max_position_embeddings: 256, rms_norm_eps: 1e-5, bos_token_id: 1, eos_token_id: 2 },
      ...{ hidden_act: 'silu', tie_word_embeddings: true, architectures: ['LlamaForCausalLM'] },
    })
    await writeFile(at('model', 'tokenizer.json'), JSON.stringify(kinds['llama3']?.tokenizer))
    const text = 'One <|user|> takes ibuprofen, two <|user|> take none.'
    await writeFile(at('lines.txt'), Array.from({ length: 12 }, (_, i) => `${text} ${i}`).join('\n\n'))
    const settings = { method: 'lora', rank: 2, newTokens: ['<|user|>', 'ibuprofen'], maxSteps: 4, learningRate: 0.05, threads: 1 } as const
    const run = { model, task: { task: 'text', data: at('lines.txt') }, output: at('run'), settings: { ...settings, batchSize: 4 } }
    for await (const event of finetune(run)) if (event.kind === 'result') expect(event.result.steps).toBe(4)

    const adapter = at('run', 'adapter')
    const given = { format: 'gguf-merged', output: at('gguf'), precision: 'float32', maxLength: null, targeted: null } as const
    await exportAdapter({ model, adapter, ...given })
    const generator = await openGenerator({ model, adapter, device: 'cpu', threads: 1 })
    const prompt = generator.encode({ text }, 'text')
    await generator.release()
    const file = at('gguf', 'model.gguf')
    const [{ probabilities, tokens }] = await askLlamaCpp({ model: file, prompts: [prompt], texts: [text] })
    expect(tokens[0]).toEqual(prompt.slice(1)) // the start token is added apart
    expect(prompt.filter((id) => id >= 420).length).toBe(3)
    const ours = await ourProbabilities(model, adapter, [prompt])
    expect(largestDifference(probabilities, ours)).toBeLessThan(1e-5)
    expect(Math.max(...ours.flat(2))).toBeGreaterThan(0.03)
  })
})
