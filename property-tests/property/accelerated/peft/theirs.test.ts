/** Adapters that PEFT trained: the meaning of their configuration, and each error in one line. */
import { rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { saveAdapter } from '../../../../accelerated/formats/peft/peft.js'
import { InputError } from '../../../../accelerated/errors/inputError.js'
import { writeSafetensors, type WritableTensor } from '../../../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import type { Model } from '../../../../accelerated/models/architecture.js'
import { SEED } from '../../../support/seed.js'
import { adapterOf, bert, load, place, roberta, usePlace, weights } from './adapters.js'

usePlace()

const messageFor = async (model: Model): Promise<string> =>
  load(model).then(
    () => 'no error',
    (thrown: unknown) => {
      expect(thrown).toBeInstanceOf(InputError)
      const message = (thrown as Error).message
      expect(message).not.toContain('\n')
      return message.replaceAll(place.folder, 'M')
    },
  )

describe(`an adapter that PEFT trained (seed ${SEED})`, () => {
  const peft = {
    peft_type: 'LORA',
    task_type: 'SEQ_CLS',
    r: 2,
    lora_alpha: 3,
    target_modules: ['query', 'value'],
    ...{ modules_to_save: null, bias: 'none', fan_in_fan_out: false, inference_mode: true, peft_version: '0.21.2', lora_dropout: 0.1 },
  }

  /** Writes the configuration and, for these modules and ranks, the tensors. */
  const write = async (
    config: object,
    modules: Readonly<Record<string, number>>,
    extra: ReadonlyMap<string, WritableTensor> = new Map(),
    prefix = 'roberta.',
  ): Promise<void> => {
    const matrices = new Map(roberta.spec.matrices.map((matrix) => [matrix.name, matrix]))
    await rm(join(place.folder, 'salora.json'), { force: true })
    await writeFile(join(place.folder, 'adapter_config.json'), JSON.stringify(config))
    const pairs = Object.entries(modules).flatMap(([name, r]): readonly [string, WritableTensor][] => {
      const { d, k } = matrices.get(`encoder.layer.0.${name}`)!
      const key = `base_model.model.${prefix}encoder.layer.0.${name}`
      return [
        [`${key}.lora_A.weight`, weights([r, k], 0)],
        [`${key}.lora_B.weight`, weights([d, r], 1)],
      ]
    })
    await writeFile(join(place.folder, 'adapter_model.safetensors'), writeSafetensors(new Map([...pairs, ...extra])))
  }
  const scales = async (): Promise<unknown> =>
    Object.fromEntries([...(await load(roberta)).modules].map(([name, { scale }]) => [name.replace('encoder.layer.0.', ''), scale]))

  it('adapts all modules that end with a listed name', async () => {
    await write(peft, { 'attention.self.query': 2, 'attention.self.value': 2 })
    expect(await scales()).toEqual({ 'attention.self.query': 1.5, 'attention.self.value': 1.5 })
    await write({ ...peft, target_modules: ['output.dense'] }, { 'attention.output.dense': 2, 'output.dense': 2 })
    expect(await scales()).toEqual({ 'attention.output.dense': 1.5, 'output.dense': 1.5 })
    await write({ ...peft, target_modules: ['output.dense'], exclude_modules: ['attention.output.dense'] }, { 'output.dense': 2 })
    expect(await scales()).toEqual({ 'output.dense': 1.5 })
  })

  it('may have a regular expression, patterns of ranks and alphas, and the rank-stabilized scale', async () => {
    await write(
      { ...peft, target_modules: '.*\\.self\\.(query|key)', rank_pattern: { 'self.key': 4 }, alpha_pattern: { 'layer.0.*key': 1 } },
      { 'attention.self.query': 2, 'attention.self.key': 4 },
    )
    expect(await scales()).toEqual({ 'attention.self.query': 1.5, 'attention.self.key': 0.25 })
    await write({ ...peft, use_rslora: true, rank_pattern: { value: 4 } }, { 'attention.self.query': 2, 'attention.self.value': 4 })
    expect(await scales()).toEqual({ 'attention.self.query': 3 / Math.sqrt(2), 'attention.self.value': 1.5 })
  })

  it('may lack the family in its keys, if it was trained on the bare encoder', async () => {
    await write({ ...peft, task_type: 'FEATURE_EXTRACTION' }, { 'attention.self.query': 2, 'attention.self.value': 2 }, new Map(), '')
    expect(await scales()).toEqual({ 'attention.self.query': 1.5, 'attention.self.value': 1.5 })
  })

  it('has the outputs of its own head', async () => {
    const head = [...roberta.sequenceHead(3).tensors].map(([name, shape]): [string, WritableTensor] => [
      `base_model.model.${name}`,
      weights(shape, 0),
    ])
    await write(
      { ...peft, modules_to_save: ['classifier', 'score'] },
      { 'attention.self.query': 2, 'attention.self.value': 2 },
      new Map(head),
    )
    expect((await load(roberta)).outputs).toEqual({ head: 'sequence', labels: 3, problemType: 'single_label_classification' })
  })

  it.each<readonly [string, object, string | RegExp]>([
    [
      'another method',
      { peft_type: 'ADALORA' },
      /^M\/adapter_config\.json: expected a plain LoRA configuration whose peft_type is LORA, got "ADALORA"$/,
    ],
    [
      'weight decomposition without its magnitudes',
      { use_dora: true },
      'M/adapter_model.safetensors: expected tensor base_model.model.roberta.encoder.layer.0.attention.self.query.lora_magnitude_vector [4], got none of that name',
    ],
    ['trained biases', { bias: 'all' }, /whose bias is none or lora_only \(PEFT's merge_and_unload .*\), got "all"$/],
    [
      'layers that are none',
      { layers_to_transform: [1] },
      'M/adapter_config.json: expected target_modules that match a matrix of the roberta encoder, got ["query","value"] in layers_to_transform [1]',
    ],
    [
      'an initialization that changes the frozen weights',
      { init_lora_weights: 'pissa' },
      /whose init_lora_weights is true, false, gaussian, orthogonal or eva \(.* with path_initial_model_for_weight_conversion\), got "pissa"$/,
    ],
    ['a rank of 0', { r: 0 }, /whose r is a whole number of at least 1, got 0$/],
    [
      'targets that are none',
      { target_modules: ['q_proj'] },
      'M/adapter_config.json: expected target_modules that match a matrix of the roberta encoder, got ["q_proj"]',
    ],
    [
      'an invalid expression',
      { target_modules: '(' },
      /^M\/adapter_config\.json: expected a regular expression that matches module names, got "\(" \(Invalid regular expression: .*\)$/,
    ],
    [
      'an expression that never ends',
      { target_modules: '(.*)*(.*)*(.*)*(.*)*x' },
      /^M\/adapter_config\.json: expected a regular expression that matches module names, got .* \(Script execution timed out after 3000ms\)$/,
    ],
    [
      'a rank that the tensors do not have',
      { r: 3 },
      'M/adapter_model.safetensors: expected tensor base_model.model.roberta.encoder.layer.0.attention.self.query.lora_A.weight of shape [3, 4], got [2, 4]',
    ],
    [
      'a module without tensors',
      { target_modules: ['query', 'key', 'value'] },
      'M/adapter_model.safetensors: expected tensor base_model.model.roberta.encoder.layer.0.attention.self.key.lora_A.weight [2, 4], got none of that name',
    ],
    [
      'tensors without a module',
      { target_modules: ['query'] },
      'M/adapter_model.safetensors: expected only the 2 tensors that adapter_config.json describes, got "base_model.model.roberta.encoder.layer.0.attention.self.value.lora_A.weight"',
    ],
    [
      'an absent head',
      { modules_to_save: ['classifier'] },
      'M/adapter_model.safetensors: expected tensor base_model.model.classifier.dense.weight [4, 4], got none of that name',
    ],
  ])('is refused for %s', async (_, change, expected) => {
    await write({ ...peft, ...change }, { 'attention.self.query': 2, 'attention.self.value': 2 })
    const message = await messageFor(roberta)
    if (typeof expected === 'string') expect(message).toBe(expected)
    else expect(message).toMatch(expected)
  })

  it('is refused for another module that was trained whole, and for pickled weights, with what to do in PEFT', async () => {
    const modules = { 'attention.self.query': 2, 'attention.self.value': 2 }
    const table = new Map([['base_model.model.roberta.embeddings.word_embeddings.weight', weights([4, 4], 0)]])
    await write({ ...peft, modules_to_save: ['word_embeddings'] }, modules, table)
    expect(await messageFor(roberta)).toBe(
      'M/adapter_config.json: expected only modules_to_save of a classification head, got "word_embeddings" (PEFT\'s merge_and_unload makes it a model of its own, which opens here)',
    )
    const factor = new Map([['base_model.model.roberta.embeddings.position_embeddings.lora_embedding_A', weights([2, 4], 0)]])
    await write({ ...peft, target_modules: ['query', 'value', 'position_embeddings'] }, modules, factor)
    expect(await messageFor(roberta)).toBe(
      'M/adapter_config.json: expected target_modules that are matrices or word embeddings, got "position_embeddings" (PEFT\'s merge_and_unload makes it a model of its own, which opens here)',
    )
    await rename(join(place.folder, 'adapter_model.safetensors'), join(place.folder, 'adapter_model.bin'))
    expect(await messageFor(roberta)).toBe(
      "M: expected adapter_model.safetensors, got only adapter_model.bin (pickled weights are not read: save the adapter again by PEFT's save_pretrained)",
    )
    await rename(join(place.folder, 'adapter_model.bin'), join(place.folder, 'adapter_model.safetensors'))
  })

  it('is refused for a key given twice, a number that is not finite, a partial head, and the other family', async () => {
    await writeFile(join(place.folder, 'adapter_config.json'), '{"r":1,"r":2}')
    expect(await messageFor(roberta)).toBe('M/adapter_config.json: expected each key once, got "r" twice')
    const modules = { 'attention.self.query': 2, 'attention.self.value': 2 }
    const key = 'base_model.model.roberta.encoder.layer.0.attention.self.query.lora_B.weight'
    await write(peft, modules, new Map([[key, { shape: [4, 2], data: Float32Array.of(0, 1, NaN, 0, 0, 0, 0, 0) }]]))
    expect(await messageFor(roberta)).toBe(`M/adapter_model.safetensors: expected finite numbers in ${key}, got NaN at 2`)
    await write(peft, modules, new Map([['base_model.model.classifier.dense.bias', weights([4], 0)]]))
    expect(await messageFor(roberta)).toBe(
      'M/adapter_model.safetensors: expected tensor base_model.model.classifier.dense.weight [4, 4], got none of that name',
    )
    await write(peft, modules)
    expect(await messageFor(bert)).toBe(
      'M/adapter_model.safetensors: expected tensor base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight [2, 4], got none of that name',
    )
  })

  it('is refused for an error in salora.json', async () => {
    await saveAdapter(place.folder, adapterOf(roberta, [1]))
    await writeFile(join(place.folder, 'salora.json'), '{"labelNames":["a"],"problemType":"single_label_classification"}')
    expect(await messageFor(roberta)).toBe('M/salora.json: expected 2 labelNames, got 1')
    await writeFile(join(place.folder, 'salora.json'), '{}')
    expect(await messageFor(roberta)).toBe('M/salora.json: expected names as salora writes them whose labelNames is a list, got nothing')
    await writeFile(join(place.folder, 'salora.json'), '{"labelNames":null,"problemType":"ranking"}')
    expect(await messageFor(roberta)).toBe(
      'M/salora.json: expected names as salora writes them whose problemType is one of single_label_classification, multi_label_classification, regression, got "ranking"',
    )
  })
})
