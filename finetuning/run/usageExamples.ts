/** How other tools open an adapter or an export: a few lines for a model card, and the call that a command prints. */
import { ggufAdapterFile, ggufModelFiles } from '../../accelerated/checkpoints/gguf/ggufHeader.js'
import { adapterFile } from '../../accelerated/formats/adapterInputs.js'
import type { OnnxPrecision } from '../../accelerated/formats/onnxWeights.js'
import { inShell } from '../commandLine/shell.js'
import type { TaskType } from '../tasks/taskType.js'

/** Tools by the hub's names for them. */
export type Opener =
  | 'peft'
  | 'adapter-transformers'
  | 'transformers'
  | 'transformers.js'
  | 'adapter-inputs'
  | 'peft-file'
  | 'gguf'
  | 'gguf-merged'

export type UsageFacts = {
  /** the base model: a hub id or a folder */
  readonly base: string
  /** the folder or hub id of the result */
  readonly place: string
  readonly pipelineTag: TaskType['pipelineTag']
  /** outputs of the head, where the task has one */
  readonly labels: number
  readonly precision?: OnnxPrecision
  /** whether its texts are pairs */
  readonly havePairs?: boolean
  /** whether a classifier reads the embeddings of a sentence encoder */
  readonly readsEmbeddings?: boolean
  /** whether the adapter adds tokens, whose tokenizer is beside it */
  readonly addsTokens?: boolean
}

export type Usage = {
  readonly language: 'python' | 'js' | 'sh'
  readonly setup: readonly string[]
  /** opens the result */
  readonly call: string
  /** what follows, where the call alone does not show it */
  readonly use?: readonly string[]
}

const text = (value: string): string => JSON.stringify(value)

const autoModels: Readonly<Record<TaskType['pipelineTag'], string>> = {
  'text-classification': 'AutoModelForSequenceClassification',
  'token-classification': 'AutoModelForTokenClassification',
  'feature-extraction': 'AutoModel',
  'text-generation': 'AutoModelForCausalLM',
}

export const dtypes: Readonly<Record<OnnxPrecision, string>> = { float32: 'fp32', float16: 'fp16', int8: 'q8' }

/** New tokens need rows of the base first: the adapter has the numbers. */
const resizing = (place: string): readonly string[] => [
  `tokenizer = AutoTokenizer.from_pretrained(${text(place)})`,
  'base.resize_token_embeddings(max(len(tokenizer), base.config.vocab_size))',
]

export const buildUsage = (
  opener: Opener,
  { base, place, pipelineTag, labels, precision = 'float32', havePairs = false, readsEmbeddings = false, addsTokens = false }: UsageFacts,
): Usage => {
  if (readsEmbeddings && opener === 'peft') return onEmbeddings(base, place)
  if (readsEmbeddings && opener === 'transformers') return sentenceTransformer(place)
  const auto = autoModels[pipelineTag]
  const heads = pipelineTag === 'text-generation' || pipelineTag === 'feature-extraction' ? '' : `, num_labels=${labels}`
  switch (opener) {
    case 'peft':
      return {
        language: 'python',
        setup: [
          'from peft import PeftModel',
          `from transformers import ${auto}${addsTokens ? ', AutoTokenizer' : ''}`,
          '',
          `base = ${auto}.from_pretrained(${text(base)}${heads})`,
          ...(addsTokens ? resizing(place) : []),
        ],
        call: `PeftModel.from_pretrained(base, ${text(place)})`,
      }
    case 'adapter-transformers':
      return {
        language: 'python',
        setup: ['from adapters import AutoAdapterModel', '', `model = AutoAdapterModel.from_pretrained(${text(base)})`],
        call: `model.load_adapter(${text(place)}, set_active=True)`,
      }
    case 'transformers':
      return { language: 'python', setup: [`from transformers import ${auto}`, ''], call: `${auto}.from_pretrained(${text(place)})` }
    case 'transformers.js':
      if (pipelineTag === 'text-classification' && (labels === 1 || havePairs))
        return withoutPipeline({ place, labels, precision, havePairs })
      return {
        language: 'js',
        setup: ["import { pipeline } from '@huggingface/transformers'", ''],
        call: `await pipeline('${pipelineTag}', ${text(place)}, { dtype: '${dtypes[precision]}' })`,
      }
    case 'adapter-inputs':
    case 'peft-file':
      return {
        language: 'js',
        setup: [
          "import { readFile } from 'node:fs/promises'",
          "import { pipeline } from '@huggingface/transformers'",
          "import { withAdapter } from 'salora/adapters'",
          '',
        ],
        call: `await withAdapter(await pipeline('${pipelineTag}', ${text(opener === 'peft-file' ? 'BASE' : place)}, { dtype: '${dtypes[precision]}' }), await readFile(${text(`${place}/${adapterFile}`)}))`,
      }
    case 'gguf':
      return { language: 'sh', setup: [], call: `llama-cli --model BASE.gguf --lora ${inShell(`${place}/${ggufAdapterFile}`)}` }
    case 'gguf-merged':
      return { language: 'sh', setup: [], call: `llama-cli --model ${inShell(`${place}/${ggufModelFiles.model}`)}` }
  }
}

