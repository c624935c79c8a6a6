/** Exports as GGUF: one file with the numbers of the adapter, and refusals that name what llama.cpp cannot read. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { writeDecoder, writeRandomAdapter, writeRandomDecoder } from '../../llamacpp/decoders.js'
import { readGguf } from '../../../accelerated/checkpoints/gguf/ggufHeader.js'
import { exportAdapter, type ExportReport } from '../../../finetuning/use/exportAdapter.js'
import { fixtures } from '../../golden/golden.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'
import { saloraHere } from '../inProcess.js'
import { writeAdapter, writeFamily } from '../tinyAdapter.js'

const { folder } = temporaryFolder('export-gguf')
const at = (...path: readonly string[]): string => join(folder, ...path)

const refusal = (model: string, adapter: string, format: 'gguf' | 'gguf-merged' = 'gguf') =>
  exportAdapter({ ...{ model, adapter, format, output: at('refused'), precision: 'float32', maxLength: null, targeted: null } }).then(
    () => 'no error',
    ({ message }: Error) => message,
  )

describe('an export as GGUF', () => {
  it('is one file, with the logits of the adapter and the command that uses it; push knows it', async () => {
    const model = await writeDecoder(at('llama'), 'llama')
    const adapter = await writeRandomAdapter(at('adapter'), model, { method: 'lora', rank: 3, loraAlpha: 7 })
    const card =
      '---\nlibrary_name: peft\nbase_model: me/model\nbase_model_relation: adapter\n---\n\n# x\n\n## Use\n\nold\n\n## Data\n\nrest\n'
    await writeFile(join(adapter, 'README.md'), card)
    const args = ['export', '--model', model, '--adapter', adapter, '--format', 'gguf', '--output', at('out'), '--quiet']
    const { code, stdout, stderr } = await saloraHere(...args)
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout).toMatch(/largest logit difference over \d+ texts: (0|\d(\.\d)?e-[78])/)
    expect(stdout).toContain(`to use it: llama-cli --model BASE.gguf --lora ${at('out', 'adapter.gguf')}\n`)
    expect((await readdir(at('out'))).sort()).toEqual(['README.md', 'adapter.gguf'])
    expect(await readFile(at('out', 'README.md'), 'utf8')).toBe(
      card
        .replace('library_name: peft', 'library_name: gguf')
        .replace('old', '```sh\nllama-cli --model BASE.gguf --lora MODEL/adapter.gguf\n```'),
    )
    const pushed = await saloraHere('push', at('out'), 'me/x', '--dry-run', '--quiet')
    expect(pushed.stdout).toMatch(/README\.md[\s\S]*adapter\.gguf/)
  })

  it('is refused by the name of what llama.cpp cannot read, with the formats that hold it', async () => {
    const llama = await writeDecoder(at('given'), 'llama')
    const of = (name: string, settings: object) => writeRandomAdapter(at(name), llama, { ...settings })
    expect(await refusal(llama, await of('dora', { method: 'lora', useDora: true }))).toBe(
      'format: expected one of peft, merged, transformers.js, gguf-merged for an adapter with magnitudes (DoRA), which llama.cpp does not read, got gguf',
    )
    expect(await refusal(llama, await of('full', { method: 'full' }))).toBe(
      'format: expected one of merged, transformers.js, gguf-merged for an adapter of method full: llama.cpp reads LoRA only, got gguf',
    )
    expect(await refusal(join(fixtures, 'qwen2'), join(fixtures, 'qwen2', 'prefix', 'saved'))).toBe(
      'format: expected one of peft for an adapter of method prefix: llama.cpp reads LoRA only, got gguf',
    )
    expect(await refusal(join(fixtures, 'llama'), join(fixtures, 'llama', 'peft-adapter'))).toBe(
      'format: expected one of peft, peft-padded, merged for a classifier, whose head llama.cpp does not have, got gguf',
    )
    const bert = await writeFamily(at('bert'), 'bert')
    expect(await refusal(bert, await writeAdapter(at('of-bert'), bert))).toBe(
      'format: expected one of peft, peft-padded, peft-file, merged, transformers.js for a model of type bert, which llama.cpp does not generate text with, got gguf',
    )
  })

  it('of a whole model is refused for classifiers, encoders, and methods that no weight can hold', async () => {
    expect(await refusal(join(fixtures, 'llama'), join(fixtures, 'llama', 'peft-adapter'), 'gguf-merged')).toBe(
      'format: expected one of peft, peft-padded, merged for a classifier, whose head llama.cpp does not have, got gguf-merged',
    )
    expect(await refusal(join(fixtures, 'qwen2'), join(fixtures, 'qwen2', 'prompt', 'saved'), 'gguf-merged')).toBe(
      'format: expected one of peft for an adapter of method prompt on a decoder, got gguf-merged',
    )
    expect(
      await refusal(
        join(fixtures, 'qwen2'),
        await writeRandomAdapter(at('words'), join(fixtures, 'qwen2'), { method: 'lora' }),
        'gguf-merged',
      ),
    ).toBe(
      `${join(fixtures, 'qwen2', 'tokenizer.json')}: expected a tokenizer of pairs of bytes (BPE), for GGUF, got one of type WordPiece`,
    )
  })

  it('of a whole model is a file with the merged numbers and a Modelfile, and leaves nothing else', async () => {
    const { kinds } = JSON.parse(await readFile(join(fixtures, 'tokenizers.json'), 'utf8')) as {
      readonly kinds: { readonly llama3: { readonly tokenizer: object } }
    }
    const config = {
      ...{ model_type: 'llama', vocab_size: 430, hidden_size: 32, num_hidden_layers: 1 },
      num_attention_heads: 2,
      intermediate_size: 48,
    }
    const model = await writeRandomDecoder(at('whole'), { ...config, eos_token_id: 2 })
    await writeFile(join(model, 'tokenizer.json'), JSON.stringify(kinds.llama3.tokenizer))
    const lora = await writeRandomAdapter(at('whole-lora'), model, { method: 'lora', rank: 2 })
    const ia3 = await writeRandomAdapter(at('whole-ia3'), model, { method: 'ia3' })
    for (const [adapter, precision, bound] of [
      [lora, 'float32', 1e-5],
      [lora, 'float16', 5e-3],
      [lora, 'int8', 0.1],
      [ia3, 'float32', 1e-5],
    ] as const) {
      const output = `${adapter}-${precision}`
      const { code, stdout } = await saloraHere(
        ...['export', '--model', model, '--adapter', adapter, '--format', 'gguf-merged', '--precision', precision, '--output', output],
        '--json',
      )
      expect(code).toBe(0)
      const { comparison, usage } = JSON.parse(stdout) as ExportReport
      expect(comparison.largestLogitDifference / comparison.largestLogit).toBeLessThan(bound)
      expect(comparison.largestLogitDifference > 0).toBe(true)
      expect(usage).toBe(`llama-cli --model ${join(output, 'model.gguf')}`)
      expect((await readdir(output)).sort()).toEqual(['Modelfile', 'model.gguf'])
      const { tensors } = await readGguf(join(output, 'model.gguf'))
      const matrix = { float32: 'F32', float16: 'F16', int8: 'Q8_0' }[precision]
      expect(tensors.get('blk.0.attn_q.weight')?.type).toBe(matrix)
      expect(tensors.get('blk.0.ffn_down.weight')?.type).toBe(precision === 'int8' ? 'F16' : matrix) // rows of 48
      expect(tensors.get('output_norm.weight')?.type).toBe('F32')
    }
  })
})
