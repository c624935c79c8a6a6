/** Mutations of the adapter formats and exports. */
import type { Mutation } from '../mutation.js'

export const formats: ReadonlyArray<Mutation> = [
  {
    file: 'accelerated/formats/peft/lora.ts',
    mistake: 'Padded rsLoRA scales alpha as LoRA does.',
    before: 'rest.rslora ? Math.sqrt(widest / rest.rank) : widest / rest.rank',
    after: 'widest / rest.rank',
    tests: ['property/accelerated/peft/ours'],
  },
  {
    file: 'accelerated/formats/peft/peftConfig.ts',
    mistake: 'A pruned module keeps alpha, which changes its scale.',
    before: 'rslora ? alpha * Math.sqrt(r / rank) : (alpha * r) / rank',
    after: 'alpha',
    tests: ['property/accelerated/peft/ours'],
  },
  {
    file: 'accelerated/formats/peft/loadPeft.ts',
    mistake: 'rsLoRA is read with the scale of LoRA.',
    before: 'alpha / (config.use_rslora ? Math.sqrt(rank) : rank)',
    after: 'alpha / rank',
    tests: ['property/accelerated/peft/ours'],
  },
  {
    file: 'accelerated/formats/peft/loadPeft.ts',
    mistake: 'Patterns of alpha are ignored.',
    before: 'alphas[i] ?? config.lora_alpha',
    after: 'config.lora_alpha',
    tests: ['property/accelerated/peft/ours'],
  },
  {
    file: 'accelerated/formats/peft/loadPeft.ts',
    mistake: 'Excluded modules are read.',
    before: 'targeted[i] && !excluded[i]',
    after: 'targeted[i]',
    tests: ['property/accelerated/peft/theirs'],
  },
  {
    file: 'accelerated/formats/peft/modulePattern.ts',
    mistake: 'A list matches parts of names.',
    before: 'name === item || name.endsWith(`.${item}`)',
    after: 'name.endsWith(item)',
    tests: ['property/accelerated/peft/names'],
  },
  {
    file: 'accelerated/formats/peft/modulePattern.ts',
    mistake: 'The last pattern that matches wins.',
    before: 'keys.find((_key, at) => matches[at]?.[i])',
    after: 'keys.findLast((_key, at) => matches[at]?.[i])',
    tests: ['property/accelerated/peft/names'],
  },
  {
    file: 'accelerated/formats/peft/lowRankAdapter.ts',
    mistake: 'Padding puts columns of B into rows.',
    before: 'row * rank)\n  return',
    after: 'row * r)\n  return',
    tests: ['property/accelerated/peft/ours'],
  },
  {
    file: 'accelerated/formats/peft/adalora.ts',
    mistake: 'LoRA from AdaLoRA keeps the scale of AdaLoRA.',
    before: '(adaloraScale(settings) * initR) / loraAlpha',
    after: '1',
    tests: ['golden/adalora'],
  },
  {
    file: 'accelerated/formats/peft/adalora.ts',
    mistake: 'Columns of B are cut as rows.',
    before: 'chosen.map((column) => data[row * width + column] ?? NaN)',
    after: 'chosen.map((column) => data[column * width + row] ?? NaN)',
    tests: ['golden/adalora'],
  },
  {
    file: 'accelerated/formats/onnxWeights.ts',
    mistake: 'The place of a tensor ignores those before it.',
    before: 'offset += length',
    after: '',
    tests: ['property/accelerated/onnxWeights'],
  },
  {
    file: 'accelerated/formats/warmStart.ts',
    mistake: 'Factors are copied without the ratio of the scales.',
    before:
      'loraScale({ rank, loraAlpha: alpha, useRslora: rslora }) / loraScale({ rank: ownRank, loraAlpha: ownAlpha, useRslora: ownRslora })',
    after: '1',
    tests: ['cli/warmStart'],
  },
]