/** transformers has no class for a classifier on embeddings: its two tensors are in the adapter's file. */
const onEmbeddings = (base: string, place: string): Usage => ({
  language: 'python',
  setup: [
    'import torch',
    'from peft import PeftModel',
    'from peft.utils import load_peft_weights',
    'from transformers import AutoModel, AutoTokenizer',
    '',
    `tokenizer = AutoTokenizer.from_pretrained(${text(base)})`,
    `base = AutoModel.from_pretrained(${text(base)})`,
  ],
  call: `PeftModel.from_pretrained(base, ${text(place)})`,
  use: [
    `head = load_peft_weights(${text(place)}, device='cpu')`,
    "batch = tokenizer(['TEXT'], padding=True, return_tensors='pt')",
    "mask = batch['attention_mask'][..., None]",
    'means = (model(**batch).last_hidden_state * mask).sum(1) / mask.sum(1)',
    'embeddings = torch.nn.functional.normalize(means)',
    "logits = torch.nn.functional.linear(embeddings, head['base_model.model.classifier.weight'], head['base_model.model.classifier.bias'])",
  ],
})

const sentenceTransformer = (place: string): Usage => ({
  language: 'python',
  setup: ['from sentence_transformers import SentenceTransformer', ''],
  call: `SentenceTransformer(${text(place)})`,
  use: ["logits = model.encode(['TEXT'])"],
})

/** transformers.js's pipeline answers 1 for every score, and drops the second text of a pair. */
const withoutPipeline = ({
  place,
  labels,
  precision,
  havePairs,
}: Required<Pick<UsageFacts, 'place' | 'labels' | 'precision' | 'havePairs'>>): Usage => ({
  language: 'js',
  setup: [
    "import { AutoModelForSequenceClassification, AutoTokenizer } from '@huggingface/transformers'",
    '',
    `const tokenizer = await AutoTokenizer.from_pretrained(${text(place)})`,
  ],
  call: `await AutoModelForSequenceClassification.from_pretrained(${text(place)}, { dtype: '${dtypes[precision]}' })`,
  use: [
    `const { logits } = await model(tokenizer('TEXT'${havePairs ? ", { text_pair: 'SECOND TEXT' }" : ''}))`,
    labels === 1 ? 'console.log(logits.data[0]) // the score' : 'console.log(logits.data) // one for each class',
  ],
})

/** The lines as a program. */
export const usageCode = ({ setup, call, use = [], language }: Usage): string =>
  [...setup, `${call.startsWith('model.') ? '' : assignment[language]}${call}`, ...use].join('\n')

const assignment: Readonly<Record<Usage['language'], string>> = { python: 'model = ', js: 'const model = ', sh: '' }
